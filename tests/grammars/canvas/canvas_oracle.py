"""What a canvas should answer, by trying every filling."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from guided.grammars.canvas import GAP, MASKED, Slot
from guided.grammars.vocabulary import Vocabulary


def fillings(slots: Sequence[Slot], vocabulary: Vocabulary, longest_gap: int) -> Iterator[bytes]:
    """Every text that fills the slots; gaps with up to `longest_gap` tokens.

    The text ends before the first fixed stop token, or earlier in the trailing run of holes.
    """
    end = next((i for i, s in enumerate(slots) if s in vocabulary.stop_ids), len(slots))
    fixed = [i for i in range(end) if slots[i] is not MASKED and slots[i] is not GAP]
    text_end = fixed[-1] + 1 if fixed else 0
    texts = [vocabulary.grammar_bytes(t) for t in range(vocabulary.size)]
    tokens = [text for text in texts if text is not None]
    first = text_end if vocabulary.stop_ids else end
    for last in range(first, end + 1):
        choices: list[list[bytes]] = []
        for slot in slots[:last]:
            if slot is MASKED:
                choices.append(tokens)
            elif slot is GAP:
                runs: list[bytes] = []
                for count in range(longest_gap + 1):
                    runs += [b"".join(r) for r in itertools.product(tokens, repeat=count)]
                choices.append(sorted(set(runs)))
            else:
                data = texts[int(slot)]
                choices.append([] if data is None else [data])
        for parts in itertools.product(*choices):
            yield b"".join(parts)


def can_be_filled(
    slots: Sequence[Slot],
    vocabulary: Vocabulary,
    accepts: Callable[[bytes], bool],
    longest_gap: int = 0,
) -> bool:
    """Whether some filling is accepted."""
    return any(accepts(text) for text in fillings(slots, vocabulary, longest_gap))
