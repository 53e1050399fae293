"""guided solve: what it prints, what it writes, and the status it leaves."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import guided.loading
import guided.rewards
import guided.search.session
import guided.solving.embedded
from guided.cli import main
from guided.solving import Equations
from guided.testing import fake_model

SCRIPTS = {"Ann": "2+3=5\nAnswer: 5", "Bo": "2*4=9\nAnswer: 9"}
LINES = '{"question": "Ann?", "answer": 5}\n{"question": "Bo?", "answer": 8}\n'
BEST = ["--method", "best-of-n", "--set", "n=2", "--reward", "equations", "--max-new-tokens", "40"]


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guided.loading, "load", lambda name, **how: fake_model(SCRIPTS))


@pytest.fixture
def problems(tmp_path: Path) -> str:
    path = tmp_path / "problems.jsonl"
    path.write_text(LINES)
    return str(path)


def test_a_question_is_answered_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "Ann?", "--model", "any", *BEST]) == 0
    out = capsys.readouterr().out
    assert "2+3=5      1.000" in out
    assert "answer: 5\n" in out
    assert "1 reward passes" in out
    assert main(["solve", "Ann?", "--answer", "6", "--model", "any", *BEST]) == 0
    assert "answer: 5  wrong, it is 6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--model", "any"], "auto"),
        (["--model", "any", "--draft", "auto"], "auto"),
        (["--model", "any", "--draft", "none"], None),
        (["--model", "any", "--draft", "small"], "small"),
        ([], "tiny-math-draft"),
    ],
)
def test_a_small_model_guesses_ahead_where_there_is_one(
    flags: list[str], wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: dict[int, str] = {}

    def load(name: str, **how: Any) -> Any:
        model = fake_model(SCRIPTS)
        loaded[id(model)] = Path(name).name
        kept.append(model)
        return model

    kept: list[Any] = []
    drafts: list[Any] = []
    monkeypatch.setattr(guided.loading, "load", load)
    monkeypatch.setattr(
        guided.search.session,
        "speculation",
        lambda model, draft: drafts.append(loaded.get(id(draft), draft)),
    )
    assert main(["solve", "Ann?", *flags, *BEST]) == 0
    assert set(drafts) == {wanted}


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_problems_are_read_and_judged(
    source: str, problems: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if source == "standard input":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES.encode())))
        problems = "-"
    assert main(["solve", "--problems", problems, "--model", "any", *BEST, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["is_right"] for record in records] == [True, False]
    assert [record["score"] for record in records] == [1.0, 0.0]
    assert main(["solve", "--problems", problems, "--model", "any", *BEST, "--limit", "1"]) in (
        0,
        1,
    )


def test_methods_are_compared_and_drawn(
    problems: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--problems", problems, "--model", "any", "--reward", "equations"]
    plot, trace = tmp_path / "c.html", tmp_path / "t.jsonl"
    methods = ["--compare", "greedy", "best-of-n:n=2"]
    more = ["--plot", str(plot), "--trace", str(trace), "--trace-tokens"]
    assert main(["solve", *common, *methods, *more]) == 0
    out = capsys.readouterr().out
    assert "greedy" in out
    assert re.search(r"best-of-n n=2 +1/2 +50%", out)
    assert "<svg" in plot.read_text()
    assert main(["trace", str(trace)]) == 0
    page = trace.with_suffix(".html").read_text()
    assert '"method":"Greedy"' in page
    assert '"method":"BestOfN"' in page
    assert '"alternatives"' in page
    capsys.readouterr()
    assert main(["solve", *common, *methods, "--json"]) == 0
    tallies = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [tally["accuracy"] for tally in tallies] == [0.5, 0.5]


def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "--method", "list"]) == 0
    assert "best-of-n" in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a?", "--problems", "b.jsonl"], "not both"),
        (["--answer", "5"], "--answer belongs to a question"),
        (["a?", "--plot", "p.svg"], "add --compare"),
        (["--compare", "greedy", "--plot", "p.png"], ".svg or .html"),
        (["--compare", "greedy", "--set", "n=2"], "best-of-n:n=4"),
        (["a?", "--trace-tokens"], "needs --trace"),
        (["a?", "--preset", "qwen"], "--preset says how --reward"),
        (["a?", "--limit", "0"], "--limit must be at least 1"),
        (["a?", "--at-once", "0"], "--at-once must be at least 1"),
        (["a?", "--method", "bset-of-n"], "Did you mean best-of-n?"),
        (["a?", "--method", "best-of-n", "--set", "k=2"], "no setting 'k'"),
        (["a?", "--budget-tokens", "0"], "a limit must be positive"),
        (["a?", "--model", "any"], "give the --reward"),
        (["a?", "--prompt", "Q:", "--method", "greedy"], "needs {question}"),
        (["--problems", "/no/such/file"], "/no/such/file"),
        ([" "], "the question is empty"),
        (["a?", "--compare", "greedy"], "needs the answer of every problem"),
        (["a?", "--delimiter", "", "--method", "greedy"], "delimiter"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_loaded(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(guided.loading, "load", load)
    monkeypatch.setattr(guided.rewards, "PRM", load)
    assert main(["solve", *arguments]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("guided: ")
    assert says in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "arguments", [["a?", "b?"], ["a?", "--seed", "x"], ["a?", "--aggregate", "max"]]
)
def test_wrong_usage_has_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["solve", *arguments])
    assert caught.value.code == 2


def test_without_a_clone_the_embedded_models_are_missed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided.solving.embedded, "_FOLDERS", (lambda: tmp_path,))
    assert main(["solve", "a?", "--method", "greedy"]) == 1
    told = capsys.readouterr().err
    assert "examples/models/tiny-math is not here" in told
    assert "--model" in told
    assert main(["solve"]) == 1
    assert "examples/data/word_problems.jsonl is not here" in capsys.readouterr().err


def test_a_reward_that_fails_is_told_and_has_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(Equations, "score", fails)
    with pytest.warns(RuntimeWarning, match="nothing to divide by"):
        assert main(["solve", "Ann?", "--model", "any", *BEST]) == 1
    assert "stopped: the reward failed" in capsys.readouterr().out


def test_an_interrupt_prints_what_there_is(
    problems: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Equations, "score", interrupted)
    assert main(["solve", "--problems", problems, "--model", "any", *BEST]) == 130
    assert "stopped: interrupted" in capsys.readouterr().out


def test_the_embedded_models_solve_the_embedded_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)  # found beside the package
    trace = tmp_path / "t.jsonl"
    assert main(["solve", "--limit", "2", "--json", "--trace", str(trace)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 2
    for record in records:
        assert record["right_answer"]
        assert record["steps"]
        assert all(0 <= step["reward"] <= 1 for step in record["steps"])
        assert record["spent"]["reward_tokens"] > 0
    assert {json.loads(line)["kind"] for line in trace.read_text().splitlines()} >= {
        "run", "problem", "node", "score", "facts", "round", "result",
    }  # fmt: skip
