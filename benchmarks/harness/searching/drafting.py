"""The same searches with guesses ahead and without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import guided
from guided.search import SMC, AStar, BestOfN, Search

from ..figures import Figure, Report, Table, number
from .setting import LONGEST, Question, Setting

SEARCHES: dict[str, Search] = {"A*": AStar(), "SMC 16": SMC(16), "best-of-16": BestOfN(16)}


#: Problems that are searched before those that are timed.
OTHERS = 4


class Way:
    """One search on one problem after the other, with guesses or without.

    What is remembered of the model begins with a few other problems, so that no text of the timed
    ones is known from an earlier search.
    """

    def __init__(self, setting: Setting, search: Search, seed: int, draft: str | None) -> None:
        self._model = guided.Model(setting.model.hf_model, setting.model.tokenizer)
        self._scorer = setting.scorer() if search.needs_reward else None
        self._search, self._seed, self._draft = search, seed, draft
        self.texts: list[str] = []
        self.seconds = 0.0
        for question in setting.questions[:OTHERS]:
            self.solve(question)
        self.texts, self.seconds = [], 0.0

    def solve(self, question: Question) -> None:
        """Searches one problem."""
        began = time.process_time()
        (result,) = self._search.run(
            self._model,
            [question.prompt],
            self._scorer,
            temperature=1.0,
            seed=self._seed + len(self.texts),
            max_new_tokens=LONGEST,
            heal=False,
            draft=self._draft,
        )
        self.seconds += time.process_time() - began
        self.texts.append(result.text)


def measure(setting: Setting, seeds: Sequence[int], report: Report) -> None:
    """Times with and without drafts, problem by problem in turn; texts are the same."""
    timed = setting.questions[OTHERS:]
    table = Table(["search", "CPU s, draft=None", "CPU s, auto", "ratio", "same texts"])
    for name, search in SEARCHES.items():
        ratios, plain, drafted, same = [], 0.0, 0.0, 0
        for seed in seeds:
            slow = Way(setting, search, 1000 * seed, None)
            fast = Way(setting, search, 1000 * seed, "auto")
            for place, question in enumerate(timed):
                for way in (slow, fast) if place % 2 else (fast, slow):
                    way.solve(question)
            ratios.append(slow.seconds / fast.seconds)
            plain, drafted = plain + slow.seconds, drafted + fast.seconds
            same += sum(a == b for a, b in zip(slow.texts, fast.texts, strict=True))
        ratio = statistics.median(ratios)
        share = same / (len(seeds) * len(timed))
        table.rows.append([name, f"{plain:.1f}", f"{drafted:.1f}", number(ratio), f"{share:.0%}"])
        figure = f"drafts_speed_up_{name.replace('*', 'star').replace(' ', '_')}"
        report.figures.append(Figure(figure.lower(), ratio, "x", ">= 1.3"))
    table.title = f"with drafts and without; {len(timed)} problems, one at a time"
    report.tables.append(table)
    report.notes.append(
        f"median over the seeds, both ways in turn problem by problem; before, {OTHERS} other "
        "problems are searched, with nothing remembered of earlier ones"
    )
