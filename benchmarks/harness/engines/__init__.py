"""The engines that are compared, one file each.

An engine has a name, is built from a `TokenTable`, and compiles a JSON Schema, given as text, into
a `Compiled` that starts matchers. All engines do the same work per step: take one token, then fill
a packed bit mask over the whole vocabulary (lm-format-enforcer: a list of allowed ids).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..tekken import TokenTable

NAMES = (
    "guided",
    "guided-any-order",
    "guided-new",
    "guided-any-order-new",
    "llguidance",
    "xgrammar",
    "outlines-core",
    "lm-format-enforcer",
)
#: Engines that take minutes for what others do in milliseconds.
SLOW = ("outlines-core", "lm-format-enforcer")
DISTRIBUTIONS = {
    "guided": "guided",
    "guided-any-order": "guided",
    "guided-new": "guided",
    "guided-any-order-new": "guided",
    "llguidance": "llguidance",
    "xgrammar": "xgrammar",
    "xgrammar-loose": "xgrammar",
    "outlines-core": "outlines-core",
    "lm-format-enforcer": "lm-format-enforcer",
}
#: Behind the name of an engine: it reads no compiled grammar from disk.
NEW = "-new"
GUIDED_OPTIONS: dict[str, dict[str, str]] = {
    "guided": {},
    "guided-any-order": {"property_order": "any"},
    # All that the standard calls valid, and the same with formats asserted.
    "guided-standard": {"property_order": "any", "numbers": "any", "formats": "ignore"},
    "guided-standard-formats": {"property_order": "any", "numbers": "any"},
}
NOTES = {
    "guided": "members in the schema's order: a document with others is rejected (figures that end"
    " in _of_documents_in_order leave out those that guided-any-order accepts); compiled grammars"
    " are read from disk, where a process that did the same schemas before has left them, as masks"
    " are",
    "guided-new": "as guided, for schemas that no process has compiled before",
    "guided-any-order-new": "as guided-any-order, for schemas that no process has compiled before",
    "guided-any-order": "members in any order",
    "xgrammar": "default options: strict mode, properties and items that the schema does not name"
    " are refused",
    "xgrammar-loose": "strict_mode=False",
}


class RefusedError(Exception):
    """The engine declined the schema by an error of its own; `kind` is the error's class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Matcher(Protocol):
    """One document being written."""

    def mask(self) -> None:
        """Computes the mask of the next token (timed)."""

    def accept(self, token: int) -> bool:
        """Takes a token (timed). Returns False where the engine refuses it."""

    def allows(self, token: int) -> bool:
        """Whether the last mask allows `token` (not timed)."""


class Compiled(Protocol):
    """A schema compiled by one engine."""

    def start(self) -> Matcher:
        """A new matcher at the start of a document."""


class Engine(Protocol):
    """One engine with its vocabulary."""

    def compile(self, schema: str) -> Compiled:
        """Compiles a schema. Raises RefusedError."""


def bit(words: NDArray[np.int32], token: int) -> bool:
    """Whether bit `token` of a packed mask is set."""
    return bool(int(words[token >> 5]) >> (token & 31) & 1)


def build(name: str, table: TokenTable) -> Engine:
    """The engine `name`. Raises ImportError where its package is missing."""
    if name.startswith("grammar:"):
        from ..beyond_json import build as build_reader

        return build_reader(name.removeprefix("grammar:"), table)
    if (plain := name.removesuffix(NEW)) in GUIDED_OPTIONS:
        from .guided_engine import GuidedEngine

        return GuidedEngine(table, anew=name != plain, **GUIDED_OPTIONS[plain])
    if name == "llguidance":
        from .llguidance_engine import LlguidanceEngine

        return LlguidanceEngine(table)
    if name in ("xgrammar", "xgrammar-loose"):
        from .xgrammar_engine import XgrammarEngine

        return XgrammarEngine(table, strict=name == "xgrammar")
    if name == "outlines-core":
        from .outlines_engine import OutlinesEngine

        return OutlinesEngine(table)
    if name == "lm-format-enforcer":
        from .enforcer_engine import EnforcerEngine

        return EnforcerEngine(table)
    raise ValueError(f"no engine is called {name!r}; there are {', '.join(NAMES)}")
