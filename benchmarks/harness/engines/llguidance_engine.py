"""llguidance, default options."""

from __future__ import annotations

from typing import Any

import llguidance
import numpy as np

from ..tekken import TokenTable
from . import RefusedError, bit


class LlguidanceMatcher:
    def __init__(self, matcher: Any, words: int) -> None:
        self._matcher = matcher
        self._mask = np.zeros(words, dtype=np.int32)
        self._pointer, self._bytes = self._mask.ctypes.data, self._mask.nbytes

    def mask(self) -> None:
        self._matcher.unsafe_compute_mask_ptr(self._pointer, self._bytes)

    def accept(self, token: int) -> bool:
        return bool(self._matcher.consume_token(token))

    def allows(self, token: int) -> bool:
        if self._matcher.is_error():
            raise RuntimeError(self._matcher.get_error())
        return bit(self._mask, token)


class LlguidanceCompiled:
    def __init__(self, first: Any, words: int) -> None:
        self._first = first
        self._words = words

    def start(self) -> LlguidanceMatcher:
        return LlguidanceMatcher(self._first.deep_copy(), self._words)


class LlguidanceEngine:
    def __init__(self, table: TokenTable) -> None:
        # Its own tokenizer must know the real merges: it allows forced text in canonical form only.
        kind: Any = llguidance.LLTokenizer  # its stubs do not name this method
        self._tokenizer = kind.from_tiktoken(
            encoder={token: i for i, token in enumerate(table.tokens) if token is not None},
            special_tokens=table.specials,
            pattern=table.pattern,
            eos_token=table.stop_id,
            n_vocab=table.size,
        )
        self._words = (table.size + 31) // 32

    def compile(self, schema: str) -> LlguidanceCompiled:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            message = matcher.get_error()
            raise RefusedError(_kind(message), message)
        return LlguidanceCompiled(matcher, self._words)


def _kind(message: str) -> str:
    """The message without what is particular to one schema."""
    first = message.strip().splitlines()[0]
    for mark in (":", "[", "{", '"'):
        first = first.split(mark)[0] or first
    return first.strip()[:60]
