"""Accuracy against cost, as SVG and as text."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from guided.solving.comparison import Tally
from guided.svg import axis_name, check_ending, document, level, mark_below

Cost = Callable[[Tally], float]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 560, 380, 64, 46, 56
#: Distinct with every kind of colour vision (Okabe and Ito 2008); marks differ, too.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d00")
_PANELS: tuple[tuple[str, Cost], ...] = (
    ("tokens per problem", lambda tally: tally.tokens),
    ("reward passes per problem", lambda tally: tally.reward_passes),
)


def write_plot(tallies: Sequence[Tally], path: str | Path) -> None:
    """Writes accuracy against tokens and against reward passes, as `.svg` or as `.html`.

    Raises:
        InputError: another ending.
        OSError: it cannot be written.
    """
    check_plot(path)
    path, drawn = Path(path), svg(tallies)
    if path.suffix.lower() == ".html":
        title = "Accuracy against cost"
        drawn = (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"</head>\n<body>\n{drawn}</body></html>\n"
        )
    path.write_text(drawn, encoding="utf-8")


def check_plot(path: str | Path) -> None:
    """Raises InputError unless a plot can be written to a file of this name."""
    check_ending(path, ".svg", ".html")


def svg(tallies: Sequence[Tally]) -> str:
    """Two panels: accuracy with its 95 % interval against tokens and against reward passes."""
    families = list(dict.fromkeys(tally.name.split()[0] for tally in tallies))
    legend = 22 * len(families) + 20
    parts = []
    for number, (title, cost) in enumerate(_PANELS):
        parts.append(f'<g transform="translate({number * _WIDTH} 0)">')
        parts += _panel(title, cost, tallies, families)
        parts.append("</g>")
    for number, family in enumerate(families):
        y = _HEIGHT + 22 * number
        parts.append(_mark(number, _LEFT + 8, y, 5))
        parts.append(f'<text x="{_LEFT + 22}" y="{y + 4}">{html.escape(family)}</text>')
    title = "Accuracy against tokens and reward passes"
    return document(2 * _WIDTH, _HEIGHT + legend, title, parts)


def _panel(title: str, cost: Cost, tallies: Sequence[Tally], families: Sequence[str]) -> list[str]:
    shown = [tally for tally in tallies if cost(tally) > 0 and tally.count]
    right, bottom = _WIDTH - 20, _HEIGHT - _BOTTOM
    low, high = _span([cost(tally) for tally in shown])

    def x(tally: Tally) -> float:
        return _LEFT + (math.log(cost(tally)) - low) / (high - low) * (right - _LEFT)

    def y(share: float) -> float:
        return bottom - share * (bottom - _TOP)

    parts = [f'<text x="{_LEFT}" y="24" font-weight="600">Accuracy against {title}</text>']
    for tick in range(0, 101, 20):
        parts += level(y(tick / 100), _LEFT, right, f"{tick} %")
    for whole in _ticks(low, high):
        at = _LEFT + (math.log(whole) - low) / (high - low) * (right - _LEFT)
        parts += mark_below(at, bottom, f"{whole:,.3g}")
    parts.append(axis_name(_LEFT, right, bottom, f"{title}, logarithmic"))
    for number, family in enumerate(families):
        own = sorted((t for t in shown if t.name.split()[0] == family), key=cost)
        color = _COLORS[number % len(_COLORS)]
        if len(own) > 1:
            line = "L".join(f"{x(tally):.1f} {y(tally.accuracy):.1f}" for tally in own)
            parts.append(f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        for tally in own:
            least, most = tally.interval
            parts.append(
                f'<path d="M{x(tally):.1f} {y(least):.1f}V{y(most):.1f}" stroke="{color}" '
                'stroke-width="1" opacity="0.55"/>'
            )
            told = f"{tally.name}: {tally.accuracy:.0%} at {cost(tally):,.1f}"
            mark = _mark(number, x(tally), y(tally.accuracy), 5)
            parts.append(f"<g>{mark}<title>{html.escape(told)}</title></g>")
    return parts


def _mark(number: int, x: float, y: float, size: float) -> str:
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


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis, with some room."""
    if not values:
        return 0.0, 1.0
    low, high = math.log(min(values)), math.log(max(values))
    room = max(0.12 * (high - low), 0.25)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two logarithms."""
    first, last = math.floor(low / math.log(10)), math.ceil(high / math.log(10))
    found = [times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)]
    return [tick for tick in found if low <= math.log(tick) <= high]


def text_plot(tallies: Sequence[Tally], width: int = 64, height: int = 11) -> str:
    """Accuracy against tokens in letters, one a method in the order of the table."""
    shown = [tally for tally in tallies if tally.tokens > 0 and tally.count]
    if not shown:
        return ""
    low, high = _span([tally.tokens for tally in shown])
    grid = [[" "] * width for _ in range(height)]
    names = []
    for number, tally in enumerate(shown):
        letter = chr(ord("a") + number % 26)
        column = round((math.log(tally.tokens) - low) / (high - low) * (width - 1))
        line = round((1 - tally.accuracy) * (height - 1))
        # What stands there already is moved past, so that every letter can be seen.
        while grid[line][column] != " " and column < width - 1:
            column += 1
        grid[line][column] = letter
        names.append(f"{letter} {tally.name}")
    lines = [
        f"{1 - line / (height - 1):>5.0%} |{''.join(row).rstrip()}" for line, row in enumerate(grid)
    ]
    left, right = f"{math.exp(low):,.0f}", f"{math.exp(high):,.0f} tokens"
    axis = f"      +{'-' * width}\n       {left}{right.rjust(width - len(left))}"
    return "\n".join([*lines, axis, "", *names])


__all__ = ["check_plot", "svg", "text_plot", "write_plot"]
