"""The same searches with guesses ahead and without: of "auto", and of a small model as well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import guided
from guided.drafting import Draft
from guided.search import SMC, AStar, BestOfN, Search

from ..figures import Figure, Report, Table, number
from .setting import LONGEST, Question, Setting, draft_model

SEARCHES: dict[str, Search] = {"A*": AStar(), "SMC 16": SMC(16), "best-of-16": BestOfN(16)}


#: Problems that are searched before those that are timed.
OTHERS = 4


class Way:
    """One search on one problem after the other, with guesses or without.

    What is remembered of the model begins with a few other problems, so that no text of the timed
    ones is known from an earlier search.
    """

    def __init__(self, setting: Setting, search: Search, seed: int, draft: Draft) -> None:
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
    drafts: dict[str, Draft] = {"None": None, "auto": "auto", "a small model": draft_model()}
    heads = [f"CPU s, {name}" for name in drafts]
    table = Table(["search", *heads, "auto, ratio", "small model, ratio", "same texts"])
    for name, search in SEARCHES.items():
        seconds, ratios = dict.fromkeys(drafts, 0.0), {each: list[float]() for each in drafts}
        same = 0
        for seed in seeds:
            ways = {
                each: Way(setting, search, 1000 * seed, draft) for each, draft in drafts.items()
            }
            _solve(timed, list(ways.values()))
            plain = ways["None"]
            for each, way in ways.items():
                seconds[each] += way.seconds
                ratios[each].append(plain.seconds / way.seconds)
            texts = [way.texts for way in ways.values()]
            same += sum(len(set(some)) == 1 for some in zip(*texts, strict=True))
        auto, small = (statistics.median(ratios[each]) for each in ("auto", "a small model"))
        share = same / (len(seeds) * len(timed))
        times = [f"{spent:.1f}" for spent in seconds.values()]
        table.rows.append([name, *times, number(auto), number(small), f"{share:.0%}"])
        figure = f"drafts_speed_up_{name.replace('*', 'star').replace(' ', '_')}".lower()
        report.figures.append(Figure(figure, small, "x", ">= 1.3"))
        report.figures.append(Figure(f"{figure}_auto", auto, "x"))
    table.title = f"with drafts and without; {len(timed)} problems, one at a time"
    report.tables.append(table)
    report.notes.append(
        "median over the seeds, all ways in turn problem by problem; before, "
        f"{OTHERS} other problems are searched, with nothing remembered of earlier ones; the small "
        "model is tiny-math-draft, beside the guesses of auto"
    )


def _solve(questions: Sequence[Question], ways: Sequence[Way]) -> None:
    """Every question in every way; which one is first changes from question to question."""
    for place, question in enumerate(questions):
        first = place % len(ways)
        for way in [*ways[first:], *ways[:first]]:
            way.solve(question)
