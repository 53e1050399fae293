"""The normal form of a schema: for each JSON type, a union of conjunctions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from guided.grammars.json_schema import arrays, numbers, objects, strings
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.numbers import ALL_NUMBERS, NumberShape
from guided.grammars.json_schema.objects import ALL_OBJECTS, Clause, ObjectShape
from guided.grammars.json_schema.strings import ALL_STRINGS, InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term, Terms

MAX_ALTERNATIVES = 2048
_MOST_STRINGS = 24
Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Normal:
    """The values that are null, true or false where that is allowed, or in one of the shapes.

    `listed` are single arrays and objects, so many that they are not taken apart: they go through
    unions and choices of types, and nothing else.
    """

    null: bool = False
    true: bool = False
    false: bool = False
    numbers: tuple[NumberShape, ...] = ()
    strings: tuple[StringShape, ...] = ()
    arrays: tuple[ArrayShape, ...] = ()
    objects: tuple[ObjectShape, ...] = ()
    listed: tuple[Any, ...] = ()

    @property
    def is_bottom(self) -> bool:
        """Whether there is plainly no value."""
        return self == BOTTOM


BOTTOM = Normal()


class Algebra:
    """Union, intersection and difference of normal forms."""

    def __init__(
        self,
        terms: Terms,
        budget: Budget,
        normal: Callable[[Term], Normal],
        is_empty: Callable[[Term], bool],
        absorbs: bool = True,
    ) -> None:
        """`absorbs` False keeps alternatives apart that differ in what they have evaluated."""
        self.terms = terms
        self.budget = budget
        self._normal = normal
        self._is_empty = is_empty
        self._absorbs = absorbs
        self.all_arrays = ArrayShape((), terms.any)
        self.top = Normal(
            True, True, True, (ALL_NUMBERS,), (ALL_STRINGS,), (self.all_arrays,), (ALL_OBJECTS,)
        )

    def join(self, forms: Iterable[Normal]) -> Normal:
        """The values in one of `forms`."""
        items = list(forms)
        return Normal(
            any(f.null for f in items),
            any(f.true for f in items),
            any(f.false for f in items),
            self._union([f.numbers for f in items], ALL_NUMBERS),
            _one_word_list(self._union([f.strings for f in items], ALL_STRINGS)),
            self._union([f.arrays for f in items], self.all_arrays),
            self._union([f.objects for f in items], ALL_OBJECTS),
            tuple(value for f in items for value in f.listed),
        )

    def _union(self, shapes: Sequence[tuple[Shape, ...]], everything: Shape) -> tuple[Shape, ...]:
        found = dict.fromkeys(shape for group in shapes for shape in group)
        self._limit(len(found))
        return (everything,) if self._absorbs and everything in found else tuple(found)

    def _limit(self, count: int) -> None:
        self.budget.spend(count)
        if count > MAX_ALTERNATIVES:
            raise InexpressibleError(f"alternatives combine to more than {MAX_ALTERNATIVES}")

    def meet(self, a: Normal, b: Normal) -> Normal:
        """The values in both."""
        if a is self.top:
            return b
        if b is self.top:
            return a
        terms = self.terms
        listed = (*self._of_types(a.listed, b), *self._of_types(b.listed, a))
        return Normal(
            a.null and b.null,
            a.true and b.true,
            a.false and b.false,
            self._cross(a.numbers, b.numbers, numbers.meet),
            _few(self._cross(a.strings, b.strings, strings.meet)),
            self._cross(a.arrays, b.arrays, lambda x, y: arrays.meet(x, y, terms)),
            self._possible(
                self._cross(a.objects, b.objects, lambda x, y: objects.meet(x, y, terms))
            ),
            listed,
        )

    def _of_types(self, listed: tuple[Any, ...], form: Normal) -> tuple[Any, ...]:
        """Those of `listed` that are in `form`, where their types alone tell."""
        if not listed:
            return listed
        plain = form.arrays in ((), (self.all_arrays,)) and form.objects in ((), (ALL_OBJECTS,))
        if form.listed or not plain:
            raise InexpressibleError(
                f"more than {MAX_ALTERNATIVES} arrays and objects beside other conditions"
            )
        return tuple(
            value for value in listed if (form.arrays if isinstance(value, list) else form.objects)
        )

    def _possible(self, shapes: tuple[ObjectShape, ...]) -> tuple[ObjectShape, ...]:
        """Without the empty ones; with one alternative there is nothing to win by looking."""
        if len(shapes) < 4:
            return shapes
        return tuple(shape for shape in shapes if not self.no_object(shape))

    def _cross(
        self,
        a: tuple[Shape, ...],
        b: tuple[Shape, ...],
        meet: Callable[[Shape, Shape], Shape | None],
    ) -> tuple[Shape, ...]:
        found: dict[Shape, None] = {}
        self._limit(len(a) * len(b) // 16)
        for x in a:
            for y in b:
                shape = meet(x, y)
                if shape is not None:
                    found[shape] = None
        self._limit(len(found))
        return tuple(found)

    def subtract(self, a: Normal, b: Normal) -> Normal:
        """The values in `a` and not in `b`; raises InexpressibleError."""
        terms = self.terms
        return Normal(
            a.null and not b.null,
            a.true and not b.true,
            a.false and not b.false,
            self._minus(a.numbers, b.numbers, numbers.complement, numbers.meet, numbers.is_empty),
            _few(
                self._minus(
                    a.strings, b.strings, strings.complement, strings.meet, strings.is_empty
                )
            ),
            self._minus(
                a.arrays,
                b.arrays,
                lambda x: arrays.complement(x, terms),
                lambda x, y: arrays.meet(x, y, terms),
                self.no_array,
            ),
            self._minus_objects(a.objects, b.objects),
            self._untouched(a, b),
        )

    def _untouched(self, a: Normal, b: Normal) -> tuple[Any, ...]:
        """What is listed in `a`, of which nothing may be in `b`."""
        if (a.listed and (b.arrays or b.objects)) or (b.listed and (a.arrays or a.objects)):
            raise InexpressibleError(
                f"more than {MAX_ALTERNATIVES} arrays and objects beside other conditions"
            )
        return a.listed

    def _minus(
        self,
        a: tuple[Shape, ...],
        b: tuple[Shape, ...],
        complement: Callable[[Shape], Iterable[Shape]],
        meet: Callable[[Shape, Shape], Shape | None],
        is_empty: Callable[[Shape], bool],
    ) -> tuple[Shape, ...]:
        for other in b:
            if not a:
                return a
            opposite: list[Shape] | None = None
            left: dict[Shape, None] = {}
            for one in a:
                common = meet(one, other)
                if common is None or is_empty(common):
                    left[one] = None
                    continue
                if opposite is None:
                    opposite = list(complement(other))
                for part in opposite:
                    self.budget.spend()
                    shape = meet(one, part)
                    if shape is not None and not is_empty(shape):
                        left[shape] = None
            a = tuple(left)
            self._limit(len(a))
        return a

    def _minus_objects(
        self, a: tuple[ObjectShape, ...], b: tuple[ObjectShape, ...]
    ) -> tuple[ObjectShape, ...]:
        """Like `_minus`; the parts do not overlap, so that later differences leave most alone."""
        for other in b:
            conditions: list[tuple[ObjectShape, ObjectShape]] | None = None
            left: dict[ObjectShape, None] = {}
            for one in a:
                common = objects.meet(one, other, self.terms)
                if common is None or self.no_object(common):
                    left[one] = None
                    continue
                if conditions is None:
                    conditions = self._conditions(other)
                left.update(dict.fromkeys(self._violations(one, conditions)))
            a = tuple(left)
            self._limit(len(a))
        return a

    def _conditions(self, shape: ObjectShape) -> list[tuple[ObjectShape, ObjectShape]]:
        opposites = (self._normal(self.terms.negation(term)) for term in shape.names)
        bad = [names for form in opposites for names in form.strings]
        return list(objects.complement(shape, self.terms, bad))

    def _violations(
        self, shape: ObjectShape, conditions: list[tuple[ObjectShape, ObjectShape]]
    ) -> Iterable[ObjectShape]:
        """The parts of `shape` in which one condition is the first to fail.

        `shape` is not known to be empty, so that only what a condition changes is looked at.
        """
        for fails, holds in conditions:
            self.budget.spend()
            part = objects.meet(shape, fails, self.terms)
            if part is not None and not part.some:
                if not self.no_object(part, fails.mentioned(self.terms)):
                    yield part
            elif part is not None:
                for piece in objects.spread(part, self.terms):
                    if not self.no_object(piece):
                        yield piece
            kept = objects.meet(shape, holds, self.terms)
            if kept is None or self.no_object(kept, holds.mentioned(self.terms)):
                return
            shape = kept

    def no_array(self, shape: ArrayShape) -> bool:
        """Whether `shape` is proven to hold no array."""
        if any(self._is_empty(shape.item(i)) for i in range(min(shape.least, 32))):
            return True
        return any(c.least > 0 and self._is_empty(c.term) for c in shape.contains)

    def no_object(self, shape: ObjectShape, changed: set[str] | None = None) -> bool:
        """Whether `shape` is proven to hold no object.

        `changed` are the members that have not been looked at yet, None: all of them.
        """
        names = shape.required
        if changed is not None:
            names = tuple(name for name in names if name in changed)
        if any(self._is_empty(shape.member(name, self.terms)) for name in names):
            return True
        return bool(shape.some) and not objects.spread(shape, self.terms)

    def is_empty(self, form: Normal) -> bool:
        """Whether `form` is proven to hold no value."""
        if form.null or form.true or form.false or form.listed:
            return False
        return (
            all(map(numbers.is_empty, form.numbers))
            and all(map(strings.is_empty, form.strings))
            and all(map(self.no_array, form.arrays))
            and all(map(self.no_object, form.objects))
        )

    def const(self, value: Any, pointer: str) -> Normal:
        """Exactly `value`."""
        if value is None or isinstance(value, bool):
            return Normal(value is None, value is True, value is False)
        if isinstance(value, (int, float)):
            return Normal(numbers=(numbers.finite([value]),))
        if isinstance(value, str):
            return Normal(strings=(StringShape(words=(value,)),))
        if isinstance(value, list):
            items = tuple(self.terms.const(item, pointer) for item in value)
            return Normal(arrays=(ArrayShape(items, self.terms.never, len(items), len(items)),))
        named = {key: self.terms.const(item, pointer) for key, item in value.items()}
        clause = Clause(named, (), self.terms.never)
        return Normal(objects=(ObjectShape((clause,), tuple(named)),))

    def consts(self, values: Sequence[Any], pointer: str) -> Normal:
        """Exactly the given values."""
        words: list[str] = []
        plain: list[int | float] = []
        inner: list[Any] = []
        found: set[bool | None] = set()
        for value in values:
            if isinstance(value, str):
                words.append(value)
            elif value is None or isinstance(value, bool):
                found.add(value)
            else:
                (plain if isinstance(value, (int, float)) else inner).append(value)
        single = [value for value in (None, True, False) if value in found]
        if len(inner) > MAX_ALTERNATIVES:
            form = Normal(None in single, True in single, False in single, listed=tuple(inner))
        else:
            form = self.join(self.const(value, pointer) for value in (*single, *inner))
        if words:
            form = replace(form, strings=(strings.finite(words),))
        if plain:
            form = replace(form, numbers=(numbers.finite(plain),))
        return form


def _one_word_list(shapes: tuple[StringShape, ...]) -> tuple[StringShape, ...]:
    """The same union with all finite sets in one."""
    lists = [shape.words for shape in shapes if shape.words is not None]
    if len(lists) < 2:
        return shapes
    merged = strings.finite([word for words in lists for word in words])
    return (merged, *(shape for shape in shapes if shape.words is None))


def _few(shapes: tuple[StringShape, ...]) -> tuple[StringShape, ...]:
    """The same union, as one automaton where there are many sets whose languages are known."""
    exact = [s for s in shapes if not any(atom.is_narrowed for atom in s.atoms)]
    if len(exact) <= _MOST_STRINGS:
        return shapes
    kept = set(exact)
    return (strings.merged(exact), *(shape for shape in shapes if shape not in kept))
