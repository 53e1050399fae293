"""The tokens of a vocabulary in the order of their bytes, and those that reach into a next item."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

from guided.grammars.vocabulary import Vocabulary

_NEXT_ITEM = re.compile(rb",[ \t\r\n]*[^ \t\r\n]", re.S)
_BOUNDARY = re.compile(rb"[\"}\],0-9aefln \t\r\n]")


class Spans:
    """Tokens by their beginnings."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        pairs = ((vocabulary.grammar_bytes(token), token) for token in range(vocabulary.size))
        found = sorted((data, token) for data, token in pairs if data is not None)
        #: The bytes of all tokens in order, and their ids.
        self.texts = [data for data, _ in found]
        self.ids = [token for _, token in found]

    def after(self, prefix: bytes, byte: int, low: int, high: int) -> tuple[int, int]:
        """The range of tokens that go on with `byte` among those that begin with `prefix`."""
        begin = bisect_left(self.texts, prefix + bytes((byte,)), low, high)
        if byte == 0xFF:
            return begin, high
        return begin, bisect_left(self.texts, prefix + bytes((byte + 1,)), begin, high)

    @cached_property
    def over_next(self) -> list[int]:
        """Tokens with a comma and what follows it, as they stand outside of strings."""
        return self._where(_NEXT_ITEM, b"")

    @cached_property
    def over_string(self) -> list[int]:
        """Those of them that may end a string before."""
        return self._where(_NEXT_ITEM, b'"')

    @cached_property
    def opening(self) -> list[int]:
        """Those of them that may open an array before."""
        return self._where(_NEXT_ITEM, b"[")

    @cached_property
    def ending(self) -> list[int]:
        """Tokens that may end an item, or begin one."""
        pairs = zip(self.texts, self.ids, strict=True)
        return [token for data, token in pairs if _BOUNDARY.search(data)]

    def _where(self, pattern: re.Pattern[bytes], before: bytes) -> list[int]:
        found = []
        for data, token in zip(self.texts, self.ids, strict=True):
            at = data.find(before)
            if at >= 0 and pattern.search(data, at):
                found.append(token)
        return found
