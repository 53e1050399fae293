"""Grammars with every rule state written out, as context-free algorithms read them."""

from __future__ import annotations

from dataclasses import dataclass

from guided.grammars.any_order import AnyOrder
from guided.grammars.rule_builder import RuleBuilder
from guided.grammars.tables import compile_tables
from guided.kernels.memo_arrays import Rules

#: Rule states that members in free order may be expanded to.
EXPANDED_LIMIT = 20_000


@dataclass(frozen=True)
class PlainRules:
    """A grammar without unexpanded rule states.

    Attributes:
        rules: the flat arrays.
        complete: whether all texts are kept. Where members in free order have too many orders,
            those that keep the order of the grammar remain: a part of the language.
    """

    rules: Rules
    complete: bool


def plain_rules(rules: Rules, builder: RuleBuilder, limit: int = EXPANDED_LIMIT) -> PlainRules:
    """`rules` with members in free order expanded, up to `limit` more rule states."""
    if not builder.any_order:
        return PlainRules(rules, True)
    any_order = AnyOrder(builder.any_order, rules)
    most = len(rules.state) + limit
    waiting = any_order.unexpanded(0)
    while waiting and any_order.n_states <= most:
        known = any_order.n_states
        any_order.expand(waiting.pop())
        waiting += any_order.unexpanded(known)
    if waiting:
        ordered = RuleBuilder(builder.spec, in_order=True)
        ordered.build()
        return PlainRules(compile_tables(ordered), False)
    return PlainRules(any_order.rules(), True)
