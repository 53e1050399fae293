"""Divergence against model calls, as SVG: a panel for each task."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from .curves import Point

#: Distinct with every kind of colour vision (Okabe and Ito 2008); marks differ, too.
_COLORS = ("#000000", "#0072b2", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 380, 270, 58, 34, 46, 12
_COLUMNS = 2
#: Divergences below are drawn there.
_LEAST = 1e-4


def write_plot(found: Mapping[str, Sequence[Point]], path: str) -> None:
    """Writes the points of every task to an SVG file."""
    Path(path).write_text(svg(found), encoding="utf-8")


def svg(found: Mapping[str, Sequence[Point]]) -> str:
    """KL to the target against the tokens that the model has computed for it, both logarithmic."""
    methods = list(dict.fromkeys(point.method for points in found.values() for point in points))
    rows = -(-len(found) // _COLUMNS)
    lines = -(-len(methods) // 4)
    # Room for the last label of the last axis.
    width, height = _COLUMNS * _WIDTH + 16, rows * _HEIGHT + 22 * lines + 14
    title = "Divergence from the target against model calls"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, points) in enumerate(found.items()):
        x, y = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += [*_panel(name, points, methods), "</g>"]
    for number, method in enumerate(methods):
        x, y = _LEFT + number % 4 * 170, rows * _HEIGHT + 12 + 22 * (number // 4)
        parts.append(_mark(number, x, y))
        parts.append(f'<text x="{x + 12}" y="{y + 4}">{html.escape(method)}</text>')
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    """A logarithmic axis from `start` to `end` in pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        logs = [math.log10(value) for value in values]
        self.low, self.high = math.floor(min(logs)), max(math.ceil(max(logs)), 1)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[int]:
        return list(range(self.low, self.high + 1))


def _panel(name: str, points: Sequence[Point], methods: Sequence[str]) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    x = _Axis([point.calls for point in points], _LEFT, right)
    y = _Axis([_shown(point) for point in points], bottom, _TOP)
    parts = [f'<text x="{_LEFT}" y="20" font-weight="600">{html.escape(name)}</text>']
    for tick in y.ticks:
        at = y(10.0**tick)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_power(tick)}</text>'
        )
    for tick in x.ticks:
        at = x(10.0**tick)
        parts.append(f'<path d="M{at:.1f} {bottom}v5" stroke="#555"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{10**tick:,}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 36}" text-anchor="middle">model calls</text>'
    )
    parts.append(
        f'<text transform="translate(14 {(bottom + _TOP) / 2}) rotate(-90)" '
        'text-anchor="middle">KL, nats</text>'
    )
    for number, method in enumerate(methods):
        own = [point for point in points if point.method == method]
        places = [(x(point.calls), y(_shown(point))) for point in own]
        if len(own) > 1:
            line = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
            parts.append(
                f'<path d="M{line}" fill="none" stroke="{_COLORS[number]}" stroke-width="1.5"/>'
            )
        for point, (a, b) in zip(own, places, strict=True):
            told = f"{method}, {point.size}: {point.kl:.3g} nats at {point.calls:,.0f} calls"
            parts.append(f"<g>{_mark(number, a, b)}<title>{html.escape(told)}</title></g>")
    return parts


def _shown(point: Point) -> float:
    return max(point.kl, _LEAST)


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if exponent > -3 else f"1e{exponent}"


def _mark(number: int, x: float, y: float, size: float = 3.5) -> str:
    """One of four shapes, so that colours alone do not tell."""
    wide, tall = 2 * size, size + 1
    circle = f"a{size} {size} 0 1 0 {wide} 0a{size} {size} 0 1 0 {-wide} 0z"
    path = (
        f"M{x - size:.1f} {y:.1f}{circle}",
        f"M{x - size:.1f} {y - size:.1f}h{wide}v{wide}h{-wide}z",
        f"M{x:.1f} {y - tall:.1f}l{tall} {wide}h{-2 * tall}z",
        f"M{x:.1f} {y - tall:.1f}l{size} {tall}l{-size} {tall}l{-size} {-tall}z",
    )[number % 4]
    return f'<path d="{path}" fill="{_COLORS[number % len(_COLORS)]}"/>'
