"""What a parser has to know of a grammar beside its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from guided.grammars.free_group import FreeGroup


class Marks(NamedTuple):
    """What is special about some terminals and rule states.

    Attributes:
        free_text: terminals that hold free text before a trigger.
        distinct: terminals that open an array whose items must differ.
        scarce: terminals that open one whose items may run out, with what later ones may need.
        any_order: rule states in which members in free order begin.
    """

    free_text: frozenset[int]
    distinct: frozenset[int]
    scarce: Mapping[int, str]
    any_order: Mapping[int, FreeGroup]
