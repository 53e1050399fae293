"""guided."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from guided.errors import GuidedError
from guided.grammars.grammar import Grammar, GrammarState
from guided.grammars.json_schema import json_schema
from guided.grammars.kept_grammars import compiled_anew
from guided.grammars.vocabulary import Vocabulary

from ..tekken import TokenTable
from . import RefusedError, bit


class GuidedMatcher:
    def __init__(self, state: GrammarState) -> None:
        self._state = state

    def mask(self) -> None:
        self._mask = self._state.mask()

    def accept(self, token: int) -> bool:
        after = self._state.advance(token)
        if after is None:
            return False
        self._state = after
        return True

    def allows(self, token: int) -> bool:
        return bit(self._mask, token)


class GuidedCompiled:
    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        self._grammar = grammar
        self._vocabulary = vocabulary

    def start(self) -> GuidedMatcher:
        return GuidedMatcher(self._grammar.start(self._vocabulary))


class GuidedEngine:
    def __init__(self, table: TokenTable, *, anew: bool = False, **options: Any) -> None:
        """`options` are those of `json_schema`; `anew`: no compiled grammar is read from disk."""
        self._vocabulary = Vocabulary.from_tokens(
            table.tokens, stop_ids=[table.stop_id], specials=table.specials
        )
        self._options = options
        self._how = compiled_anew if anew else nullcontext

    def compile(self, schema: str) -> GuidedCompiled:
        try:
            with self._how():
                grammar = json_schema(schema, **self._options)
        except GuidedError as error:
            keyword = getattr(error, "keyword", "")
            kind = type(error).__name__ + (f" ({keyword})" if keyword else "")
            raise RefusedError(kind, str(error)) from error
        return GuidedCompiled(grammar, self._vocabulary)
