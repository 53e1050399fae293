"""Shares over budgets as SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from guided.copying.plot import check_plot, svg, write_plot
from guided.errors import InputError

BUDGETS = [0.0, 0.5, 4.0]
LINES = {"less copied": [100.0, 80.0, 0.0], "facts & more": [10.0, 90.0, 95.0]}
LESS = list(zip(LINES["less copied"], BUDGETS, strict=True))


def circles(drawn: str) -> dict[str, tuple[float, float]]:
    """Where every mark stands, by what it says."""
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)".*?><title>(.*?)</title>', drawn)
    return {told: (float(x), float(y)) for x, y, told in found}


def test_marks_stand_higher_the_larger_they_are() -> None:
    at = circles(svg(BUDGETS, LINES, "A < B"))
    high, middle, low = (at[f"less copied: {v:.1f} % at k = {k:g}"] for v, k in LESS)
    assert high[1] < middle[1] < low[1]
    assert middle[1] - high[1] == pytest.approx((low[1] - high[1]) / 5, abs=0.11)
    assert middle[0] - high[0] == pytest.approx(low[0] - middle[0], abs=0.11)


def test_the_file_is_well_formed_and_names_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "plot.SVG"
    write_plot(BUDGETS, LINES, "A < B", path)
    texts = [one.text for one in ElementTree.parse(path).iter() if one.text]
    assert {"A < B", "less copied", "facts & more", "0.5", "100 %"} <= set(texts)


def test_the_axis_grows_with_the_values() -> None:
    drawn = svg(BUDGETS, {"line": [-31.0, 0.0, 130.0]}, "wide")
    assert ">-40 %<" in drawn
    assert ">140 %<" in drawn


@pytest.mark.parametrize(
    ("budgets", "lines", "told"),
    [
        ([1.0], {"a": [1.0]}, "two budgets"),
        ([1.0, 2.0], {"a": [1.0]}, "a has 1 values for 2"),
        ([1.0, 2.0], {"a": [1.0, float("nan")]}, "not finite"),
        ([1.0, 2.0], {str(i): [1.0, 2.0] for i in range(5)}, "at most 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused(budgets, lines, told) -> None:
    with pytest.raises(InputError, match=told):
        svg(budgets, lines, "bad")


def test_another_ending_is_refused() -> None:
    with pytest.raises(InputError, match=r"plot\.png"):
        check_plot("plot.png")
