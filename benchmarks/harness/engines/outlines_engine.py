"""outlines-core: JSON Schema to regular expression to a complete index."""

from __future__ import annotations

import numpy as np
from outlines_core import Guide, Index, Vocabulary
from outlines_core.json_schema import build_regex_from_schema

from ..tekken import TokenTable
from . import RefusedError, bit


class OutlinesMatcher:
    def __init__(self, index: Index, size: int) -> None:
        self._guide = Guide(index)
        self._mask = np.zeros((size + 31) // 32, dtype=np.int32)
        self._pointer, self._words = self._mask.ctypes.data, self._mask.size

    def mask(self) -> None:
        self._guide.write_mask_into(self._pointer, self._words, 4)

    def accept(self, token: int) -> bool:
        self._guide.advance(token, return_tokens=False)
        return True

    def allows(self, token: int) -> bool:
        return bit(self._mask, token)


class OutlinesCompiled:
    def __init__(self, index: Index, size: int) -> None:
        self._index = index
        self._size = size

    def start(self) -> OutlinesMatcher:
        return OutlinesMatcher(self._index, self._size)


class OutlinesEngine:
    def __init__(self, table: TokenTable) -> None:
        ids: dict[bytes, list[int]] = {}
        for i, token in enumerate(table.tokens):
            if token:
                ids.setdefault(token, []).append(i)
        self._vocabulary = Vocabulary(table.stop_id, ids)
        self._size = table.size

    def compile(self, schema: str) -> OutlinesCompiled:
        try:
            index = Index(build_regex_from_schema(schema), self._vocabulary)
        except Exception as error:  # it raises ValueError, TypeError and RuntimeError
            raise RefusedError(type(error).__name__, str(error)) from error
        return OutlinesCompiled(index, self._size)
