"""From places in a schema to normal forms: what values a schema expression allows."""

from __future__ import annotations

from guided.errors import SchemaError, UnsupportedSchemaError
from guided.grammars.json_schema.applicators import apply_all
from guided.grammars.json_schema.assertions import assertions
from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.document import Document, Node
from guided.grammars.json_schema.normal import Algebra, Normal
from guided.grammars.json_schema.report import Report
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term, Terms

_DEEPEST_PROOF = 24


class Translator:
    """Works out the normal form of terms, each once."""

    def __init__(
        self, document: Document, report: Report, budget: Budget, asserts_formats: bool
    ) -> None:
        self.document = document
        self.report = report
        self.budget = budget
        self.asserts_formats = asserts_formats
        self.terms = Terms(document, budget)
        self.algebra = Algebra(
            self.terms, budget, self.normal, self.is_empty, not document.tracks_evaluation
        )
        self._forms: dict[Term, Normal] = {}
        self._empty: dict[Term, bool] = {}
        # Terms being worked out; a None marks where a proof of emptiness began.
        self._open: list[Term | None] = []

    def close(self) -> None:
        """Lets go of what refers back to this object, so that no collector need find it."""
        del self.algebra

    # -- places ---------------------------------------------------------------------------------

    def place(self, node: Node, *segments: str) -> Term:
        """The expression for the schema below `node`; a bare `$ref` is followed."""
        return self.term(self.document.child(node, *segments))

    def places(self, node: Node, keyword: str) -> dict[str, Term]:
        """The expressions for the schemas in the object at `keyword`, by their names."""
        child, term = self.document.child, self.term
        holder = child(node, keyword)
        return {name: term(child(holder, name)) for name in holder.raw}

    def term(self, node: Node) -> Term:
        """The expression for the schema at `node`; a bare `$ref` is followed."""
        raw = node.raw
        if isinstance(raw, dict) and "$ref" in raw:
            node = self._followed(node)
            raw = node.raw
        if not isinstance(raw, (dict, bool)):
            raise SchemaError("a schema must be an object, true or false", node.pointer)
        return self.terms.at(node)

    def _followed(self, node: Node) -> Node:
        """The place that a bare `$ref` at `node` leads to in the end."""
        seen: set[int] = set()
        while isinstance(node.raw, dict) and isinstance(node.raw.get("$ref"), str):
            if len(node.raw) > 1 and not self.document.dialect.ref_hides_siblings:
                break
            if id(node.raw) in seen:
                raise SchemaError("a reference that leads back to itself", node.at("$ref"))
            seen.add(id(node.raw))
            self.report.follow(node)
            node = self.document.resolve(node, node.raw["$ref"])
        return node

    # -- normal forms ---------------------------------------------------------------------------

    def normal(self, term: Term) -> Normal:
        """The normal form of `term`; raises SchemaError, InexpressibleError."""
        known = self._forms.get(term)
        if known is not None:
            return known
        self._check_loop(term)
        self.budget.spend()
        self._open.append(term)
        try:
            form = self._work_out(term)
        finally:
            self._open.pop()
        self._forms[term] = form
        return form

    def _check_loop(self, term: Term) -> None:
        if term not in self._open:
            return
        since = len(self._open) - self._open[::-1].index(term) - 1
        if None in self._open[since:]:
            raise InexpressibleError("a proof that leads back to itself")
        raise SchemaError("a reference that leads back to itself", term.pointer)

    def _work_out(self, term: Term) -> Normal:
        algebra = self.algebra
        if term.kind == "any":
            return algebra.top
        if term.kind == "never":
            return Normal()
        if term.kind == "const":
            return algebra.consts([term.value], term.hint)
        if term.kind == "or":
            return algebra.join(map(self.normal, term.parts))
        if term.node is not None:
            return self._schema(term.node)
        return self._conjunction(term)

    def _conjunction(self, term: Term) -> Normal:
        """The normal form of an `and` or a `not`: what all ask for, less what some forbid."""
        parts = term.parts if term.kind == "and" else (term,)
        form = self.algebra.top
        for part in parts:
            if part.kind != "not":
                form = self.algebra.meet(form, self.normal(part))
        for part in parts:
            if part.kind == "not":
                inner = part.parts[0]
                try:
                    form = self.algebra.subtract(form, self.normal(inner))
                except InexpressibleError as error:
                    self.refuse(inner.pointer, "not", str(error))
        return form

    def _schema(self, node: Node) -> Normal:
        self.report.visit(node)
        try:
            return apply_all(node, assertions(node, self), self)
        except InexpressibleError as error:
            self.refuse(node.pointer, "schema", str(error))
            return self.algebra.top

    def refuse(self, pointer: str, keyword: str, reason: str) -> None:
        """Refuse a keyword; within a proof of emptiness this only ends the proof."""
        if None in self._open:
            raise InexpressibleError(reason)
        self.report.refuse(pointer, keyword, reason)

    # -- emptiness ------------------------------------------------------------------------------

    def is_empty(self, term: Term) -> bool:
        """Whether `term` is proven to allow no value; False also means unknown."""
        known = self._empty.get(term)
        if known is not None:
            return known
        if term.kind in ("any", "never"):
            return term.kind == "never"
        if self._open.count(None) >= _DEEPEST_PROOF:
            return False
        self._empty[term] = False  # what a recursive question gets to hear
        self._open.append(None)
        try:
            found = self.algebra.is_empty(self.normal(term))
        except (InexpressibleError, UnsupportedSchemaError):
            found = False
        finally:
            self._open.pop()
        self._empty[term] = found
        return found
