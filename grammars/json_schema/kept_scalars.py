"""How scalar schemas without parts are written, kept between the schemas that hold them."""

from __future__ import annotations

from collections.abc import Hashable

from guided.grammars.ir import Alt, Expr, Lex
from guided.grammars.json_schema.context import Context, Style
from guided.grammars.json_schema.report import Report
from guided.grammars.json_schema.structure import Flat
from guided.grammars.json_schema.terms import Term

#: Expressions kept for one way of writing and reading; and characters of a schema that is kept.
MOST_KEPT = 2048
_LONGEST = 1024
_MOST_STATES = 1024
_kept: dict[Hashable, dict[Flat, Expr]] = {}
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})


def n_kept() -> tuple[int, int]:
    """(scalars that are kept, how many may be)."""
    return sum(map(len, _kept.values())), MOST_KEPT * max(1, len(_kept))


class KeptScalars:
    """What scalars became in earlier schemas that were written and read the same way."""

    def __init__(self, context: Context, style: Style) -> None:
        self._context = context
        how = (style, context.asserts_formats, context.document.dialect)
        self._kept = _kept.setdefault(how, {})
        # Who explains a schema has to see all of it.
        self._is_used = type(context.report) is Report
        self._n_entries = 0

    def content(self, term: Term) -> Flat | None:
        """What tells everything about `term`; None where it depends on other places."""
        node = term.node
        if node is None or not self._is_used or not _REFERENCES.isdisjoint(node.raw):
            return None
        self._n_entries = len(self._context.report.entries)
        return self._context.document.flat(node)

    def get(self, content: Flat) -> Expr | None:
        """The expression of a scalar with that content, if one was kept."""
        return self._kept.get(content)

    def keep(self, content: Flat, expr: Expr) -> None:
        """Keeps the expression of the term whose content was asked for last."""
        # What was refused, and only warned of, is to be warned of again.
        if len(self._context.report.entries) != self._n_entries:
            return
        if sum(len(part) for part in content if isinstance(part, str)) <= _LONGEST and _is_small(
            expr
        ):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[content] = expr


def _is_small(expr: Expr) -> bool:
    """Whether the automata of a scalar take little memory."""
    if isinstance(expr, Alt):
        return all(map(_is_small, expr.parts))
    # Words have no automaton before it is asked for.
    return (
        not isinstance(expr, Lex)
        or "transitions" not in vars(expr.dfa)
        or (expr.dfa.n_states <= _MOST_STATES)
    )
