"""A*: optimal where it can be, and every cost is what it says, on models that can be enumerated."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from guided import run
from guided.controls import Anchored
from guided.decoding.rng import fold
from guided.errors import InputError
from guided.rewards import Continuation
from guided.search import AStar, Budget, SearchResult, Tokens
from guided.search.effects import Round
from guided.search.voting import winner
from guided.testing import enumerate_sequences, table_model
from guided.trace import Trace

PROMPT = "ab"
OPTIONS: dict[str, Any] = {"temperature": 1.0, "heal": False, "segmenter": Tokens(1)}
EXACT = {"max_frontier": None, "reexpand_penalty": None}
Tokens_ = tuple[int, ...]


def drawn(prompt: str, text: str) -> float:
    """A score in (0, 1) that looks random and depends on the text alone."""
    return (fold((1, *text.encode())) >> 11) * 2.0**-53 * 0.98 + 0.01


def drawn_steps(prompt: str, text: str) -> list[float]:
    return [drawn(prompt, text[: end + 1]) for end in range(len(text))] or [1.0]


def cost_to_go(law: dict[Tokens_, float]) -> Callable[[Any, Continuation], float]:
    """How much the likeliest end of a text costs, by enumeration."""

    def left(prompt: Any, continuation: Continuation) -> float:
        begun = continuation.tokens
        whole = [p for tokens, p in law.items() if tokens[: len(begun)] == begun]
        return math.log(sum(whole)) - math.log(max(whole))

    return left


def records(trace: Trace, kind: str) -> list[dict[str, Any]]:
    return [record for record in trace.records if record["kind"] == kind]


def known_nodes(trace: Trace) -> dict[int, dict[str, Any]]:
    """What the trace says of every node that was priced."""
    nodes = {record["id"]: dict(record) for record in records(trace, "node")}
    for record in records(trace, "score"):
        nodes[record["id"]]["value"] = record["value"]
    for record in records(trace, "facts"):
        nodes[record["id"]].update(record)
    nodes[0].setdefault("value", 1.0)
    nodes[0].setdefault("f", 0.0)
    return {number: node for number, node in nodes.items() if "f" in node}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_with_all_tokens_and_likelihoods_the_result_is_the_likeliest_text(seed: int) -> None:
    model = table_model(3, seed=seed, horizon=6)
    law = enumerate_sequences(model, model.encode(PROMPT), max_new_tokens=5)
    best = max(law, key=lambda tokens: law[tokens])
    expanded = []
    for share in (0.0, 0.5, 1.0):
        left = cost_to_go(law)
        method = AStar(
            cost="nll",
            proposals="all",
            heuristic=lambda p, c, share=share, left=left: share * left(p, c),
            **EXACT,
        )
        rounds = []
        for event in method.iterate(model, PROMPT, **OPTIONS):
            if isinstance(event, Round):
                rounds.append(event.info["f"])
            else:
                found: SearchResult = event
        assert found.best.tokens == best
        # No node worse than the optimum is expanded, and none of an admissible estimate is lost.
        assert all(f <= -math.log(law[best]) + 1e-9 for f in rounds)
        expanded.append(len(rounds))
    assert expanded[0] >= expanded[1] >= expanded[2] == len(best)


@pytest.mark.parametrize("patience", [0, 1, 9, 10_000])
def test_patience_expands_so_many_nodes_after_the_goal(patience: int) -> None:
    model = table_model(3, seed=3, horizon=6)
    law = enumerate_sequences(model, model.encode(PROMPT), max_new_tokens=5)
    whole = sorted((p for tokens, p in law.items() if tokens[-1] == 0), reverse=True)
    options: dict[str, Any] = {"cost": "nll", "proposals": "all", **EXACT}
    first = AStar(**options).run(model, PROMPT, **OPTIONS)
    rounds = list(AStar(patience=patience, **options).iterate(model, PROMPT, **OPTIONS))
    found = rounds.pop()
    assert isinstance(found, SearchResult)
    assert found.best.tokens == first.best.tokens
    known = sorted((sum(each.result.log_p) for each in found.candidates), reverse=True)
    if patience < 10_000:
        assert len(rounds) == first.spent["rounds"] + patience
    else:
        # All of the tree was expanded.
        assert known == pytest.approx([math.log(p) for p in whole], abs=1e-5)


def test_complete_texts_vote() -> None:
    def length(text: str) -> str | None:
        return None if len(text) == 2 else str(len(text) % 3)

    chosen = set()
    for seed in range(12):
        model = table_model(4, seed=seed, horizon=6)
        results = {
            select: AStar(2, patience=5, select=select, answer=length).run(
                model, PROMPT, drawn_steps, seed=seed, **OPTIONS
            )
            for select in ("reward", "majority", "weighted_majority")
        }
        for select, result in results.items():
            answers = [length(each.result.text) for each in result.candidates]
            scores = [each.score or 0.0 for each in result.candidates]
            weights = [1.0] * len(scores) if select == "majority" else scores
            number = winner(answers, weights)
            if select != "reward" and number is not None:
                assert result.text == result.candidates[number].result.text
        chosen.add(tuple(results[select].text for select in results))
    assert any(len(set(texts)) > 1 for texts in chosen)


def test_a_budget_that_ends_after_the_goal_keeps_it() -> None:
    model = table_model(4, seed=3, horizon=6)
    one = AStar(2).run(model, PROMPT, drawn_steps, **OPTIONS)
    budget = Budget(tokens=one.spent["tokens"] + 1, reserve=0)
    found = AStar(2, patience=50).run(model, PROMPT, drawn_steps, budget=budget, **OPTIONS)
    assert found.stopped == "tokens"
    assert found.best.tokens == one.best.tokens


def test_a_grammar_restricts_what_is_likeliest() -> None:
    model = table_model(3, seed=2, horizon=7)
    law = enumerate_sequences(model, model.encode(PROMPT), max_new_tokens=6)
    valid = {t: p for t, p in law.items() if t[-1] == 0 and t[:-1].count(1) == 1 and len(t) > 2}
    method = AStar(cost="nll", proposals="all", **EXACT)
    found = method.run(model, PROMPT, regex="b*ab*", max_new_tokens=6, **OPTIONS)
    longer = method.run(model, PROMPT, regex="b+ab*|ab+", max_new_tokens=6, **OPTIONS)
    assert set(found.text) <= {"a", "b"}
    assert found.text.count("a") == 1
    assert longer.best.tokens == max(valid, key=lambda tokens: valid[tokens])


def test_costs_that_are_consistent_never_fall_along_a_path() -> None:
    model, trace = table_model(4, seed=5, horizon=9), Trace()
    method = AStar(3, cost="consistent", **EXACT)
    found = method.run(model, PROMPT, drawn, trace=trace, **OPTIONS)
    nodes = known_nodes(trace)
    assert len(nodes) > 8
    for node in nodes.values():
        path = [node]
        while path[0]["parent"] is not None:
            path.insert(0, nodes[path[0]["parent"]])
        assert all(b["f"] >= a["f"] - 1e-12 for a, b in pairwise(path))
        falls = sum(max(0.0, a["value"] - b["value"]) for a, b in pairwise(path))
        assert node["f"] == pytest.approx(falls, abs=1e-9)
    popped = [record["info"]["f"] for record in records(trace, "round")]
    assert popped == sorted(popped)
    expanded = {number for r in records(trace, "round") for number in r["info"]["expanded"]}
    goal = records(trace, "result")[0]["best"]
    assert found.stopped is None
    assert all(
        nodes[goal]["f"] <= node["f"] for number, node in nodes.items() if number not in expanded
    )


def test_log_costs_are_those_of_the_steps() -> None:
    model, trace = table_model(4, seed=5, horizon=9), Trace()
    AStar(3, **EXACT).run(model, PROMPT, drawn_steps, trace=trace, **OPTIONS)
    nodes = known_nodes(trace)
    for node in nodes.values():
        text, depth, at = "", 0, node
        while at["parent"] is not None:
            text, depth, at = at["text"] + text, depth + 1, nodes[at["parent"]]
        steps = drawn_steps(PROMPT, text) if text else []
        assert node["f"] == pytest.approx(-sum(map(math.log, steps)) - 0.3 * depth, abs=1e-9)


def test_one_continuation_each_is_plain_sampling() -> None:
    model = table_model(4, seed=3, horizon=9)
    plain = {"temperature": 1.0, "heal": False}
    for seed in range(10):
        for cost in ("neglog", "consistent", "best_first", "nll"):
            method = AStar(1, cost=cost, reexpand_penalty=None)
            found = method.run(model, PROMPT, drawn, seed=seed, **OPTIONS)
            assert found.best.tokens == run(model, PROMPT, seed=seed, **plain).tokens


def test_all_that_was_drawn_and_scored_is_counted() -> None:
    model, trace = table_model(4, seed=6, horizon=9), Trace()
    asked: list[str] = []

    def score(prompt: str, text: str) -> float:
        asked.append(text)
        return drawn(prompt, text)

    found = AStar(4, **EXACT).run(model, PROMPT, score, trace=trace, **OPTIONS)
    nodes = known_nodes(trace).values()
    assert found.spent["tokens"] == sum(node["tokens"] * node.get("drawn", 0) for node in nodes)
    assert found.spent["reward_passes"] == len(asked)
    assert any(node.get("drawn", 0) > 1 for node in nodes)


def test_a_map_that_keeps_the_order_of_rewards_keeps_the_order_of_expansions() -> None:
    model = table_model(4, seed=8, horizon=9)
    orders = []
    for shown in (lambda v: v, lambda v: v**3, lambda v: 5 * v - 7):
        trace = Trace()
        AStar(3, cost="best_first", **EXACT).run(
            model, PROMPT, lambda p, t, shown=shown: shown(drawn(p, t)), trace=trace, **OPTIONS
        )
        orders.append([record["info"]["expanded"] for record in records(trace, "round")])
    assert orders[0] == orders[1] == orders[2]


def test_an_expanded_node_returns_so_that_it_is_not_lost_with_its_children() -> None:
    model = table_model(4, seed=3, spread=1.0, horizon=20)

    def likes_b(prompt: str, text: str) -> list[float]:
        return [1.0 if char == "b" else 1e-6 for char in text] or [1e-6]

    options = {**OPTIONS, "max_new_tokens": 3, "regex": "[abc][abc]"}
    texts = [
        AStar(2, reexpand_penalty=penalty).run(model, PROMPT, likes_b, seed=seed, **options).text
        for penalty in (None, 0.7)
        for seed in range(12)
    ]
    assert texts[12:].count("bb") == 12
    assert texts[:12].count("bb") < 9


def test_the_best_partial_text_is_finished_when_the_budget_ends() -> None:
    model = table_model(4, seed=3, spread=0.5, horizon=14)
    options = {**OPTIONS, "regex": "[abc]{9}"}
    whole = AStar().run(model, PROMPT, drawn, budget=Budget(tokens=30, reserve=12), **options)
    assert whole.stopped == "tokens"
    assert len(whole.text) == 9
    assert whole.score == drawn(PROMPT, whole.text)
    assert whole.spent["tokens"] <= 30
    cut = AStar().run(model, PROMPT, drawn, budget=Budget(tokens=18, reserve=0), **options)
    assert cut.best.finish_reason == "cut"
    assert cut.stopped == "tokens"
    assert 18 <= cut.spent["tokens"] < 18 + 3
    for limit in (Budget(rounds=2), Budget(reward_passes=2), Budget(seconds=1e-9)):
        ended = AStar().run(model, PROMPT, drawn, budget=limit, **options)
        assert ended.stopped is not None
        assert len(ended.text) == 9
    few = AStar(max_expansions=2).run(model, PROMPT, drawn, **options)
    assert few.stopped is None
    assert len(few.text) == 9


def test_a_control_that_needs_draws_gets_them_when_the_budget_ends() -> None:
    model = table_model(4, seed=3, spread=0.5, horizon=14)
    anchored = Anchored(table_model(4, seed=2, spread=0.5, horizon=14), k=0.3)
    options: dict[str, Any] = {**OPTIONS, "regex": "[abc]{9}", "controls": [anchored]}
    found = AStar().run(model, PROMPT, drawn, budget=Budget(tokens=30, reserve=12), **options)
    assert found.stopped == "tokens"
    assert len(found.text) == 9
    ledger = found.best.certificate
    assert len(ledger.charges) == len(found.best.tokens)
    assert 0 < ledger.spent <= ledger.allowed + 1e-9


def test_what_ends_at_the_limit_of_tokens_is_no_goal_but_better_than_nothing() -> None:
    model = table_model(4, seed=3, horizon=30)
    options = {**OPTIONS, "max_new_tokens": 2}
    found = AStar(2, max_expansions=6).run(model, "ab", lambda p, t: 0.9 if t else 0.1, **options)
    assert found.best.finish_reason in ("stop", "length")
    assert len(found.best.tokens) <= 2


def test_several_nodes_at_once_give_a_goal_as_good_as_those_taken_before_it() -> None:
    model, trace = table_model(4, seed=5, spread=0.5, horizon=12), Trace()
    method = AStar(3, cost="consistent", batch_pop=3, **EXACT)
    found = method.run(model, PROMPT, drawn, trace=trace, regex="[abc]{4}", **OPTIONS)
    nodes = known_nodes(trace)
    goal = nodes[records(trace, "result")[0]["best"]]
    taken = {number for r in records(trace, "round") for number in r["info"]["expanded"]}
    assert any(len(r["info"]["expanded"]) == 3 for r in records(trace, "round"))
    assert all(goal["f"] <= nodes[n]["f"] for n in nodes if n not in taken)
    assert len(found.text) == 4


def test_outputs_are_valid_under_a_grammar() -> None:
    model = table_model(4, seed=3, horizon=14)
    found = AStar().run(model, PROMPT, drawn, regex="(ab|ca)+c", max_new_tokens=9, **OPTIONS)
    for candidate in found.candidates:
        assert candidate.result.text.endswith("c")
        assert len(candidate.result.text) % 2 == 1


def test_scores_that_are_no_probabilities_are_refused_by_the_log_cost() -> None:
    model = table_model(4, seed=3, horizon=9)
    with pytest.warns(RuntimeWarning, match="best_first"):
        found = AStar().run(model, PROMPT, lambda p, t: -3.0, **OPTIONS)
    assert found.stopped == "reward"
    assert AStar(cost="best_first").run(model, PROMPT, lambda p, t: -3.0, **OPTIONS).score == -3.0


def test_a_heuristic_that_gives_no_number_is_named() -> None:
    model = table_model(4, seed=3, horizon=9)
    for bad in (math.nan, None, "x"):
        method = AStar(heuristic=lambda p, c, bad=bad: bad)
        with pytest.warns(RuntimeWarning, match="heuristic"):
            found = method.run(model, PROMPT, drawn, **OPTIONS)
        assert found.stopped == "reward"


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model = table_model(4, seed=5, horizon=9)
    prompts = ["ab", "ba", "bc", "c", "aa"]
    together = AStar().run(model, prompts, drawn, at_once=3, seed=4, **OPTIONS)
    for prompt, found in zip(prompts, together, strict=True):
        alone = AStar().run(model, prompt, drawn, seed=4, **OPTIONS)
        assert found.best.tokens == alone.best.tokens
        assert found.spent["tokens"] == alone.spent["tokens"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"width": 0}, "width"),
        ({"batch_pop": 0}, "batch_pop"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_expansions": 0}, "max_expansions"),
        ({"max_frontier": 0}, "max_frontier"),
        ({"patience": -1}, "patience"),
        ({"select": "best"}, "select"),
        ({"cost": "dear"}, "cost"),
        ({"proposals": "none"}, "proposals"),
        ({"reexpand_penalty": 0.0}, "reexpand_penalty"),
        ({"nll_scale": -1.0}, "nll_scale"),
        ({"depth_bonus": math.nan}, "depth_bonus"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        AStar(**arguments)


def test_a_reward_is_needed_where_the_cost_is_made_of_it() -> None:
    model = table_model(4, seed=3, horizon=9)
    with pytest.raises(InputError, match="needs a reward"):
        AStar().run(model, PROMPT)
    assert AStar(cost="nll").run(model, PROMPT, **OPTIONS).stopped is None
    with pytest.raises(InputError, match="kept back"):
        Budget(tokens=4, reserve=4)
