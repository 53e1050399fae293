"""What is enforced of a schema, how, and at which pointer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guided.grammars.json_schema.compile import Schema, specification
from guided.grammars.json_schema.document import Node
from guided.grammars.json_schema.formats import FORMATS, NARROWED
from guided.grammars.json_schema.keywords import ANNOTATIONS
from guided.grammars.json_schema.report import Entry, Report, Status

_HOW = {
    "type": "one alternative for each type; integers are written without a point",
    "enum": "the values that satisfy the rest of the schema, written out",
    "const": "the value, written out",
    "$ref": "the rule that it names, which may be recursive",
    "$dynamicRef": "the rule of the outermost anchor of that name on the way to it",
    "$recursiveRef": "the rule of the outermost schema on the way to it that may be extended",
    "allOf": "intersection",
    "anyOf": "union",
    "oneOf": "union of each branch without the others",
    "not": "difference",
    "if": "union of the case in which it holds and the case in which it does not",
    "then": "see if",
    "else": "see if",
    "minimum": "automaton that compares digits",
    "maximum": "automaton that compares digits",
    "exclusiveMinimum": "automaton that compares digits",
    "exclusiveMaximum": "automaton that compares digits",
    "multipleOf": "automaton of remainders, in exact decimals",
    "minLength": "code points are counted",
    "maxLength": "code points are counted; limits above 4096 are lowered where counting takes "
    "too much",
    "pattern": "automaton of the strings that hold a match (ECMA-262, and Python's re as well)",
    "items": "one rule for every item",
    "additionalItems": "one rule for every item after the leading ones",
    "prefixItems": "one rule for each leading item",
    "minItems": "items are counted",
    "maxItems": "items are counted",
    "uniqueItems": "each value of a finite list at most once; other items are compared with those "
    "before while they are written",
    "contains": "items that match are counted",
    "minContains": "items that match are counted",
    "maxContains": "items that match are counted",
    "properties": "one rule for each member, in this order",
    "patternProperties": "names are divided by the patterns that they match",
    "additionalProperties": "names that are not listed",
    "required": "members that cannot be left out",
    "minProperties": "members are counted",
    "maxProperties": "members are counted",
    "propertyNames": "names are restricted",
    "dependencies": "union of the case with the member and the case without",
    "dependentRequired": "union of the case with the member and the case without",
    "dependentSchemas": "union of the case with the member and the case without",
    "unevaluatedProperties": "members that no chosen branch has looked at",
    "unevaluatedItems": "items that no chosen branch has looked at",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every keyword that was reached, in the order of the schema. Prints as a table."""

    entries: tuple[Entry, ...]

    @property
    def unsupported(self) -> tuple[Entry, ...]:
        """The assertions that cannot be enforced."""
        return tuple(entry for entry in self.entries if entry.status == "unsupported")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __str__(self) -> str:
        width = max((len(entry.pointer) for entry in self.entries), default=0)
        lines = [
            f"{e.pointer:<{min(width, 48)}}  {e.keyword:<21}  {e.status:<11}  {e.note}"
            for e in self.entries
        ]
        return "\n".join(lines) if lines else "nothing is asserted: every JSON document is valid"


class _FullReport(Report):
    """A report that notes every keyword of every schema that is looked at."""

    def __init__(self) -> None:
        super().__init__("note")

    def visit(self, node: Node) -> None:
        for keyword, value in node.raw.items():
            self.add(node.pointer, keyword, *_fate(keyword, value))

    def follow(self, node: Node) -> None:
        self.add(node.pointer, "$ref", "enforced", f"is {node.raw['$ref']}")


def _fate(keyword: str, value: object) -> tuple[Status, str]:
    if keyword == "format":
        if value not in FORMATS:
            return "annotation", f"{value!r} is no format of the standard"
        part = ", of which a regular part is written" if value in NARROWED else ""
        return "enforced", f"automaton of {value}{part}"
    if keyword in _HOW:
        return "enforced", _HOW[keyword]
    if keyword in ANNOTATIONS:
        return "annotation", "asserts nothing"
    return "annotation", "no keyword of the standard, which ignores it"


def explain(schema: Schema) -> Explanation:
    """What becomes of each keyword of `schema`: enforced (how), annotation, or unsupported (why).

    Schemas that nothing refers to are not listed. Raises like `json_schema`, but for
    UnsupportedSchemaError: such keywords are listed.

    Example:
        >>> print(explain({"type": "string", "title": "Name"}))
        #  type                   enforced     one alternative for each type; ...
        #  title                  annotation   asserts nothing
    """
    report = _FullReport()
    specification(schema, report)
    return Explanation(tuple(report.entries.values()))
