"""What the parts of the translation may ask of one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from guided.grammars.ir import Expr
from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.document import Document, Node
from guided.grammars.json_schema.layout import Layout
from guided.grammars.json_schema.normal import Algebra, Normal
from guided.grammars.json_schema.report import Report
from guided.grammars.json_schema.terms import Term, Terms


class Context(Protocol):
    """One schema being translated."""

    document: Document
    report: Report
    budget: Budget
    terms: Terms
    algebra: Algebra
    asserts_formats: bool

    def place(self, node: Node, *segments: str) -> Term:
        """The expression for the schema below `node`."""

    def places(self, node: Node, keyword: str) -> dict[str, Term]:
        """The expressions for the schemas in the object at `keyword`, by their names."""

    def term(self, node: Node) -> Term:
        """The expression for the schema at `node`."""

    def normal(self, term: Term) -> Normal:
        """The normal form of `term`."""

    def is_empty(self, term: Term) -> bool:
        """Whether `term` is proven to allow no value."""

    def refuse(self, pointer: str, keyword: str, reason: str) -> None:
        """Refuse a keyword."""


@dataclass(frozen=True, slots=True)
class Style:
    """How documents are written.

    `in_order`: members keep the order of the schema; `pointed`: integers may be written as `1.0`.
    """

    layout: Layout
    in_order: bool
    pointed: bool


class Writer(Protocol):
    """One grammar being written."""

    translator: Context
    style: Style
    rules: dict[str, Expr]
    left_out: str | None

    def value(self, term: Term) -> Expr:
        """How a value in `term` is written."""

    def form(self, term: Term) -> Normal:
        """The normal form of `term`."""

    def fresh(self, stem: str) -> str:
        """A rule name that is not in use."""
