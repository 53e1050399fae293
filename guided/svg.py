"""What all plots have in common: an SVG document with axes."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from guided.errors import InputError


def check_ending(path: str | Path, *endings: str) -> None:
    """Raises InputError unless a file of this name ends with one of `endings`."""
    if Path(path).suffix.lower() not in endings:
        raise InputError(f"a plot ends with {' or '.join(endings)}, not {path}")


def document(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A whole document on a white ground; the title is for those who cannot see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def level(y: float, left: float, right: float, name: str) -> list[str]:
    """A line at a height, named at its left end."""
    return [
        f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>',
        f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>',
    ]


def mark_below(x: float, bottom: float, name: str) -> list[str]:
    """A mark below the plot, named."""
    return [
        f'<path d="M{x:.1f} {bottom}v5" stroke="#555"/>',
        f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{name}</text>',
    ]


def axis_name(left: float, right: float, bottom: float, name: str) -> str:
    """What the marks below the plot count."""
    return f'<text x="{(left + right) / 2}" y="{bottom + 42}" text-anchor="middle">{name}</text>'
