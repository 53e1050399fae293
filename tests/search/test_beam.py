"""Step beam search and DVTS: their ends are best-of-N, their ties go to the first."""

from itertools import pairwise
from typing import Any

import pytest

from guided import run
from guided.decoding.rng import fold
from guided.errors import InputError
from guided.search import DVTS, Beam, BestOfN, Budget, SearchResult, Tokens
from guided.search.effects import Round
from guided.testing import table_model
from guided.trace import Trace

PROMPT = "ab"
OPTIONS: dict[str, Any] = {"temperature": 1.0, "heal": False, "segmenter": Tokens(2)}


def drawn(prompt: str, text: str) -> float:
    return (fold((1, *text.encode())) >> 11) * 2.0**-53


def texts(found: SearchResult) -> list[str]:
    return sorted(candidate.result.text for candidate in found.candidates)


def rounds(method: Beam | DVTS, model: Any, **options: Any) -> list[Round]:
    events = method.iterate(model, PROMPT, drawn, **OPTIONS, **options)
    return [event for event in events if isinstance(event, Round)]


@pytest.mark.parametrize("method", [Beam(6, 1), DVTS(6, 1)])
def test_factor_one_prunes_nothing_and_is_best_of_n(method: Beam | DVTS) -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=12)
    for seed in range(6):
        found = method.run(model, PROMPT, drawn, seed=seed, **OPTIONS)
        best = BestOfN(6).run(model, PROMPT, drawn, seed=seed, **OPTIONS)
        assert texts(found) == texts(best)
        assert found.best.tokens == best.best.tokens
        assert found.spent["tokens"] == best.spent["tokens"]


def test_factor_equal_to_width_keeps_one_beam() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=14)
    seen = rounds(Beam(4, 4), model, seed=3)
    assert len(seen) > 2
    assert all(len(each.alive) <= 1 and each.info["beams"] == 4 for each in seen)
    for before, after in pairwise(seen):
        for node in after.alive:
            assert node.parent is before.alive[0]
    one_tree = rounds(DVTS(4, 4), model, seed=3)
    first, other = seen[0].alive[0], one_tree[0].alive
    assert not other or other[0].tokens == first.tokens


@pytest.mark.parametrize("method", [Beam(1, 1), DVTS(1, 1)])
def test_one_beam_is_plain_sampling(method: Beam | DVTS) -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=12)
    plain = {"temperature": 1.0, "heal": False}
    for seed in range(10):
        found = method.run(model, PROMPT, drawn, seed=seed, **OPTIONS)
        assert found.best.tokens == run(model, PROMPT, seed=seed, **plain).tokens


def test_of_equal_beams_the_first_ones_are_kept_and_copied_in_turn() -> None:
    model, trace = table_model(4, seed=3, spread=0.5, horizon=14), Trace()
    options = {**OPTIONS, "regex": "[abc]{6}"}
    Beam(6, 2).run(model, PROMPT, lambda p, t: 0.5, trace=trace, **options)
    kept = [r["info"]["kept"] for r in trace.records if r["kind"] == "round"]
    parents = {r["id"]: r["parent"] for r in trace.records if r["kind"] == "node"}
    assert kept[0] == [1, 2, 3]
    assert [parents[number] for number in range(7, 13)] == [1, 1, 2, 2, 3, 3]
    # Nodes are made parent by parent; in turn they stand 7, 9, 11, 8, 10, 12.
    assert kept[1] == [7, 9, 11]


def test_the_best_of_the_rest_go_on() -> None:
    model = table_model(4, seed=5, spread=0.5, horizon=14)
    for seen in (rounds(Beam(8, 4), model, regex="[abc]{8}"),):
        for each in seen[:-1]:
            assert len(each.alive) == 2
    trace = Trace()
    Beam(8, 4).run(model, PROMPT, drawn, trace=trace, regex="[abc]{8}", **OPTIONS)
    scores = {r["id"]: r["value"] for r in trace.records if r["kind"] == "score"}
    kept = next(r["info"]["kept"] for r in trace.records if r["kind"] == "round")
    assert [scores[n] for n in kept] == sorted((scores[n] for n in range(1, 9)), reverse=True)[:2]


