"""CNTP: how many trials, which of them is kept, and what it costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

from guided import run
from guided.controls import BanTokens
from guided.decoding import Decoder
from guided.errors import InputError
from guided.model import Model
from guided.search import CNTP, Punctuation, Tokens
from guided.search.effects import Plan, grow_branches
from guided.search.node import Node
from guided.search.problem import Problem
from guided.testing import table_model
from guided.trace import Trace
from tests.search.exact_laws import entropy

PROMPT = "ab"
OPTIONS = {"heal": False, "temperature": 1.0, "max_new_tokens": 12}


def model_with_marks(seed: int = 1, spread: float = 3.0) -> Model:
    return table_model(
        seed=seed, spread=spread, horizon=16, tokens=[b"a", b"b", b"c", b".", b" ,", b"d"]
    )


@pytest.mark.parametrize("trials", ["paper", "code"])
def test_the_count_never_falls_and_ends_where_it_should(trials: str) -> None:
    method = CNTP(trials=trials)  # type: ignore[arg-type]
    counts = [method.count(h / 1000) for h in range(2000)]
    assert counts == sorted(counts)
    assert {method.count(h) for h in (0.0, 0.005, 0.01)} == {1}
    assert {method.count(h) for h in (1.5, 1.6, 9.0)} == {10}
    assert set(counts) == set(range(1, 11))


def test_paper_and_code_differ_as_documented() -> None:
    paper, code = CNTP(), CNTP(trials="code")
    assert (paper.count(0.18), code.count(0.18)) == (1, 2)
    assert (paper.count(1.2), code.count(1.2)) == (7, 8)


def test_the_entropy_is_in_nats_and_zero_where_one_token_is_left() -> None:
    uniform = table_model(7, spread=0.0, horizon=3)
    decoder = Decoder(uniform.network, uniform.vocabulary)
    wide, sure = decoder.open([[1, 2], [1, 2, 3]])
    assert wide.entropy() == pytest.approx(math.log(7), abs=1e-12)
    assert sure.entropy() == 0.0
    (masked,) = decoder.open([[1, 2]], [[BanTokens([0, 1, 2])]])
    assert masked.entropy() == pytest.approx(math.log(4), abs=1e-12)


@pytest.mark.parametrize("settings", [{"n_max": 1}, {"h_min": 90.0, "h_max": 99.0}])
def test_one_trial_is_plain_sampling(settings: dict[str, Any]) -> None:
    model = model_with_marks()
    for seed in range(6):
        found = CNTP(**settings).run(model, PROMPT, seed=seed, **OPTIONS)
        assert found.best.tokens == run(model, PROMPT, seed=seed, **OPTIONS).tokens


def traced(method: CNTP, model: Model, **options: Any) -> tuple[Any, Mapping[str, list[Any]]]:
    trace = Trace()
    found = method.run(model, PROMPT, trace=trace, **{**OPTIONS, **options})
    kinds: dict[str, list[Any]] = {}
    for record in trace.records:
        kinds.setdefault(record["kind"], []).append(record)
    return found, kinds


def test_the_trial_with_the_lowest_perplexity_is_kept_whole() -> None:
    for seed in range(4):
        _, kinds = traced(CNTP(h_max=1.2), model_with_marks(), seed=seed)
        nodes = {r["id"]: r for r in kinds["node"]}
        ppl = {r["id"]: r["ppl"] for r in kinds["facts"] if "ppl" in r}
        families: dict[int, list[int]] = {}
        for each in ppl:
            families.setdefault(nodes[each]["parent"], []).append(each)
        assert families
        parents = {r["parent"] for r in nodes.values()} | {kinds["result"][0]["best"]}
        for family in families.values():
            kept = [each for each in family if each in parents]
            assert len(kept) == 1
            assert ppl[kept[0]] == min(ppl[each] for each in family)
        for each, value in ppl.items():
            own = nodes[each]
            if own["tokens"] and each not in parents:
                assert value == pytest.approx(math.exp(-own["log_q"] / own["tokens"]))
                ended = own["text"].rstrip(" ").endswith((".", ",")) or own["reason"] in (
                    "stop", "length",
                )  # fmt: skip
                assert ended


def test_trials_stop_at_the_first_mark_or_at_the_cap() -> None:
    model = model_with_marks(spread=0.5)
    for segmenter, wanted in [(Punctuation(most=3), 3), (Tokens(2), 2)]:
        _, kinds = traced(CNTP(h_max=0.5), model, segmenter=segmenter)
        ppl = {r["id"] for r in kinds["facts"] if "ppl" in r}
        lengths = {r["tokens"] for r in kinds["node"] if r["id"] in ppl}
        assert max(lengths) == wanted


def test_the_tokens_are_those_of_all_trials_and_of_plain_draws() -> None:
    for seed in range(3):
        found, kinds = traced(CNTP(), model_with_marks(), seed=seed)
        assert found.spent["tokens"] == sum(r["tokens"] for r in kinds["node"])
        last = kinds["round"][-1]["info"]
        assert last["trials"] == sum(r["info"].get("trials", 0) for r in kinds["round"][:-1])
        assert last["pauses"] == len(kinds["round"]) - 1


def test_the_number_of_trials_is_that_of_the_entropy_of_the_law_in_use() -> None:
    _, kinds = traced(CNTP(), model_with_marks(), temperature=1.0)
    first = kinds["round"][0]["info"]
    (own,) = [r for r in kinds["node"] if r["id"] == kinds["round"][0]["alive"][0]]
    if own["tokens"] == 0:
        assert first["entropy"] == pytest.approx(entropy(model_with_marks(), [1, 2]), abs=1e-9)
    _, cooler = traced(CNTP(), model_with_marks(), temperature=0.5)
    assert cooler["round"][0]["info"]["entropy"] != pytest.approx(first["entropy"])


class OneByOne(CNTP):
    """The same trials, grown one after the other."""

    def _try(self, problem: Problem, node: Node, count: int) -> Plan[Node]:
        trials = super()._try(problem, node, count)
        wish = next(trials)
        for branch in wish.branches:
            yield from grow_branches([branch], wish.until)
        try:
            trials.send([])
        except StopIteration as end:
            return end.value
        raise AssertionError("a trial asks for one growth only")


def test_trials_in_a_batch_are_those_grown_one_by_one() -> None:
    model = model_with_marks()
    for seed in range(4):
        together = CNTP().run(model, PROMPT, seed=seed, **OPTIONS)
        apart = OneByOne().run(model, PROMPT, seed=seed, **OPTIONS)
        assert together.best.tokens == apart.best.tokens


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model = model_with_marks()
    prompts = ["ab", "ba", "cc"]
    together = CNTP().run(model, prompts, seed=2, **OPTIONS)
    alone = [CNTP().run(model, prompt, seed=2, **OPTIONS) for prompt in prompts]
    assert [r.best.tokens for r in together] == [r.best.tokens for r in alone]


def test_a_grammar_holds() -> None:
    model, pattern = model_with_marks(), r"a(b|c|\.){2,6}d"
    for seed in range(4):
        found = CNTP().run(model, PROMPT, regex=pattern, seed=seed, max_new_tokens=10)
        assert re.fullmatch(pattern, found.text)


@pytest.mark.parametrize(
    "settings",
    [{"h_min": -1.0}, {"h_min": 2.0}, {"h_max": math.inf}, {"n_max": 0}, {"trials": "x"}],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        CNTP(**settings)


def test_greedy_trials_are_refused() -> None:
    with pytest.raises(InputError, match="greedy"):
        CNTP().run(model_with_marks(), PROMPT, temperature=0.0)
