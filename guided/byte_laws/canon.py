"""The canon of a tokenizer: the token sequences that it makes of texts, and their beginnings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from guided.byte_laws.boundaries import DEAD, Boundaries, Wanted
from guided.byte_laws.characters import Characters, Utf8
from guided.byte_laws.merges import Merges
from guided.byte_laws.spelling import Spelling
from guided.byte_laws.splitter import Whole
from guided.byte_laws.tokenizer_rules import (
    boundaries_of,
    byte_tokens,
    description_of,
    merges_of,
)
from guided.errors import VocabularyError
from guided.grammars.vocabulary import Vocabulary

#: The token before the first one of a text.
NOTHING = -1
#: Laws of what may follow, and steps by one token, that are remembered.
_KEPT, _KEPT_STEPS = 512, 1 << 15
_CANONS: WeakValueDictionary[tuple[str, str], Canon] = WeakValueDictionary()


class Canon:
    """Which token may follow which beginning of a canonical sequence.

    A token sequence is canonical where encoding its text gives it back. What goes on from a
    beginning of one depends on two things: the `state` of the `boundaries` after it, and its last
    token; the first beginning is `(boundaries.start, NOTHING)`.

    A sequence that is complete is told exactly (`is_complete`). A beginning is dropped as soon as
    it is refuted: by neighbours that would have been merged, or by cuts that no further characters
    can put right. Some beginnings that no text has are not refuted at once, where every token that
    could go on would be merged; they lead nowhere.

    Texts are what the tokenizer's normalizer leaves, and hold no special and no added tokens. With
    `ignore_merges`, pieces that are tokens no merges lead to count in both forms.

    Attributes:
        spelling: the tokens that stand in canonical sequences.
        excluded: ids of tokens that spell something and never stand in one: added tokens, and
            those that no merges lead to.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        merges: Merges,
        boundaries: Boundaries,
        *,
        without: Iterable[int] = (),
        foreign: frozenset[int] = frozenset(),
        whole_pieces: bool = False,
    ) -> None:
        self.merges, self.boundaries = merges, boundaries
        self.has_whole_pieces = whole_pieces
        spelled = _spelled(vocabulary, without)
        kept = {t: data for t, data in spelled.items() if whole_pieces or merges.reachable[t]}
        self.spelling = Spelling(kept, foreign & kept.keys())
        self.excluded = frozenset(
            token
            for token, data in enumerate(vocabulary.tokens)
            if data is not None and token not in kept and token not in vocabulary.stop_ids
        )
        self.index = {int(token): at for at, token in enumerate(self.spelling.ids)}
        self.follow = lru_cache(_KEPT_STEPS)(self._follow)
        self.after = lru_cache(_KEPT)(self._after)
        self.refused = lru_cache(_KEPT)(self._refused)
        self.is_complete = lru_cache(_KEPT_STEPS)(self._is_complete)
        self._run = lru_cache(_KEPT)(self._run_uncached)

    @classmethod
    def of(cls, tokenizer: Any, vocabulary: Vocabulary) -> Canon:
        """The canon of a Hugging Face tokenizer; without one, of single bytes.

        Equal tokenizers share one, and what it has found out, while it is in use.

        Raises:
            VocabularyError: what byte laws do not support, by name.
        """
        if tokenizer is None:
            return cls._of_bytes(vocabulary)
        description = description_of(tokenizer)
        content = json.dumps(description, sort_keys=True).encode()
        key = hashlib.blake2b(content).hexdigest(), vocabulary.key
        found = _CANONS.get(key)
        if found is None:
            found = _CANONS[key] = cls._of_bpe(description, vocabulary)
        return found

    @classmethod
    def _of_bpe(cls, description: dict[str, Any], vocabulary: Vocabulary) -> Canon:
        added = {int(item["id"]) for item in description.get("added_tokens") or ()}
        return cls(
            vocabulary,
            merges_of(description, vocabulary.size),
            boundaries_of(description),
            without=added,
            foreign=byte_tokens(description),
            whole_pieces=bool(description["model"].get("ignore_merges")),
        )

    @classmethod
    def _of_bytes(cls, vocabulary: Vocabulary) -> Canon:
        spelled = _spelled(vocabulary)
        if any(len(data) != 1 for data in spelled.values()):
            raise VocabularyError(
                "the model has no tokenizer, and tokens of more than one byte; byte laws need to "
                "know which tokens a text is made of"
            )
        merges = Merges(vocabulary.size, spelled, ())
        return cls(vocabulary, merges, Boundaries(Whole(), Utf8(Characters([]))))

    def _follow(self, state: int, last: int, token: int) -> int:
        """The state after one more token; DEAD where no canonical sequence begins so."""
        at = self.index.get(token)
        if at is None:
            return DEAD
        wanted = Wanted.EITHER if self._adjacent(last, token) else Wanted.CUT
        is_foreign = bool(self.spelling.is_foreign[at])
        for byte in self.spelling.bytes[token]:
            state = self.boundaries.step(state, byte, wanted, is_foreign)
            wanted = Wanted.JOINED
            if state == DEAD:
                return DEAD
        return state if self.boundaries.is_possible(state) else DEAD

    def _adjacent(self, left: int, right: int) -> bool:
        if left == NOTHING:
            return True
        reachable = self.merges.reachable
        return bool(reachable[left] and reachable[right]) and self.merges.adjacent(left, right)

    def _after(self, state: int, last: int) -> NDArray[np.int32]:
        """`follow` for all tokens, int32 `[n]` in the order of `spelling`; read-only, kept."""
        joined = self._run(state, Wanted.EITHER)
        if last == NOTHING:
            return joined
        if not self.merges.reachable[last]:
            return self._run(state, Wanted.CUT)
        adjacent = self.merges.following(last)[self.spelling.ids]
        found = np.where(adjacent, joined, self._run(state, Wanted.CUT))
        found.flags.writeable = False
        return found

    def _refused(self, state: int, last: int) -> NDArray[np.bool_]:
        """Where `after` is DEAD, `[n]`; read-only, kept."""
        found = self.after(state, last) < 0
        found.flags.writeable = False
        return found

    def _run_uncached(self, state: int, wanted: int) -> NDArray[np.int32]:
        found = self.boundaries.run(state, self.spelling, wanted)
        found.flags.writeable = False
        return found

    def _is_complete(self, state: int) -> bool:
        """Whether the sequence is canonical as it stands, so that the text may end."""
        return self.boundaries.may_end(state)


def _spelled(vocabulary: Vocabulary, without: Iterable[int] = ()) -> dict[int, bytes]:
    """The tokens that texts may be made of, and their bytes: not special ones, nor `without`."""
    out = {*without, *vocabulary.specials.values(), *vocabulary.stop_ids}
    return {
        token: data
        for token, data in enumerate(vocabulary.tokens)
        if data is not None and token not in out
    }
