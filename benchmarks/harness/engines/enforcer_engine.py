"""lm-format-enforcer: walks a character trie in Python; its mask is a list of allowed ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from lmformatenforcer import JsonSchemaParser, TokenEnforcer, TokenEnforcerTokenizerData

from ..tekken import TokenTable
from . import RefusedError


class EnforcerMatcher:
    def __init__(self, enforcer: TokenEnforcer) -> None:
        self._enforcer = enforcer
        self._written: list[int] = []
        self._allowed: list[int] = []

    def mask(self) -> None:
        self._allowed = self._enforcer.get_allowed_tokens(self._written).allowed_tokens

    def accept(self, token: int) -> bool:
        self._written.append(token)
        return True

    def allows(self, token: int) -> bool:
        return token in self._allowed


class EnforcerCompiled:
    def __init__(self, data: TokenEnforcerTokenizerData, schema: str) -> None:
        self._data = data
        self._parser = JsonSchemaParser(json.loads(schema))

    def start(self) -> EnforcerMatcher:
        return EnforcerMatcher(TokenEnforcer(self._data, self._parser))


class EnforcerEngine:
    def __init__(self, table: TokenTable) -> None:
        logging.disable(logging.CRITICAL)
        self._tokens = table.tokens
        plain = [
            (i, token.decode(errors="replace"), False)
            for i, token in enumerate(table.tokens)
            if token
        ]
        self._data = TokenEnforcerTokenizerData(
            plain, self._decode, table.stop_id, use_bitmask=False, vocab_size=table.size
        )

    def _decode(self, ids: Sequence[int]) -> str:
        data = b"".join(self._tokens[i] or b"" for i in ids)
        return data.decode(errors="replace").rstrip("\ufffd")

    def compile(self, schema: str) -> EnforcerCompiled:
        try:
            return EnforcerCompiled(self._data, schema)
        except Exception as error:  # it raises what its parser happens to meet
            raise RefusedError(type(error).__name__, str(error)) from error
