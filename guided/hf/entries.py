"""What callers name in one argument, as controls and as a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guided.controls.grammar_mask import GrammarMask
from guided.controls.protocol import Control
from guided.errors import ControlError, VocabularyError
from guided.grammars.grammar import Grammar
from guided.grammars.vocabulary import Vocabulary
from guided.outputs import output_of

NO_STOP = (
    "the tokenizer has no end-of-sequence token; pass stop_ids=[...], the ids at which generate "
    "stops"
)


def controls_of(entry: Any) -> list[Control]:
    """The controls that one entry stands for: a grammar, an output type, a control, or a list.

    Raises:
        ControlError: None among them.
        InputError: an output type that cannot be used (a finer error says why).
    """
    parts = list(entry) if isinstance(entry, list | tuple) else [entry]
    return [_control(part) for part in parts]


def _control(part: Any) -> Control:
    if isinstance(part, Control):
        return part
    grammar = part if isinstance(part, Grammar) else output_of(schema=part).grammar
    if grammar is None:
        raise ControlError("None is neither a grammar, an output type nor a control")
    return GrammarMask(grammar)


def vocabulary_of(
    source: Any, stop_ids: Iterable[int] | None, width: int | None = None
) -> Vocabulary:
    """The vocabulary that `source` is, has, or spells as a Hugging Face tokenizer.

    Args:
        stop_ids: the tokens that end a text; None: what the source says.
        width: columns of the logits, where they may be more than the tokenizer's tokens.

    Raises:
        VocabularyError: no byte mapping, or no stop token where none is named.
        ControlError: the source has other stop tokens than the ones named.
    """
    found = source if isinstance(source, Vocabulary) else getattr(source, "vocabulary", None)
    if found is None:
        found = Vocabulary.from_tokenizer(source, width, stop_ids=stop_ids)
    elif not isinstance(found, Vocabulary):
        raise VocabularyError(f"{type(source).__name__} has no guided.grammars.Vocabulary")
    elif stop_ids is not None and frozenset(stop_ids) != found.stop_ids:
        raise ControlError("stop_ids differ from those of the vocabulary that was given")
    if not found.stop_ids and stop_ids is None:
        raise VocabularyError(NO_STOP)
    return found
