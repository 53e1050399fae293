"""From normal forms to grammar rules."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import Alt, CountedString, Expr, GrammarSpec, Lex, Ref
from guided.grammars.json_schema.emit_arrays import array_expr
from guided.grammars.json_schema.emit_objects import object_expr
from guided.grammars.json_schema.layout import Layout
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.number_text import number_text
from guided.grammars.json_schema.prune import prune
from guided.grammars.json_schema.quoting import quoted, quoted_word
from guided.grammars.json_schema.strings import Inexpressible, StringShape, language
from guided.grammars.json_schema.terms import Term
from guided.grammars.json_schema.translate import Translator

NEVER = Alt(())


@dataclass(frozen=True, slots=True)
class Style:
    """How documents are written: white space, and whether members keep the schema's order."""

    layout: Layout
    in_order: bool


class Emitter:
    """Writes one rule for every term that is reached and is not a plain literal."""

    def __init__(self, translator: Translator, style: Style) -> None:
        self.translator = translator
        self.style = style
        self.rules: dict[str, Expr] = {}
        self._names: dict[Term, str] = {}
        self._scalars: dict[Term, Expr] = {}
        self._queue: deque[Term] = deque()

    def grammar(self, start: Term) -> GrammarSpec:
        """The rules of everything that `start` reaches; raises UnsatisfiableSchemaError."""
        first = self._named(start)
        while self._queue:
            term = self._queue.popleft()
            name = self._names[term]
            self.rules[name] = self._rule(term, name)
        return prune(GrammarSpec(self.rules, first))

    def value(self, term: Term) -> Expr:
        """How a value in `term` is written: scalars in place, everything else as a rule."""
        known = self._scalars.get(term)
        if known is not None:
            return known
        if term in self._names:
            return Ref(self._names[term])
        if term is self.translator.terms.never:
            return NEVER
        form = self.form(term)
        if form.arrays or form.objects:
            return Ref(self._named(term))
        expr = self._scalars[term] = _alternatives(self._scalar_parts(form, term))
        return expr

    def form(self, term: Term) -> Normal:
        """The normal form of `term`; a refusal names the place."""
        try:
            return self.translator.normal(term)
        except Inexpressible as error:
            self.translator.refuse(term.pointer, "schema", str(error))
            return self.translator.algebra.top

    def fresh(self, stem: str) -> str:
        """A rule name that is not in use."""
        name, count = stem, 1
        while name in self.rules:
            count += 1
            name = f"{stem} ({count})"
        self.rules[name] = NEVER
        return name

    def _named(self, term: Term) -> str:
        if term not in self._names:
            self.translator.budget.spend(4)
            stem = "value" if term is self.translator.terms.any else term.pointer or "#"
            if term.kind in ("and", "or", "not"):
                stem = f"{stem} {term.kind} …"
            self._names[term] = self.fresh(stem)
            self._queue.append(term)
        return self._names[term]

    def _rule(self, term: Term, name: str) -> Expr:
        form = self.form(term)
        parts = self._scalar_parts(form, term)
        for array in form.arrays:
            parts += self._guarded(lambda a=array: array_expr(a, name, self), term, "items")
        for shape in form.objects:
            parts += self._guarded(lambda o=shape: object_expr(o, self), term, "properties")
        return _alternatives(parts)

    def _guarded(self, make, term: Term, keyword: str) -> list[Expr]:  # type: ignore[no-untyped-def]
        try:
            return [make()]
        except Inexpressible as error:
            self.translator.refuse(term.pointer, error.keyword or keyword, str(error))
            return []

    def _scalar_parts(self, form: Normal, term: Term) -> list[Expr]:
        texts = [b"null"] * form.null + [b"true"] * form.true + [b"false"] * form.false
        parts: list[Expr] = []
        languages: list[Dfa] = []
        for shape in form.strings:
            if shape.words is not None:
                texts += map(quoted_word, shape.words)
            else:
                parts += self._guarded(lambda s=shape: string_expr(s), term, "pattern")
        for number in form.numbers:
            found = self._guarded(lambda n=number: Lex(number_text(n), "number"), term, "number")
            languages += [lex.dfa for lex in found if isinstance(lex, Lex)]
        if texts:
            languages.append(automata.literals(texts))
        parts += [Lex(dfa, "literal") for dfa in languages if not dfa.is_empty()]
        return parts


def string_expr(shape: StringShape) -> Expr:
    """How a string in `shape` is written."""
    if not shape.atoms and shape.words is None:
        return CountedString(shape.least, shape.most)
    dfa = language(shape)
    return NEVER if dfa.is_empty() else Lex(quoted(dfa), "string")


def _alternatives(parts: list[Expr]) -> Expr:
    return parts[0] if len(parts) == 1 else Alt(tuple(parts))
