"""Schema expressions: interned boolean combinations of places in a document and of JSON values.

They are what properties and items refer to, and they are looked into only when needed, so that
recursive schemas are finite.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.document import Document, Node


class Term:
    """A schema expression. Equal expressions of one `Terms` are one object."""

    __slots__ = ("hint", "kind", "node", "number", "parts", "value")

    def __init__(self, number: int, kind: str) -> None:
        self.number = number
        self.kind = kind  # any never at const and or not
        self.node: Node | None = None
        self.value: Any = None
        self.parts: tuple[Term, ...] = ()
        self.hint = ""

    @property
    def pointer(self) -> str:
        """The JSON pointer that the expression comes from, as far as there is one."""
        if self.node is not None:
            return self.node.pointer
        return next((p.pointer for p in self.parts if p.pointer), self.hint)

    def __repr__(self) -> str:
        if self.kind in ("at", "const"):
            return f"{self.kind}({self.pointer if self.node else json.dumps(self.value)})"
        return f"{self.kind}({', '.join(map(repr, self.parts))})" if self.parts else self.kind


class Terms:
    """Makes and interns terms."""

    def __init__(self, document: Document, budget: Budget) -> None:
        self._document = document
        self._budget = budget
        self._table: dict[object, Term] = {}
        self.any = self._intern("any", "any")
        self.never = self._intern("never", "never")

    def _intern(self, key: object, kind: str) -> Term:
        term = self._table.get(key)
        if term is None:
            self._budget.spend(2)
            term = self._table[key] = Term(len(self._table), kind)
        return term

    def at(self, node: Node) -> Term:
        """The schema at `node`."""
        raw = node.raw
        if raw is True or raw == {}:
            return self.any
        if raw is False:
            return self.never
        key = (node.base, self._document.number(node), node.scope)
        term = self._table.get(key)
        if term is None:
            term = self._intern(key, "at")
            term.node = node
        return term

    def const(self, value: Any, hint: str = "") -> Term:
        """Exactly `value`."""
        term = self._intern(("const", json.dumps(value)), "const")
        if not term.hint:
            term.value, term.hint = value, hint
        return term

    def negation(self, term: Term) -> Term:
        """Everything that `term` is not."""
        if term.kind == "not":
            return term.parts[0]
        if term is self.any:
            return self.never
        if term is self.never:
            return self.any
        if term.kind == "and":
            return self.any_of(map(self.negation, term.parts))
        if term.kind == "or":
            return self.all_of(map(self.negation, term.parts))
        made = self._intern(("not", term.number), "not")
        made.parts = (term,)
        return made

    def all_of(self, terms: Iterable[Term]) -> Term:
        """What all `terms` allow."""
        return self._combine("and", terms, self.any, self.never)

    def any_of(self, terms: Iterable[Term]) -> Term:
        """What one of the `terms` allows."""
        return self._combine("or", terms, self.never, self.any)

    def _combine(self, kind: str, terms: Iterable[Term], unit: Term, zero: Term) -> Term:
        parts: dict[int, Term] = {}
        for term in terms:
            if term is unit:
                continue
            for part in term.parts if term.kind == kind else (term,):
                if part is zero:
                    return zero
                parts[part.number] = part
        if len(parts) <= 1:
            return next(iter(parts.values()), unit)
        for part in parts.values():
            if part.kind == "not" and part.parts[0].number in parts:
                return zero
        made = self._intern((kind, *sorted(parts)), kind)
        if not made.parts:
            made.parts = tuple(parts.values())
        return made
