"""What a budget does to several shares at once, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guided.errors import InputError
from guided.svg import axis_name, check_ending, document, level, mark_below

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 400, 64, 20, 46, 60
#: Distinct with every kind of colour vision (Okabe and Ito 2008); dashes differ, too.
_STYLES = (("#0072b2", ""), ("#d55e00", "7 3"), ("#009e73", "2 3"), ("#cc79a7", "9 3 2 3"))


def write_plot(
    budgets: Sequence[float], lines: Mapping[str, Sequence[float]], title: str, path: str | Path
) -> None:
    """Writes `svg` to a file that ends with `.svg`.

    Raises:
        InputError: another ending, or lines that cannot be drawn.
        OSError: it cannot be written.
    """
    check_plot(path)
    Path(path).write_text(svg(budgets, lines, title), encoding="utf-8")


def check_plot(path: str | Path) -> None:
    """Raises InputError unless a plot can be written to a file of this name."""
    check_ending(path, ".svg")


def svg(budgets: Sequence[float], lines: Mapping[str, Sequence[float]], title: str) -> str:
    """Named lines of percentages over budgets, which stand at equal distances.

    Raises:
        InputError: fewer than two budgets, a line of another length, more lines than styles, or a
            number that is not finite.
    """
    _check(budgets, lines)
    height = _HEIGHT + 22 * len(lines) + 10
    axes = _Axes.of(len(budgets), [value for line in lines.values() for value in line])
    parts = [
        f'<text x="{_LEFT}" y="24" font-weight="600">{html.escape(title)}</text>',
        *_grid(axes, budgets),
    ]
    for number, (name, line) in enumerate(lines.items()):
        points = [(axes.x(index), axes.y(value)) for index, value in enumerate(line)]
        told = [f"{name}: {v:.1f} % at k = {k:g}" for k, v in zip(budgets, line, strict=True)]
        parts += _line(number, points, told)
        at = _HEIGHT + 22 * number
        parts += _line(number, [(_LEFT, at), (_LEFT + 34, at)], [name, name])
        parts.append(f'<text x="{_LEFT + 46}" y="{at + 4}">{html.escape(name)}</text>')
    return document(_WIDTH, height, title, parts)


@dataclass(frozen=True)
class _Axes:
    """Where a budget and a percentage stand; the percentages reach from `low` to `high`."""

    count: int
    low: int
    high: int

    @classmethod
    def of(cls, count: int, values: Sequence[float]) -> _Axes:
        """Axes that hold 0 to 100 and all values."""
        low, high = min(0.0, *values), max(100.0, *values)
        return cls(count, 20 * math.floor(low / 20), 20 * math.ceil(high / 20))

    def x(self, index: int) -> float:
        left, right = _LEFT + 24, _WIDTH - _RIGHT - 24
        return left + index / (self.count - 1) * (right - left)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _grid(axes: _Axes, budgets: Sequence[float]) -> list[str]:
    """Lines and names of both axes."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick in range(axes.low, axes.high + 1, 20):
        parts += level(axes.y(tick), _LEFT, right, f"{tick} %")
    for index, budget in enumerate(budgets):
        parts += mark_below(axes.x(index), bottom, f"{budget:g}")
    return [*parts, axis_name(_LEFT, right, bottom, "k, nats per token")]


def _line(number: int, points: Sequence[tuple[float, float]], told: Sequence[str]) -> list[str]:
    """A line with a mark at every point, which says what it shows."""
    color, dashes = _STYLES[number]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    parts = [
        f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2" '
        f'stroke-dasharray="{dashes}"/>'
    ]
    for (x, y), text in zip(points, told, strict=True):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}">'
            f"<title>{html.escape(text)}</title></circle>"
        )
    return parts


def _check(budgets: Sequence[float], lines: Mapping[str, Sequence[float]]) -> None:
    if len(budgets) < 2:
        raise InputError("a line needs at least two budgets")
    if len(lines) > len(_STYLES):
        raise InputError(f"{len(lines)} lines: at most {len(_STYLES)} can be told apart")
    for name, line in lines.items():
        if len(line) != len(budgets):
            raise InputError(f"{name} has {len(line)} values for {len(budgets)} budgets")
        if not all(map(math.isfinite, line)):
            raise InputError(f"{name} has a value that is not finite")


__all__ = ["check_plot", "svg", "write_plot"]
