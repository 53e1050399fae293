"""Problems are solved in order, counted, compared and drawn."""

import io
import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from guided.errors import InputError
from guided.search import BestOfN, Budget, Greedy
from guided.solving import Equations, Problem, Prompting, Solver, Tally, compare
from guided.solving.comparison import table
from guided.solving.plot import svg, text_plot, write_plot
from guided.solving.progress import Progress
from guided.solving.report import as_record, as_text, summary
from guided.testing import fake_model, table_model
from guided.trace import Trace

SCRIPTS = {"Ann": "2+3=5\nAnswer: 5", "Bo": "2*4=9\nAnswer: 9", "Cy": "Answer: 1"}
PROBLEMS = [Problem("Ann?", "5"), Problem("Bo?", "8"), Problem("Cy?")]


def solver(**more: object) -> Solver:
    options = {"max_new_tokens": 40, "temperature": 0.2}
    given = {"method": BestOfN(2), "reward": Equations(), "options": options}
    prompting = Prompting("Q: {question}\n")
    return Solver(fake_model(SCRIPTS), prompting=prompting, **(given | more))


def test_solutions_come_in_order_with_steps_and_verdicts() -> None:
    found = list(solver().solve(PROBLEMS))
    assert [each.problem for each in found] == PROBLEMS
    assert [each.is_right for each in found] == [True, False, None]
    assert [each.answer for each in found] == ["5", "9", "1"]
    assert [(s.text, s.reward) for s in found[1].steps] == [("2*4=9", 0), ("Answer: 9", 1)]
    assert found[1].result.score == 0
    assert all(each.result.spent["reward_passes"] == 1 for each in found)


def test_every_call_asks_the_reward_anew() -> None:
    one = solver()
    first, second = list(one.solve(PROBLEMS)), list(one.solve(PROBLEMS))
    for a, b in zip(first, second, strict=True):
        assert a.result.spent["reward_passes"] == b.result.spent["reward_passes"] == 1


def test_methods_without_need_of_a_reward_do_not_ask_it() -> None:
    (found,) = solver(method=Greedy(), options={}).solve(PROBLEMS[:1])
    assert found.result.spent["reward_passes"] == 0
    assert [step.reward for step in found.steps] == [None, None]


def test_rounds_are_shown_and_budgets_kept() -> None:
    seen = []
    one = solver(budget=Budget(tokens=3))
    found = list(one.solve(PROBLEMS, on_round=seen.append))
    assert {each.problem for each in seen} <= {0, 1, 2}
    assert {each.result.stopped for each in found} == {"tokens"}
    assert "stopped: the budget of tokens ended it" in as_text(found[0])


def test_a_report_is_for_people_and_for_programs() -> None:
    found = list(solver().solve(PROBLEMS))
    text = as_text(found[1])
    assert "2*4=9" in text
    assert "0.000" in text
    assert "answer: 9  wrong, it is 8" in text
    assert "answer: 5  right" in as_text(found[0])
    assert as_text(found[2]).splitlines()[2] == "answer: 1"
    record = as_record(found[0])
    assert record["steps"] == [{"text": "2+3=5", "reward": 1}, {"text": "Answer: 5", "reward": 1}]
    assert (record["is_right"], record["right_answer"]) == (True, "5")
    assert summary(found, 2.0).startswith("1 of 2 right (50%")
    assert "3 problems" in summary(found, 2.0)


def test_methods_are_compared_on_the_same_problems(tmp_path: Path) -> None:
    done = []
    with Trace(tmp_path / "t.jsonl") as trace:
        tallies = list(
            compare(
                solver(options={"max_new_tokens": 40}),
                [Greedy(), BestOfN(2), BestOfN(3)],
                PROBLEMS[:2],
                trace=trace,
                on_solution=done.append,
            )
        )
    assert [(t.name, t.right, t.count) for t in tallies] == [
        ("greedy", 1, 2), ("best-of-n n=2", 1, 2), ("best-of-n n=3", 1, 2),
    ]  # fmt: skip
    assert tallies[0].tokens < tallies[1].tokens < tallies[2].tokens
    assert [t.reward_passes > 0 for t in tallies] == [False, True, True]
    assert len(done) == 6
    assert (tmp_path / "t.jsonl").read_text().count('"kind": "run"') == 3
    lines = table(tallies).splitlines()
    assert lines[0].split()[:3] == ["method", "right", "accuracy"]
    assert "50%" in lines[1]
    with pytest.raises(InputError, match="3 has none"):
        list(compare(solver(), [Greedy()], PROBLEMS))


