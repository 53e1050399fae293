"""What all weighted-particle methods share: genealogies, pooling, selection, what is carried."""

import json
import math
from itertools import pairwise

import pytest
import torch

from guided.errors import InputError
from guided.search import SMC, Budget, PowerSMC, pool
from guided.testing import enumerate_sequences, table_model, tiny_model
from guided.trace import Trace

MODEL = table_model(3, seed=1, horizon=5)
PROMPT = MODEL.encode("ab")
OPTIONS = {"heal": False, "max_new_tokens": 5, "draft": None}
LAW = enumerate_sequences(MODEL, PROMPT, max_new_tokens=5)


def reward(prompt: str, text: str) -> float:
    return 0.15 + 0.2 * text.count("a") + 0.1 * (text[:1] == text[-1:])


def test_a_trace_holds_the_whole_genealogy(tmp_path) -> None:
    path = tmp_path / "trace.jsonl"
    with Trace(path) as trace:
        search = SMC(6, strength=6.0, block=1, kappa=0.9, moves=1)
        found = search.run(MODEL, "ab", reward, trace=trace, seed=2, **OPTIONS)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    nodes = {r["id"]: r for r in records if r["kind"] == "node"}
    rounds = [r for r in records if r["kind"] == "round"]
    facts = {r["id"]: r for r in records if r["kind"] == "facts"}
    assert any(r["info"]["resampled"] for r in rounds)
    for record in rounds:
        assert 1 <= record["info"]["ess"] <= 6 + 1e-9
        assert set(record["info"]["resampled"]) <= set(record["alive"])
        assert all(n in nodes and n in facts for n in record["alive"])
    assert rounds[-1]["info"]["log_z"] == pytest.approx(found.log_z, abs=1e-12)
    # A node's text is that of its path; the last population's are the candidates.
    texts = []
    for end in rounds[-1]["alive"]:
        text, at = "", end
        while at is not None:
            text, at = nodes[at]["text"] + text, nodes[at]["parent"]
        texts.append(text)
    assert sorted(texts) == sorted(c.result.text for c in found.candidates)


def test_children_of_resampled_particles_hang_on_their_ancestors() -> None:
    trace = Trace()
    PowerSMC(6, 3.0, block=1, kappa=1.0).run(MODEL, "ab", trace=trace, seed=4, **OPTIONS)
    nodes = {r["id"]: r for r in trace.records if r["kind"] == "node"}
    rounds = [r for r in trace.records if r["kind"] == "round"]
    for one, after in pairwise(rounds):
        expected = sorted(one["info"]["resampled"] or one["alive"])
        # One that is over stays, and its copies hang on it; others go on in a child.
        origins = [n if n in one["alive"] else nodes[n]["parent"] for n in after["alive"]]
        assert sorted(origins) == expected


def test_what_a_particle_goes_on_from_is_what_a_fresh_reading_gives() -> None:
    model = tiny_model()
    search = PowerSMC(6, 2.0, block=3, kappa=1.0)
    options = {"max_new_tokens": 12, "draft": None, "heal": False}
    found = search.run(model, "The answer", seed=1, **options)
    prompt = model.encode("The answer")
    for candidate in found.candidates or ():
        tokens = candidate.result.tokens
        ids = torch.tensor([[*prompt, *tokens]])
        logits = model.hf_model(ids).logits[0, len(prompt) - 1 : -1].double()
        log_p = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
        assert log_p.tolist() == pytest.approx(candidate.result.log_p, abs=1e-4)
    log_p = torch.tensor(found.best.log_p)
    assert len(log_p) == len(found.best.tokens)


def test_equal_seeds_give_equal_runs_alone_and_in_a_batch() -> None:
    search = SMC(4, strength=3.0, block=1, kappa=0.9, lookahead=1, moves=1)
    together = search.run(MODEL, ["ab", "ba", "b"], reward, seed=9, at_once=3, **OPTIONS)
    alone = [search.run(MODEL, prompt, reward, seed=9, **OPTIONS) for prompt in ("ab", "ba", "b")]
    for one, other in zip(together, alone, strict=True):
        assert one.best.tokens == other.best.tokens
        assert one.log_z == pytest.approx(other.log_z, abs=1e-9)


