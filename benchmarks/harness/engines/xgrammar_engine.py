"""xgrammar, one thread."""

from __future__ import annotations

from typing import Any

import xgrammar

from ..tekken import TokenTable
from . import RefusedError, bit


class XgrammarMatcher:
    def __init__(self, compiled: Any, size: int) -> None:
        self._matcher = xgrammar.GrammarMatcher(compiled)
        self._mask = xgrammar.allocate_token_bitmask(1, size)
        self._words = self._mask[0].numpy()
        self._apply = True

    def mask(self) -> None:
        self._apply = self._matcher.fill_next_token_bitmask(self._mask)

    def accept(self, token: int) -> bool:
        return bool(self._matcher.accept_token(token))

    def allows(self, token: int) -> bool:
        return not self._apply or bit(self._words, token)


class XgrammarCompiled:
    def __init__(self, compiled: Any, size: int) -> None:
        self._compiled = compiled
        self._size = size

    def start(self) -> XgrammarMatcher:
        return XgrammarMatcher(self._compiled, self._size)


class XgrammarEngine:
    def __init__(self, table: TokenTable, strict: bool) -> None:
        names = {i: text.encode() for text, i in table.specials.items()}
        info = xgrammar.TokenizerInfo(
            [names[i] if t is None else t for i, t in enumerate(table.tokens)],
            vocab_size=table.size,
            stop_token_ids=[table.stop_id],
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._size = table.size
        self._strict = strict

    def compile(self, schema: str) -> XgrammarCompiled:
        try:
            compiled = self._compiler.compile_json_schema(schema, strict_mode=self._strict)
        except Exception as error:  # xgrammar raises RuntimeError and classes of its own
            raise RefusedError(type(error).__name__, str(error)) from error
        return XgrammarCompiled(compiled, self._size)