def test_the_interval_is_that_of_wilson() -> None:
    low, high = Tally("x", 8, 10, 1, 1, 1, 1).interval
    # Of the quadratic equation |p - q| = z sqrt(q (1 - q) / n).
    for q in (low, high):
        assert abs(0.8 - q) == pytest.approx(1.96 * math.sqrt(q * (1 - q) / 10))
    assert Tally("x", 0, 0, 1, 1, 1, 1).interval == (0, 1)
    assert math.isnan(Tally("x", 0, 0, 1, 1, 1, 1).accuracy)


TALLIES = [
    Tally("greedy", 5, 10, 40, 0, 0, 1),
    Tally("best-of-n n=4", 6, 10, 160, 4, 100, 2),
    Tally("best-of-n n=16", 8, 10, 640, 16, 400, 3),
    Tally("<odd> & name", 8, 10, 200, 9, 400, 3),
]


def test_a_plot_shows_every_method(tmp_path: Path) -> None:
    drawn = svg(TALLIES)
    root = ET.fromstring(drawn)
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "best-of-n n=16: 80% at 640.0" in titles
    assert "<odd> & name: 80% at 200.0" in titles
    # Greedy has no reward passes, so that it stands in one panel only.
    assert sum(title.startswith("greedy") for title in titles if title) == 1
    for name in ("a.svg", "a.html"):
        write_plot(TALLIES, tmp_path / name)
        assert "best-of-n" in (tmp_path / name).read_text()
    with pytest.raises(InputError, match=r"\.svg or \.html"):
        write_plot(TALLIES, tmp_path / "a.png")
    ET.fromstring(svg([]))


def test_a_plot_in_letters_puts_better_ones_higher() -> None:
    lines = text_plot(TALLIES).splitlines()
    at = {letter: next(i for i, line in enumerate(lines) if letter in line[7:]) for letter in "abc"}
    assert at["c"] < at["b"] < at["a"]
    assert lines[at["b"]].index("b") < lines[at["c"]].index("c")
    assert "c best-of-n n=16" in lines
    assert text_plot([]) == ""


def test_results_of_many_prompts_are_those_of_each_alone() -> None:
    model = table_model(4, seed=3, horizon=9)
    options = {"heal": False, "seed": 2}
    prompts = ["ab", "ba", "c", "aa", "bc"]
    events = BestOfN(3).iterate(model, prompts, lambda p, t: len(t), at_once=2, **options)
    found = {e.number: e for e in events if hasattr(e, "spent") and hasattr(e, "candidates")}
    assert sorted(found) == [0, 1, 2, 3, 4]
    for number, prompt in enumerate(prompts):
        alone = BestOfN(3).run(model, prompt, lambda p, t: len(t), **options)
        assert found[number].best.tokens == alone.best.tokens


def test_a_bar_shows_spend_and_the_current_best(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown, printed = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "stdout", printed)
    with Progress(3) as progress:
        for solution in solver().solve(PROBLEMS, on_round=progress.on_round):
            progress.on_solution(solution)
            progress.write(solution.problem.question)
    assert printed.getvalue().split() == ["Ann?", "Bo?", "Cy?"]
    last = shown.getvalue().strip().split("\r")[-1]
    assert "3/3" in last
    for part in (r"tokens=\d\d", r"reward passes=3", r"best=1\.000", r"right=1/2"):
        assert re.search(part, last), (part, last)


def test_a_bar_stays_away_where_nobody_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1) as progress:
        progress.write("text")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("text\n", "")
