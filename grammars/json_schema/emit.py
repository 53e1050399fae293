"""From normal forms to grammar rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from guided.errors import UnsatisfiableSchemaError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import Alt, CountedString, Expr, GrammarSpec, Lex, Ref
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.context import Context, Style
from guided.grammars.json_schema.emit_arrays import array_expr
from guided.grammars.json_schema.emit_objects import object_expr
from guided.grammars.json_schema.formats import kept_format
from guided.grammars.json_schema.kept_scalars import KeptScalars
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.number_text import number_text
from guided.grammars.json_schema.numbers import NumberShape
from guided.grammars.json_schema.objects import ALL_OBJECTS, ObjectShape
from guided.grammars.json_schema.prune import prune
from guided.grammars.json_schema.quoting import quoted, quoted_words
from guided.grammars.json_schema.readings import joined, written
from guided.grammars.json_schema.strings import Atom, InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term

NEVER = Alt(())
#: Name of the rule of any value.
ANY = "value"
_ANY_VALUES: dict[Style, Expr] = {}
Shape = TypeVar("Shape")


class Emitter:
    """Writes one rule for every term that is reached and is not a plain literal."""

    def __init__(self, translator: Context, style: Style) -> None:
        self.translator = translator
        self.style = style
        self.rules: dict[str, Expr] = {}
        self._names: dict[Term, str] = {}
        self._scalars: dict[Term, Expr] = {}
        self._queue: deque[Term] = deque()
        self._kept = KeptScalars(translator, style)
        #: Why some valid documents are left out; None: none are, as far as is known.
        self.left_out: str | None = None

    def grammar(self, start: Term) -> GrammarSpec:
        """The rules of everything that `start` reaches; raises UnsatisfiableSchemaError."""
        first = self._named(start)
        while self._queue:
            term = self._queue.popleft()
            name = self._names[term]
            self.rules[name] = self._rule(term, name)
        try:
            return prune(GrammarSpec(self.rules, first))
        except UnsatisfiableSchemaError:
            if self.left_out is not None:
                self.translator.refuse(start.pointer, "properties", self.left_out)
            raise

    def value(self, term: Term) -> Expr:
        """How a value in `term` is written: scalars in place, everything else as a rule."""
        known = self._scalars.get(term)
        if known is not None:
            return known
        if term in self._names:
            return Ref(self._names[term])
        if term is self.translator.terms.never:
            return NEVER
        content = self._kept.content(term)
        expr = None if content is None else self._kept.get(content)
        if expr is None:
            form = self.form(term)
            if form.arrays or form.objects:
                return Ref(self._named(term))
            expr = _either(self._scalar_parts(form, term))
            if content is not None:
                self._kept.keep(content, expr)
        self._scalars[term] = expr
        return expr

    def form(self, term: Term) -> Normal:
        """The normal form of `term`; a refusal names the place."""
        try:
            return self.translator.normal(term)
        except InexpressibleError as error:
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
            stem = ANY if term is self.translator.terms.any else term.pointer or "#"
            if term.kind in ("and", "or", "not"):
                stem = f"{stem} {term.kind} …"
            self._names[term] = self.fresh(stem)
            self._queue.append(term)
        return self._names[term]

    def _rule(self, term: Term, name: str) -> Expr:
        if term is not self.translator.terms.any or name != ANY:
            return self._alternatives(term, name)
        # The rule of any value uses itself alone, whatever the schema.
        known = _ANY_VALUES.get(self.style)
        if known is None:
            known = _ANY_VALUES[self.style] = self._alternatives(term, name)
        return known

    def _alternatives(self, term: Term, name: str) -> Expr:
        form = self.form(term)
        parts = self._scalar_parts(form, term)
        for array in form.arrays:
            parts.append(self._written(term, "items", self._array(name), array, _plain_array))
        for shape in form.objects:
            wider = (_free_object, _any_object)
            parts.append(self._written(term, "properties", self._object, shape, *wider))
        return _either(parts)

    def _array(self, rule: str) -> Callable[[ArrayShape], Expr]:
        return lambda shape: array_expr(shape, rule, self)

    def _number(self, shape: NumberShape) -> Expr:
        return Lex(number_text(shape, self.style.pointed), "number")

    def _object(self, shape: ObjectShape) -> Expr:
        return object_expr(shape, self)

    def _written(
        self,
        term: Term,
        keyword: str,
        write: Callable[[Shape], Expr],
        shape: Shape,
        *wider: Callable[[Shape], Shape],
    ) -> Expr:
        """How `shape` is written; after a refusal, the first of the wider ones that can be."""
        for widened in (None, *wider):
            try:
                return write(shape if widened is None else widened(shape))
            except InexpressibleError as error:
                self.translator.refuse(term.pointer, error.keyword or keyword, str(error))
        return NEVER

    def _scalar_parts(self, form: Normal, term: Term) -> list[Expr]:
        texts = [b"null"] * form.null + [b"true"] * form.true + [b"false"] * form.false
        if form.listed:
            texts += self.style.layout.texts(form.listed)
        parts: list[Expr] = []
        for shape in joined(form.strings):
            if shape.words is not None:
                texts += quoted_words(shape.words)
            else:
                parts.append(self._written(term, "pattern", string_expr, shape, _free_string))
        for number in form.numbers:
            parts.append(self._written(term, "multipleOf", self._number, number, _free_number))
        if texts:
            parts.append(Lex(automata.literals(texts), "literal"))
        return parts


def string_expr(shape: StringShape) -> Expr:
    """How a string in `shape` is written."""
    if not shape.atoms and shape.words is None:
        return CountedString(shape.least, shape.most)
    if not shape.least and shape.most is None and len(shape.atoms) == 1:
        (atom,) = shape.atoms
        if atom.kind == "format" and atom.holds:
            return Lex(_quoted_format(str(atom.value)), "string")
    return Lex(quoted(written(shape)), "string")


@lru_cache(maxsize=32)
def _quoted_format(name: str) -> Dfa:
    shape = StringShape(atoms=frozenset({Atom("format", name)}))
    return kept_format(f"quoted {name}", lambda: quoted(written(shape)))


def _either(parts: list[Expr]) -> Expr:
    return parts[0] if len(parts) == 1 else Alt(tuple(parts))


def _plain_array(shape: ArrayShape) -> ArrayShape:
    return replace(shape, unique=False, contains=())


def _free_object(shape: ObjectShape) -> ObjectShape:
    return replace(shape, least=0, some=())


def _any_object(shape: ObjectShape) -> ObjectShape:
    return ALL_OBJECTS


def _free_string(shape: StringShape) -> StringShape:
    return StringShape(None, frozenset(), shape.least, shape.most)


def _free_number(shape: NumberShape) -> NumberShape:
    return NumberShape(shape.integral)
