"""The tokens of a vocabulary by their beginnings, and those that reach into a next item."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from guided.grammars.once import once
from guided.grammars.token_engine import Mask
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.trie import BYTE, SKIP, TOKEN

Tokens = NDArray[np.int32]
ROOT = -1
_COMMA, _BLANK = ord(","), rb"[ \t\r\n]*"
_NEXT_ITEM = re.compile(rb"," + _BLANK + rb"[^ \t\r\n]", re.S)


def among(tokens: Tokens, mask: Mask) -> Tokens:
    """Those of `tokens` that are in a packed mask."""
    chosen: Tokens = tokens[mask[tokens >> 5] >> (tokens & 31) & 1 > 0]
    return chosen


class Spans:
    """The trie of all tokens; its nodes are numbers, `ROOT` stands for no byte."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        tries = vocabulary.tries
        self._first, self._last = tries.first[-2:].tolist()
        self._node, self._root, self._same = tries.node, tries.root[-1], tries.next_same

    def child(self, at: int, byte: int) -> int:
        """The node of `byte` after node `at`, ROOT where there is none."""
        if at == ROOT:
            return int(self._root[byte])
        end, at = int(self._node[at, SKIP]), at + 1
        while at < end:
            if self._node[at, BYTE] == byte:
                return at
            at = int(self._node[at, SKIP])
        return ROOT

    def below(self, at: int, mask: Mask | None = None) -> Iterator[int]:
        """The tokens that end at node `at` or below it; those in `mask`, where it is given."""
        tokens = self._node[at : self._node[at, SKIP], TOKEN]
        tokens = tokens[tokens >= 0]
        if mask is not None:
            tokens = among(tokens, mask)
        for token in tokens.tolist():
            while token >= 0:
                yield token
                token = int(self._same[token])

    @once
    def with_comma(self) -> Tokens:
        """Tokens that have a comma."""
        nodes = self._node[self._first : self._last, BYTE] == _COMMA
        places = (self._first + np.flatnonzero(nodes)).tolist()
        return np.unique([token for at in places for token in self.below(at)]).astype(np.int32)

    @once
    def over_next(self) -> Tokens:
        """Tokens with a comma and what follows it, as they stand outside of strings."""
        return self._where(self.with_comma, _NEXT_ITEM, b"")

    @once
    def over_string(self) -> Tokens:
        """Those of them that may end a string before."""
        return self._where(self.with_comma, _NEXT_ITEM, b'"')

    @once
    def opening(self) -> Tokens:
        """Those of them that may open an array before."""
        return self._where(self.with_comma, _NEXT_ITEM, b"[")

    def _where(self, tokens: Tokens, pattern: re.Pattern[bytes], before: bytes) -> Tokens:
        found = []
        for token in tokens.tolist():
            data = self._vocabulary.grammar_bytes(token) or b""
            at = data.find(before)
            if at >= 0 and pattern.search(data, at):
                found.append(token)
        return np.array(found, np.int32)
