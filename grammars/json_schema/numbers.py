"""Sets of JSON numbers, by value: ranges, multiples and finite sets, in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

_FEW = 1000


def exact(value: int | float) -> Fraction:
    """The number as it was written: 0.1 is one tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a range."""

    value: Fraction
    inclusive: bool = True


@dataclass(frozen=True, slots=True)
class NumberShape:
    """Numbers that meet every condition.

    `integral` True: integers only; False: no integer; None: both. `values`, where given, are the
    only numbers, and then nothing else is set, but that `pointed` says which of them are written
    with a point although they are integers.
    """

    integral: bool | None = None
    low: Bound | None = None
    high: Bound | None = None
    multiples: frozenset[Fraction] = frozenset()
    not_multiples: frozenset[Fraction] = frozenset()
    excluded: frozenset[Fraction] = frozenset()
    values: tuple[Fraction, ...] | None = None
    pointed: frozenset[Fraction] = frozenset()

    def contains(self, number: Fraction) -> bool:
        """Whether `number` belongs to the set."""
        if self.values is not None:
            return number in self.values
        if self.integral is not None and (number.denominator == 1) is not self.integral:
            return False
        if self.low is not None and not _above(number, self.low):
            return False
        if self.high is not None and not _above(-number, _mirrored(self.high)):
            return False
        return (
            number not in self.excluded
            and all((number / m).denominator == 1 for m in self.multiples)
            and not any((number / m).denominator == 1 for m in self.not_multiples)
        )


ALL_NUMBERS = NumberShape()


def finite(numbers: Iterable[int | float]) -> NumberShape:
    """Exactly the given numbers, in their order."""
    given = list(numbers)
    pointed = frozenset(exact(n) for n in given if isinstance(n, float) and n.is_integer())
    if not any(isinstance(n, float) for n in given):
        return NumberShape(values=tuple(map(Fraction, dict.fromkeys(given))))
    return NumberShape(values=tuple(dict.fromkeys(map(exact, given))), pointed=pointed)


def _above(number: Fraction, bound: Bound) -> bool:
    return number > bound.value or (bound.inclusive and number == bound.value)


def _mirrored(bound: Bound) -> Bound:
    return Bound(-bound.value, bound.inclusive)


def _tighter_low(a: Bound | None, b: Bound | None) -> Bound | None:
    if a is None or b is None:
        return a or b
    if a.value == b.value:
        return b if a.inclusive else a
    return a if a.value > b.value else b


def _tighter_high(a: Bound | None, b: Bound | None) -> Bound | None:
    low = _tighter_low(a and _mirrored(a), b and _mirrored(b))
    return low and _mirrored(low)


def meet(a: NumberShape, b: NumberShape) -> NumberShape | None:
    """The numbers in both, None where there is plainly none."""
    if a.values is None and b.values is not None:
        a, b = b, a
    if a.values is not None:
        values = tuple(value for value in a.values if b.contains(value))
        return NumberShape(values=values, pointed=a.pointed | b.pointed) if values else None
    if a.integral is not None and b.integral is not None and a.integral != b.integral:
        return None
    shape = NumberShape(
        a.integral if b.integral is None else b.integral,
        _tighter_low(a.low, b.low),
        _tighter_high(a.high, b.high),
        a.multiples | b.multiples,
        a.not_multiples | b.not_multiples,
        a.excluded | b.excluded,
    )
    return None if is_empty(shape) else shape


def complement(shape: NumberShape) -> list[NumberShape]:
    """Sets that together hold exactly the numbers not in `shape`."""
    if shape.values is not None:
        return [NumberShape(excluded=frozenset(shape.values))]
    parts = []
    if shape.integral is not None:
        parts.append(NumberShape(integral=not shape.integral))
    if shape.low is not None:
        parts.append(NumberShape(high=Bound(shape.low.value, not shape.low.inclusive)))
    if shape.high is not None:
        parts.append(NumberShape(low=Bound(shape.high.value, not shape.high.inclusive)))
    parts += [NumberShape(not_multiples=frozenset({m})) for m in sorted(shape.multiples)]
    parts += [NumberShape(multiples=frozenset({m})) for m in sorted(shape.not_multiples)]
    if shape.excluded:
        parts.append(NumberShape(values=tuple(sorted(shape.excluded))))
    return parts


def is_empty(shape: NumberShape) -> bool:
    """Whether the set is proven to hold no number."""
    if shape.values is not None:
        return not shape.values
    if any((m / n).denominator == 1 for m in shape.multiples for n in shape.not_multiples):
        return True
    if shape.integral is False and any(m.denominator == 1 for m in shape.multiples):
        return True
    if shape.low is None or shape.high is None:
        return False
    if shape.low.value > shape.high.value:
        return True
    if shape.low.value == shape.high.value:
        return not shape.contains(shape.low.value)
    return _none_on_grid(shape)


def _none_on_grid(shape: NumberShape) -> bool:
    """Whether the multiples (or integers) between the ends are few and all fail."""
    found = _grid(shape, _FEW)
    return found is not None and not any(map(shape.contains, found))


def _grid(shape: NumberShape, most: int) -> Iterable[Fraction] | None:
    """The multiples (or integers) between the ends of a range; None where more than `most`."""
    steps = shape.multiples | ({Fraction(1)} if shape.integral else frozenset())
    if not steps or shape.low is None or shape.high is None:
        return None
    step = common_multiple(steps)
    first, last = math.ceil(shape.low.value / step), math.floor(shape.high.value / step)
    return (step * n for n in range(first, last + 1)) if last - first < most else None


def multiples_between(shape: NumberShape, most: int) -> list[Fraction] | None:
    """All numbers of a set of multiples, where both ends are given and they are at most `most`."""
    if not shape.multiples:
        return None
    found = _grid(shape, most)
    return None if found is None else list(filter(shape.contains, found))


def common_multiple(steps: Iterable[Fraction]) -> Fraction:
    """The least number of which all `steps` are divisors."""
    found = Fraction(1)
    for index, step in enumerate(steps):
        top = math.lcm(found.numerator, step.numerator)
        below = math.gcd(found.denominator, step.denominator)
        found = Fraction(top, below) if index else step
    return found
