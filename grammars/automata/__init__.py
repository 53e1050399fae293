"""Regular languages over bytes as minimal deterministic automata."""

from guided.grammars.automata.build import (
    byte_class,
    code_point_count,
    code_points,
    complement,
    concatenation,
    empty,
    epsilon,
    literal,
    literals,
    union,
    utf8,
    without,
)
from guided.grammars.automata.dfa import MAX_STATES, Dfa, contains, intersects
from guided.grammars.automata.finite import Others, Words

__all__ = [
    "MAX_STATES",
    "Dfa",
    "Others",
    "Words",
    "byte_class",
    "code_point_count",
    "code_points",
    "complement",
    "concatenation",
    "contains",
    "empty",
    "epsilon",
    "intersects",
    "literal",
    "literals",
    "union",
    "utf8",
    "without",
]
