"""A slow reference grammar: a finite list of words, every answer by looking at all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from guided.errors import BudgetError
from guided.grammars.spacing import Spacing
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.mask_apply import pack_tokens


@dataclass(frozen=True)
class WordGrammar:
    """The language of exactly these words; has the interface of a compiled grammar."""

    words: frozenset[bytes]

    def __init__(self, words: Iterable[bytes]) -> None:
        object.__setattr__(self, "words", frozenset(words))

    @property
    def key(self) -> bytes:
        return repr(sorted(self.words)).encode()

    def start(self, vocabulary: Vocabulary) -> WordState:
        return WordState(self, vocabulary, b"")

    def accepts(self, data: bytes) -> bool:
        return data in self.words

    def with_prefix(self, data: bytes) -> WordGrammar:
        return WordGrammar(data + word for word in self.words)


@dataclass(frozen=True)
class WordState:
    """The text so far."""

    grammar: WordGrammar
    vocabulary: Vocabulary
    text: bytes
    is_finished: bool = False
    in_free_text: bool = False

    @property
    def key(self) -> tuple[bytes, bytes, bool]:
        return self.grammar.key, self.text, self.is_finished

    @property
    def is_accepting(self) -> bool:
        return self.is_finished or self.text in self.grammar.words

    @property
    def bound(self) -> int:
        return len(self.completion()) + 1

    def advance(self, token: int) -> WordState | None:
        if token in self.vocabulary.stop_ids:
            return replace(self, is_finished=True) if self.is_accepting else None
        data = self.vocabulary.grammar_bytes(token)
        if self.is_finished or not data:
            return None
        text = self.text + data
        if not any(word.startswith(text) for word in self.grammar.words):
            return None
        return WordState(self.grammar, self.vocabulary, text)

    def accepts(self, token: int) -> bool:
        return self.advance(token) is not None

    def accepts_within(self, token: int, budget: int) -> bool:
        after = self.advance(token)
        return after is not None and (0 if after.is_finished else after.bound) < budget

    def fits(self, budget: int) -> bool:
        return (0 if self.is_finished else self.bound) <= budget

    def accept_many(self, tokens: Sequence[int]) -> int:
        state: WordState | None = self
        for count, token in enumerate(tokens):
            state = state.advance(token) if state is not None else None
            if state is None:
                return count
        return len(tokens)

    def mask(self) -> NDArray[np.int32]:
        return self._packed(token for token in range(self.vocabulary.size) if self.accepts(token))

    def mask_within(self, budget: int) -> NDArray[np.int32]:
        fitting = []
        for token in range(self.vocabulary.size):
            if self.accepts_within(token, budget):
                fitting.append(token)
        if not fitting:
            raise BudgetError(f"{self.bound} tokens suffice, not {budget}", self.bound)
        return self._packed(fitting)

    def _packed(self, tokens: Iterable[int]) -> NDArray[np.int32]:
        return pack_tokens(tokens, self.vocabulary.size)

    def forced(self) -> bytes:
        rests = [w[len(self.text) :] for w in self.grammar.words if w.startswith(self.text)]
        common = min(rests, key=len)
        while not all(rest.startswith(common) for rest in rests):
            common = common[:-1]
        return common

    def likely_texts(self, spacing: Spacing, most: int = 1) -> tuple[bytes, ...]:
        rests = {w[len(self.text) :] for w in self.grammar.words if w.startswith(self.text)}
        return tuple(sorted(rests)) if len(rests) <= most else (self.forced(),)

    def completion(self) -> list[int]:
        if self.is_finished:
            return []
        rests = [w[len(self.text) :] for w in self.grammar.words if w.startswith(self.text)]
        return min((self.vocabulary.encode(rest) for rest in rests), key=len)
