"""What every search must obey, as assertions that a test calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from guided.errors import InputError
from guided.model import Model
from guided.search.budget import Budget
from guided.search.effects import Round
from guided.search.results import SearchResult
from guided.search.search import Search
from guided.testing.holding import hold
from guided.trace import Trace


def check_search_laws(
    search: Search,
    model: Model,
    prompts: Sequence[str],
    reward: Any = None,
    *,
    most_at_once: int = 64,
    **options: Any,
) -> None:
    """Raises AssertionError, naming the law, unless `search` obeys all laws on these prompts.

    Equal seeds give equal results, alone and among other prompts, with and without guesses; what
    is spent is counted and bounded by the budget; a grammar holds for all that comes out; whoever
    stops the search, a budget, Ctrl-C or a reward that fails, gets the best so far.

    Args:
        model: a small one, a `torch.nn.Module` whose texts end by themselves.
        prompts: at least two.
        reward: a function of prompt and text, for searches that need one.
        most_at_once: most sequences that the search draws tokens for at the same time: a budget
            of tokens is exceeded by fewer.
        options: of `Search.run`.
    """
    if len(prompts) < 2:
        raise InputError("check_search_laws compares prompts; give at least two")
    run = _Runs(search, model, reward, options)
    whole = [run(prompt) for prompt in prompts]
    for prompt, result in zip(prompts, whole, strict=True):
        hold(_told(run(prompt)) == _told(result), "equal seeds give equal results", prompt)
        hold(_told(run(prompt, draft=None)) == _told(result), "guesses change nothing", prompt)
        _check_result(prompt, result)
    together = search.run(model, list(prompts), reward, **options)
    for prompt, result, alone in zip(prompts, together, whole, strict=True):
        hold(_told(result) == _told(alone), "other prompts beside it change nothing", prompt)
    for prompt, result in zip(prompts, whole, strict=True):
        _check_budgets(run, prompt, result, most_at_once)
    _check_rounds(run, prompts[0], whole[0])
    _check_interrupt(run, prompts[0])
    if reward is not None:
        _check_failing_reward(run, prompts[0])


class _Runs:
    """Runs one search again and again."""

    def __init__(self, search: Search, model: Model, reward: Any, options: dict[str, Any]) -> None:
        self.search, self.model, self.reward, self.options = search, model, reward, options

    def __call__(self, prompt: str, reward: Any = None, **more: Any) -> SearchResult:
        options = {**self.options, **more}
        return self.search.run(self.model, prompt, reward or self.reward, **options)


def _told(result: SearchResult) -> tuple[Any, ...]:
    """What two equal searches have in common; passes and times may differ."""
    counts = [result.spent[name] for name in ("tokens", "reward_passes", "rounds")]
    texts = [(each.result.tokens, each.score) for each in result.candidates]
    return result.best.tokens, result.score, texts, counts, result.stopped


def _check_result(prompt: str, result: SearchResult) -> None:
    hold(result.stopped is None, "a search without a budget comes to its end", prompt)
    hold(all(count >= 0 for count in result.spent.values()), "counts are not negative", prompt)
    for each in result.candidates:
        hold(each.result.finish_reason != "cut", "candidates are complete", prompt)
    drawn = len(result.best.tokens)
    hold(result.spent["tokens"] >= drawn, "the tokens of the result are counted", prompt)


def _check_budgets(run: _Runs, prompt: str, whole: SearchResult, most: int) -> None:
    """Every limit ends the search soon after it is reached."""
    tokens = int(whole.spent["tokens"])
    for limit in sorted({1, tokens // 2, tokens - 1} - {0, -1}):
        result = run(prompt, budget=Budget(tokens=limit))
        spent = result.spent["tokens"]
        hold(spent < limit + most, "a budget of tokens holds", prompt, limit, spent)
        hold(
            result.stopped in ("tokens", None), "the reason is named", prompt, limit, result.stopped
        )
        hold(
            result.stopped is not None or spent <= limit,
            "a search over its budget says so",
            prompt,
            limit,
        )
    if whole.spent["rounds"] > 1:
        result = run(prompt, budget=Budget(rounds=1))
        counted = result.stopped == "rounds" and result.spent["rounds"] == 1
        hold(counted, "a budget of rounds holds", prompt, result.stopped)
    hold(
        run(prompt, budget=Budget(seconds=1e-9)).stopped in ("seconds", None),
        "a budget of time ends the search",
        prompt,
    )


def _check_rounds(run: _Runs, prompt: str, whole: SearchResult) -> None:
    """Whoever iterates sees every round, then the same result; a trace changes nothing."""
    trace = Trace()
    events = list(run.search.iterate(run.model, prompt, run.reward, trace=trace, **run.options))
    rounds = [event for event in events if isinstance(event, Round)]
    hold(len(rounds) == whole.spent["rounds"], "every round is shown", len(rounds))
    hold([r.number for r in rounds] == list(range(1, len(rounds) + 1)), "rounds count from 1")
    last = events[-1]
    if not isinstance(last, SearchResult):
        raise AssertionError("the result comes last")
    hold(_told(last) == _told(whole), "iterating and tracing change nothing", prompt)
    kinds = [record["kind"] for record in trace.records]
    hold(kinds[:2] == ["run", "problem"] and kinds[-1] == "result", "a trace has its form", kinds)
    known = {record["id"] for record in trace.records if record["kind"] == "node"}
    parents = {record["parent"] for record in trace.records if record["kind"] == "node"}
    hold(parents - {None} <= known, "a trace has the parents of its nodes", parents - known)


def _check_interrupt(run: _Runs, prompt: str) -> None:
    """Ctrl-C in the middle of a pass leaves a result that says so."""
    passes = 0

    def interrupted(*_: object) -> None:
        nonlocal passes
        passes += 1
        if passes > 2:
            raise KeyboardInterrupt

    hook = run.model.hf_model.register_forward_pre_hook(interrupted)
    try:
        result = run(prompt)
    finally:
        hook.remove()
    if passes > 2:
        hold(result.stopped == "interrupt", "Ctrl-C gives the best so far", result.stopped)


def _check_failing_reward(run: _Runs, prompt: str) -> None:
    asked = False

    def fails(prompt: str, text: str) -> float:
        nonlocal asked
        asked = True
        raise ZeroDivisionError("no score")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = run(prompt, fails)
    if not asked:
        return
    hold(result.stopped == "reward", "a reward that fails ends the search", result.stopped)
    hold(result.error is not None, "the error of the reward is kept")
    hold(any("no score" in str(each.message) for each in told), "the error is shown")