def test_pooled_runs_count_by_their_estimates_of_z() -> None:
    search = PowerSMC(4, 2.0, block=1, kappa=0.9)
    results = search.run(MODEL, ["ab"] * 150, at_once=150, **OPTIONS)
    pooled = pool(results)
    shares = [math.exp(r.log_z) for r in results]
    assert math.exp(pooled.log_z) == pytest.approx(sum(shares) / 150, rel=1e-9)
    assert sum(c.weight for c in pooled.candidates) == pytest.approx(1, abs=1e-9)
    first = [s / sum(shares) * c.weight for s, r in zip(shares, results, strict=True)
             for c in r.candidates][:9]  # fmt: skip
    assert [c.weight for c in pooled.candidates][:9] == pytest.approx(first, abs=1e-12)
    # Together they are near the target, nearer than the raw weights of single runs, which forget
    # how much each run found.
    total = sum(p**2 for p in LAW.values())

    def distance(weights) -> float:
        seen = dict.fromkeys(LAW, 0.0)
        for candidate, weight in weights:
            seen[candidate.result.tokens] += weight
        return sum(abs(seen[t] - p**2 / total) for t, p in LAW.items()) / 2

    raw = [(c, c.weight / 150) for r in results for c in r.candidates]
    joint = [(c, c.weight) for c in pooled.candidates]
    assert distance(joint) < distance(raw)
    assert distance(joint) < 0.06


def test_runs_without_an_estimate_cannot_be_pooled() -> None:
    whole = PowerSMC(3, 2.0, block=1).run(MODEL, "ab", **OPTIONS)
    cut = PowerSMC(3, 2.0, block=1).run(MODEL, "ab", budget=Budget(tokens=3), **OPTIONS)
    with pytest.raises(InputError, match="no log_z"):
        pool([whole, cut])
    with pytest.raises(InputError, match="at least one"):
        pool([])


@pytest.mark.parametrize(
    "rule", ["reward", "weight", "majority", "weighted_majority", "shortest", "first"]
)
def test_selection_rules_choose_what_they_say(rule) -> None:
    search = SMC(8, strength=1.0, block=1, kappa=0.0, select=rule)
    for seed in range(4):
        found = search.run(MODEL, "ab", reward, seed=seed, **OPTIONS)
        texts = [c.result.text for c in found.candidates]
        weight = {t: sum(c.weight for c in found.candidates if c.result.text == t) for t in texts}
        chosen = found.text
        if rule == "reward":
            assert found.score == max(c.score for c in found.candidates)
        elif rule == "weight":
            top = max(found.candidates, key=lambda c: c.weight)
            assert top.result.tokens == found.best.tokens
        elif rule == "shortest":
            assert len(found.best.tokens) == min(len(c.result.tokens) for c in found.candidates)
        elif rule == "majority":
            # The empty text is no answer.
            assert texts.count(chosen) == max(texts.count(t) for t in texts if t)
        elif rule == "weighted_majority":
            assert weight[chosen] == max(w for t, w in weight.items() if t)
        else:
            assert chosen in texts


def test_a_budget_of_rounds_leaves_the_best_so_far() -> None:
    found = SMC(4, block=1).run(MODEL, "ab", reward, budget=Budget(rounds=1), **OPTIONS)
    assert found.stopped == "rounds"
    assert len(found.best.tokens) == 1
    assert found.log_z is None


def test_a_failing_reward_leaves_what_was_drawn() -> None:
    calls = []

    def fails(prompt: str, text: str) -> float:
        calls.append(text)
        if len(text) >= 2:
            raise ZeroDivisionError("nothing to divide by")
        return 0.5

    with pytest.warns(RuntimeWarning, match="nothing to divide by"):
        found = SMC(6, block=1).run(MODEL, "ab", fails, seed=1, **OPTIONS)
    assert found.stopped == "reward"
    assert found.best.tokens