def test_a_look_ahead_scores_what_follows_and_keeps_the_step() -> None:
    model, trace = table_model(4, seed=5, spread=0.5, horizon=20), Trace()
    shown: list[str] = []

    def score(prompt: str, text: str) -> float:
        shown.append(text)
        return drawn(prompt, text)

    options = {**OPTIONS, "regex": "[abc]{10}"}
    found = Beam(4, 2, lookahead=2).run(model, PROMPT, score, trace=trace, **options)
    assert len(shown[0]) == 2 * (1 + 2)
    nodes = [r for r in trace.records if r["kind"] == "node" and r["parent"] is not None]
    assert {node["tokens"] for node in nodes} <= {1, 2}
    facts = [r["ahead"] for r in trace.records if r["kind"] == "facts" and "ahead" in r]
    assert facts
    assert found.score == drawn(PROMPT, found.text)
    assert found.spent["tokens"] > sum(node["tokens"] for node in nodes)


def test_repeated_beams_can_be_left_out() -> None:
    model = table_model(3, seed=5, spread=0.5, horizon=20)
    seen = rounds(Beam(8, 2, drop_repeated=True), model, regex="[ab]{6}")
    for each in seen:
        assert len({node.tokens for node in each.alive}) == len(each.alive)


def test_trees_go_on_by_themselves() -> None:
    model = table_model(4, seed=5, spread=0.5, horizon=14)
    seen = rounds(DVTS(6, 2), model, regex="[abc]{8}")
    for before, after in pairwise(seen):
        assert [node.parent for node in after.alive] == list(before.alive)[: len(after.alive)]
    trace = Trace()
    found = DVTS(6, 2).run(model, PROMPT, drawn, trace=trace, regex="[abc]{8}", **OPTIONS)
    scores = {r["id"]: r["value"] for r in trace.records if r["kind"] == "score"}
    for record in (r for r in trace.records if r["kind"] == "round"):
        best = record["info"]["best"]
        assert len(best) == 3
        assert all(number in scores for number in best)
    assert len(found.candidates) == 6
    assert found.score == max(float(c.score or 0.0) for c in found.candidates)


@pytest.mark.parametrize("method", [Beam(4, 2, select="majority"), DVTS(4, 2, select="majority")])
def test_the_complete_texts_may_vote(method: Beam | DVTS) -> None:
    model = table_model(4, seed=5, spread=0.5, horizon=14)
    found = method.run(model, PROMPT, drawn, regex="[ab]{2}", **OPTIONS)
    all_texts = [candidate.result.text for candidate in found.candidates]
    assert all_texts.count(found.text) == max(map(all_texts.count, all_texts))


@pytest.mark.parametrize("method", [Beam(4, 2), DVTS(4, 2)])
def test_the_best_partial_text_is_finished_when_the_budget_ends(method: Beam | DVTS) -> None:
    model = table_model(4, seed=3, spread=0.5, horizon=16)
    options = {**OPTIONS, "regex": "[abc]{9}"}
    found = method.run(model, PROMPT, drawn, budget=Budget(tokens=32, reserve=12), **options)
    assert found.stopped == "tokens"
    assert len(found.text) == 9
    assert found.spent["tokens"] <= 32
    cut = method.run(model, PROMPT, drawn, budget=Budget(tokens=20, reserve=0), **options)
    assert cut.best.finish_reason == "cut"
    assert cut.text


@pytest.mark.parametrize("method", [Beam(4, 2), DVTS(4, 2)])
def test_the_last_step_runs_to_the_end(method: Beam | DVTS) -> None:
    model = table_model(4, seed=3, spread=0.5, horizon=16)
    short = type(method)(4, 2, max_steps=2)
    found = short.run(model, PROMPT, drawn, regex="[abc]{9}", **OPTIONS)
    assert found.spent["rounds"] == 2
    assert len(found.text) == 9


@pytest.mark.parametrize("method", [Beam(4, 2), DVTS(4, 2)])
def test_the_neighbours_in_the_batch_change_nothing(method: Beam | DVTS) -> None:
    model = table_model(4, seed=5, horizon=9)
    prompts = ["ab", "ba", "bc"]
    together = method.run(model, prompts, drawn, at_once=2, seed=4, **OPTIONS)
    for prompt, found in zip(prompts, together, strict=True):
        alone = method.run(model, prompt, drawn, seed=4, **OPTIONS)
        assert found.best.tokens == alone.best.tokens


@pytest.mark.parametrize("kind", [Beam, DVTS])
def test_what_cannot_work_is_refused(kind: type[Beam] | type[DVTS]) -> None:
    with pytest.raises(InputError, match="divide"):
        kind(4, 3)
    with pytest.raises(InputError, match="at least 1"):
        kind(0, 1)
    with pytest.raises(InputError, match="max_steps"):
        kind(4, 2, max_steps=0)
    with pytest.raises(InputError, match="select"):
        kind(4, 2, select="best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lookahead"):
        Beam(4, 2, lookahead=-1)
