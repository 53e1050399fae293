"""How a set of numbers is written: exact automata over plain decimals, digit by digit.

Texts have a bounded number of digits, so that no number runs for ever. A set without conditions may
also use exponents. Where a range excludes its end, the number of fraction digits is bounded so that
rounding to a double cannot reach the end.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

from guided.errors import GrammarTooLargeError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.json_schema.numbers import (
    Bound,
    NumberShape,
    common_multiple,
    multiples_between,
)
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.tables import explore
from guided.grammars.regex import compile_regex

INTEGER_DIGITS = 24
FRACTION_DIGITS = 24
_LARGEST = 10**INTEGER_DIGITS
# Decimals of so many significant digits keep their order and identity as doubles (IEEE 754).
_SAFE_DIGITS = 15
_LARGEST_MODULUS = 4096
# So many multiples are listed rather than told apart by remainders.
_MOST_LISTED = 2000

_ANY_INTEGER = r"-?(0|[1-9][0-9]{0,39})"
# An exponent of at most 249 keeps numbers of 40 digits within the range of doubles.
_EXPONENT = r"([eE][+-]?(0{0,2}[0-9]|0?[0-9]{2}|1[0-9]{2}|2[0-4][0-9]))?"
_ANY_NUMBER = rf"-?(0|[1-9][0-9]{{0,39}})(\.[0-9]{{1,40}})?{_EXPONENT}"


_State = tuple[str, bool, tuple[Hashable, ...]]


class _Probe(Protocol):
    """Reads the magnitude digit by digit and then tells an outcome.

    What follows a digit is given for all ten at once.
    """

    def start(self) -> Hashable: ...
    def integer_digits(self, state: Any) -> Sequence[Hashable]: ...
    def point(self, state: Any) -> Hashable: ...
    def fraction_digits(self, state: Any) -> Sequence[Hashable]: ...
    def outcome(self, state: Any, after_point: bool) -> int: ...


class _Comparison:
    """Outcome: the sign of (magnitude read) - (magnitude given)."""

    def __init__(self, magnitude: Fraction) -> None:
        whole, _, rest = format(_decimal(magnitude), "f").partition(".")
        self._whole = [int(d) for d in whole]
        self._rest = [int(d) for d in rest.rstrip("0")]

    def start(self) -> tuple[int, int]:
        return (0, 0)

    def integer_digits(self, state: tuple[int, int]) -> list[tuple[int, int]]:
        read, sign = state
        if read >= len(self._whole):
            return [(len(self._whole) + 1, 1)] * 10
        if sign:
            return [(read + 1, sign)] * 10
        digit = self._whole[read]
        return [(read + 1, -1)] * digit + [(read + 1, 0)] + [(read + 1, 1)] * (9 - digit)

    def _whole_sign(self, state: tuple[int, int]) -> int:
        return _sign(state[0] - len(self._whole)) or state[1]

    def point(self, state: tuple[int, int]) -> tuple[int, int]:
        return (0, self._whole_sign(state))

    def fraction_digits(self, state: tuple[int, int]) -> list[tuple[int, int]]:
        read, sign = state
        if sign:
            return [(0, sign)] * 10
        if read >= len(self._rest):
            return [state] + [(read, 1)] * 9
        digit = self._rest[read]
        return [(0, -1)] * digit + [(read + 1, 0)] + [(0, 1)] * (9 - digit)

    def outcome(self, state: tuple[int, int], after_point: bool) -> int:
        read, sign = state if after_point else (0, self._whole_sign(state))
        return sign or (-1 if read < len(self._rest) else 0)


class _Remainder:
    """Outcome: 0 for a multiple of `step`, else 1.

    The step is `modulus` times `zeros` tens. What was read is x times z tens, z up to `zeros`, of
    which the state keeps the remainder of x, and z.
    """

    def __init__(self, step: Fraction) -> None:
        self.digits = _fraction_digits(step)
        self._modulus = int(step * 10**self.digits)
        self._zeros = 0
        while self._modulus % 10 == 0:
            self._modulus //= 10
            self._zeros += 1
        if self._modulus > _LARGEST_MODULUS:
            raise InexpressibleError(
                f"multipleOf {float(step):g} needs more than {_LARGEST_MODULUS} remainders"
            )

    def start(self) -> tuple[int, int, int]:
        return (0, 0, self._zeros)

    def _read(self, rest: int, zeros: int, digit: int) -> tuple[int, int]:
        if digit:
            return (rest * 10 ** (zeros + 1) + digit) % self._modulus, 0
        if zeros < self._zeros:
            return rest, zeros + 1
        return rest * 10 % self._modulus, zeros

    def integer_digits(self, state: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        return [(0, *self._read(state[1], state[2], digit)) for digit in range(10)]

    def point(self, state: tuple[int, int, int]) -> tuple[int, int, int]:
        return state

    def fraction_digits(self, state: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        read, rest, zeros = state
        if read < self.digits:
            return [(read + 1, *self._read(rest, zeros, digit)) for digit in range(10)]
        # Digits beyond those of the step must be zero: -1 marks that one was not.
        return [state] + [(read, -1, 0)] * 9

    def outcome(self, state: tuple[int, int, int], after_point: bool) -> int:
        read, rest, zeros = state
        if rest < 0:
            return 1
        for _ in range(self.digits - read):
            rest, zeros = self._read(rest, zeros, 0)
        return 1 if rest or zeros < self._zeros else 0


class _Fraction:
    """Outcome: 1 where the magnitude is no integer, else 0."""

    def start(self) -> int:
        return 0

    def integer_digits(self, state: int) -> list[int]:
        return [0] * 10

    def point(self, state: int) -> int:
        return 0

    def fraction_digits(self, state: int) -> list[int]:
        return [state] + [1] * 9

    def outcome(self, state: int, after_point: bool) -> int:
        return state


@dataclass(frozen=True, slots=True)
class _Test:
    probe: _Probe
    wanted: frozenset[int]


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _decimal(value: Fraction) -> Decimal:
    digits = _fraction_digits(value)
    return Decimal(int(value * 10**digits)).scaleb(-digits) if digits else Decimal(int(value))


def _fraction_digits(value: Fraction) -> int:
    """Digits after the point of a terminating decimal."""
    digits, rest = 0, value.denominator
    while rest % 10 == 0:
        rest //= 10
        digits += 1
    while rest > 1:
        rest = rest // 2 if rest % 2 == 0 else rest // 5
        digits += 1
    return digits


def _range_test(bound: Bound, negative: bool, above: bool) -> _Test | bool:
    """What the magnitude must satisfy for the number to be on the right side of `bound`."""
    if negative != (bound.value < 0):
        # A negative number is below any bound >= 0 (minus zero is not written), and vice versa.
        return above is not negative
    side = 1 if above is not negative else -1
    wanted = frozenset({side, 0} if bound.inclusive else {side})
    return _Test(_Comparison(abs(bound.value)), wanted)


def _tests(shape: NumberShape, negative: bool) -> list[_Test] | None:
    """All tests for numbers of one sign; None where no number of that sign belongs to the set."""
    found: list[_Test | bool] = []
    if negative:
        found.append(_Test(_Comparison(Fraction(0)), frozenset({1})))
    if shape.low is not None:
        found.append(_range_test(shape.low, negative, True))
    if shape.high is not None:
        found.append(_range_test(shape.high, negative, False))
    for value in sorted(shape.excluded):
        if value == 0 or (value < 0) == negative:
            found.append(_Test(_Comparison(abs(value)), frozenset({-1, 1})))
    if shape.multiples:
        found.append(_Test(_Remainder(common_multiple(shape.multiples)), frozenset({0})))
    found += [_Test(_Remainder(step), frozenset({1})) for step in sorted(shape.not_multiples)]
    if shape.integral is False:
        found.append(_Test(_Fraction(), frozenset({1})))
    if any(test is False for test in found):
        return None
    return [test for test in found if isinstance(test, _Test)]


def _limits(shape: NumberShape) -> tuple[int, int]:
    """How many digits may be written before the point, and how many after."""
    if shape.integral:
        return INTEGER_DIGITS, 0
    after = FRACTION_DIGITS
    for value in _avoided(shape):
        if value:
            after = min(after, max(_SAFE_DIGITS - len(str(int(abs(value)))), 0))
    if shape.integral is None and not shape.multiples and not shape.not_multiples:
        return INTEGER_DIGITS, after
    # What a number is not depends on its last digit, so that no digit may be lost.
    steps = max((_fraction_digits(step) for step in shape.multiples), default=_SAFE_DIGITS // 2)
    after = min(after, max(steps, 1))
    return max(_SAFE_DIGITS - after, 1), after


def _avoided(shape: NumberShape) -> list[Fraction]:
    """The numbers to which rounding must not lead."""
    ends = [end.value for end in (shape.low, shape.high) if end is not None and not end.inclusive]
    return [*ends, *shape.excluded]


class _Writer:
    """The steps of an automaton that reads one number and feeds every test of its sign.

    States are (phase, sign, states of the tests); phases are start, sign, zero, whole, point and
    fraction. How many digits there may be is left to `_digit_limit`.
    """

    def __init__(self, shape: NumberShape) -> None:
        self._tests = {negative: _tests(shape, negative) for negative in (False, True)}
        self._points = not shape.integral
        self.start = ("start", False, self._begin(False))

    def _begin(self, negative: bool) -> tuple[Hashable, ...]:
        return tuple(test.probe.start() for test in self._tests[negative] or ())

    def row(self, state: _State) -> list[_State | None]:
        """The states after minus, point and the ten digits, None where no number goes on."""
        phase, negative, inner = state
        found: list[_State | None] = [None, None]
        if phase == "start" and self._tests[True] is not None:
            found[0] = ("sign", True, self._begin(True))
        tests = self._tests[negative]
        if tests is None:
            return found + [None] * 10
        if phase in ("zero", "whole"):
            if self._points:
                points = (test.probe.point(s) for test, s in zip(tests, inner, strict=True))
                found[1] = ("point", negative, tuple(points))
            if phase == "zero":
                return found + [None] * 10
        after = phase in ("point", "fraction")
        columns = [
            test.probe.fraction_digits(s) if after else test.probe.integer_digits(s)
            for test, s in zip(tests, inner, strict=True)
        ]
        moved: list[tuple[Hashable, ...]] = list(zip(*columns, strict=True)) or [()] * 10
        onward = "fraction" if after else "whole"
        found += [(onward, negative, one) for one in moved]
        if phase in ("start", "sign"):
            found[2] = ("zero", negative, moved[0])
        return found

    def accepts(self, state: _State) -> bool:
        """Whether what was read is a number of the set."""
        phase, negative, inner = state
        tests = self._tests[negative]
        if tests is None or phase not in ("zero", "whole", "fraction"):
            return False
        after = phase == "fraction"
        return all(t.probe.outcome(s, after) in t.wanted for t, s in zip(tests, inner, strict=True))


@lru_cache(maxsize=64)
def _digit_limit(before: int, after: int) -> Dfa:
    """Decimals with at most so many digits before and after the point."""
    point = rf"(\.[0-9]{{1,{after}}})?" if after else ""
    return compile_regex(rf"-?[0-9]{{1,{before}}}{point}", "python")


def _plain(shape: NumberShape) -> Dfa:
    """Plain decimals of the set."""
    writer = _Writer(shape)
    try:
        every = explore(writer.start, b"-.0123456789", writer.row, writer.accepts)
        return every & _digit_limit(*_limits(shape))
    except GrammarTooLargeError as error:
        raise InexpressibleError(f"the numbers need too large an automaton ({error})") from error


def _texts(value: Fraction) -> list[bytes]:
    """The ways one number is written: plainly, and as Python writes the double."""
    if value.denominator == 1 and -_LARGEST < value.numerator < _LARGEST:
        return [str(value.numerator).encode()]
    plain = format(_decimal(value), "f").encode()
    try:
        return [repr(float(value)).encode()] + [plain] * (len(plain) <= 2 * INTEGER_DIGITS)
    except OverflowError:
        return [plain]


def _as_double(value: Fraction) -> list[bytes]:
    """How Python writes the double that is equal to an integer, where there is one."""
    try:
        return [repr(float(value)).encode()] if float(value) == value else []
    except OverflowError:
        return []


@lru_cache(maxsize=1)
def _no_fraction() -> Dfa:
    return compile_regex(r"\.0{1,8}", "python")


@lru_cache(maxsize=1024)
def number_text(shape: NumberShape, pointed: bool = False) -> Dfa:
    """The automaton of the texts of `shape`; raises InexpressibleError where it is too large.

    With `pointed`, integers may be written with a point, too, as in `1.0`.
    """
    if shape.values is not None:
        texts = [text for value in shape.values for text in _texts(value)]
        both = set(shape.values) if pointed else shape.pointed.intersection(shape.values)
        texts += [text for value in both for text in _as_double(value)]
        return automata.literals(texts)
    if pointed and shape.integral:
        plain = number_text(shape)
        # Integers of so few digits are doubles, whatever reads them.
        return plain | (plain & _digit_limit(_SAFE_DIGITS, 0)) + _no_fraction()
    if shape == NumberShape():
        return compile_regex(_ANY_NUMBER, "python")
    if shape == NumberShape(integral=True):
        return compile_regex(_ANY_INTEGER, "python")
    try:
        return _plain(shape)
    except InexpressibleError:
        few = multiples_between(shape, _MOST_LISTED)
        if few is None:
            raise
    texts = [text for value in few for text in _texts(value)]
    if not shape.integral:
        texts += [text for value in few for text in _as_double(value)]
    return automata.literals(texts)
