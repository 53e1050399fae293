"""The benchmark of drafts in searches compares all ways on the same problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from harness.figures import Report
from harness.searching import drafting


@dataclass
class FakeWay:
    """Takes a time that depends on its drafts, and says the question back."""

    setting: Any
    search: Any
    seed: int
    draft: Any
    texts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def solve(self, question: Any) -> None:
        self.texts.append(str(question))
        self.seconds += {None: 6.0, "auto": 4.0}.get(self.draft, 2.0)


def test_ratios_are_those_of_all_ways_on_the_same_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drafting, "Way", FakeWay)
    monkeypatch.setattr(drafting, "draft_model", lambda: "small")
    questions: Any = SimpleNamespace(questions=[f"q{at}" for at in range(drafting.OTHERS + 5)])
    report = Report("search", "Searches")
    drafting.measure(questions, [1, 2], report)
    found = {figure.name: figure.value for figure in report.figures}
    assert found["drafts_speed_up_smc_16"] == 3.0
    assert found["drafts_speed_up_smc_16_auto"] == 1.5
    assert len(found) == 2 * len(drafting.SEARCHES)
    (table,) = report.tables
    # 5 problems, 2 seeds.
    assert [row[1:] for row in table.rows] == [["60.0", "40.0", "20.0", "1.5", "3", "100%"]] * 3
