"""What else could have come at every token: against the model's own laws."""

import math

import pytest
import torch

import guided.alternatives
from guided import run
from guided.alternatives import token_details
from guided.controls import Temperature
from guided.decoding import Decoder
from guided.search import BestOfN
from guided.testing import table_model
from guided.trace import Trace


def decoder_and_branches(prompts: list[tuple[int, ...]], controls: list[list[object]]) -> tuple:
    model = table_model(5, seed=2, horizon=12)
    decoder = Decoder(model.network, model.vocabulary)
    branches = decoder.open(prompts, controls, seed=4, max_new_tokens=9)
    decoder.extend(branches)
    return model, decoder, branches


PROMPTS = [(1, 2), (3,), (2, 2, 4), (1,)]


@pytest.mark.parametrize("most", [1 << 24, 40])
def test_every_token_has_its_law(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guided.alternatives, "_MOST_LOGITS", most)
    model, decoder, branches = decoder_and_branches(PROMPTS, [[Temperature(2.0)]] * 4)
    before = decoder.usage.passes
    for branch, details in zip(branches, token_details(decoder, branches, top=5), strict=True):
        assert len(details) == len(branch.tokens)
        for at, detail in enumerate(details):
            raw = model.hf_model.law((*branch.prompt, *branch.tokens[:at]))
            p, q = raw.softmax(-1), (raw / 2).softmax(-1)
            token = branch.tokens[at]
            assert detail.log_p == branch.log_p[at]
            assert detail.log_q == branch.log_q[at]
            assert detail.allowed == int(raw.isfinite().sum())
            mine = next(each for each in detail.alternatives if each.text == detail.text)
            assert math.isclose(math.log(mine.p), detail.log_p, abs_tol=1e-9)
            assert math.isclose(math.log(mine.q), detail.log_q, abs_tol=1e-9)
            assert [each.p for each in detail.alternatives] == pytest.approx(
                p.sort(descending=True).values.tolist()
            )
            told = {each.text: each.q for each in detail.alternatives}
            for other in range(5):
                if math.isfinite(raw[other]):
                    name = "<stop>" if other == 0 else "abcd"[other - 1]
                    assert told[name] == pytest.approx(float(q[other]))
            assert (token == 0) == (detail.text == "<stop>")
    assert decoder.usage.passes == before


def test_what_a_grammar_forbids_has_no_q() -> None:
    model = table_model(5, seed=1)
    trace = Trace(tokens=True)
    BestOfN(3).run(
        model, "a", lambda p, t: len(t), regex="(ab|cd)+", max_new_tokens=8, heal=False, trace=trace
    )
    tokens = [t for r in trace.records if r["kind"] == "tokens" for t in r["tokens"]]
    assert tokens
    for token in tokens:
        allowed = {each.text for each in token["alternatives"] if each.q is not None}
        assert token["text"] in allowed
        assert len(allowed) == token["allowed"]
        assert allowed <= {"a", "c", "<stop>"} or allowed in ({"b"}, {"d"})
        assert sum(each.q or 0 for each in token["alternatives"]) == pytest.approx(1)


def test_recording_tokens_changes_nothing_that_is_drawn() -> None:
    model = table_model(5, seed=1, horizon=10)
    plain, told = Trace(), Trace(tokens=True)
    options = {"heal": False, "seed": 3, "draft": None}
    prompts = ["ab", "c"]
    one = BestOfN(4).run(model, prompts, lambda p, t: len(t), trace=plain, **options)
    two = BestOfN(4).run(model, prompts, lambda p, t: len(t), trace=told, **options)
    for a, b in zip(one, two, strict=True):
        assert [c.result.tokens for c in a.candidates] == [c.result.tokens for c in b.candidates]
        assert {**a.spent, "seconds": 0} == {**b.spent, "seconds": 0}
    assert not [r for r in plain.records if r["kind"] == "tokens"]
    nodes = {(r["problem"], r["id"]): r for r in told.records if r["kind"] == "node"}
    records = [r for r in told.records if r["kind"] == "tokens"]
    assert len(records) == 8
    for record in records:
        node = nodes[record["problem"], record["id"]]
        assert len(record["tokens"]) == node["tokens"]
        assert sum(t["log_p"] for t in record["tokens"]) == pytest.approx(node["log_p"])
        assert "".join(t["text"] for t in record["tokens"]).replace("<stop>", "") == node["text"]


def test_auxiliary_models_are_read_too() -> None:
    from guided.controls.protocol import Control, Stage

    other = table_model(5, seed=9)

    class Mixed(Control):
        stage = Stage.LAW

        @property
        def models(self):  # type: ignore[no-untyped-def]
            return {"other": other}

        def apply(self, logits, states, aux):  # type: ignore[no-untyped-def]
            return logits + aux["other"].to(logits), states

    _, decoder, branches = decoder_and_branches(PROMPTS, [[Mixed()]] * 4)
    for branch, details in zip(branches, token_details(decoder, branches), strict=True):
        for at, detail in enumerate(details):
            mine = next(each for each in detail.alternatives if each.text == detail.text)
            assert math.log(mine.q) == pytest.approx(branch.log_q[at], abs=1e-9)


def test_a_fork_keeps_the_states_that_its_controls_began_with() -> None:
    from guided.controls.protocol import Context, Control, Stage

    class OwnBias(Control):
        """Prefers a token by the name of the random stream that it began with."""

        stage = Stage.LAW

        def begin(self, context: Context) -> int:
            return 1 + context.row % 4

        def apply(self, logits, states, aux):  # type: ignore[no-untyped-def]
            for row, token in enumerate(states):
                logits[row, token] += 3
            return logits, states

    model = table_model(5, seed=2, horizon=12)
    decoder = Decoder(model.network, model.vocabulary)
    (branch,) = decoder.open([(1, 2)], [[OwnBias()]], seed=4, max_new_tokens=9)
    forks = decoder.fork(branch, 4)
    decoder.extend(forks)
    for fork, details in zip(forks, token_details(decoder, forks, top=5), strict=True):
        for at, detail in enumerate(details):
            mine = next(each for each in detail.alternatives if each.text == detail.text)
            assert math.log(mine.q) == pytest.approx(fork.log_q[at], abs=1e-9)


def test_a_real_network_says_the_same_in_batches_of_ragged_rows() -> None:
    from guided.testing import tiny_model

    model = tiny_model()
    result = run(model, "ab", temperature=1.0, max_new_tokens=6, heal=False)
    decoder = Decoder(model.network, model.vocabulary)
    prompts = [tuple(model.encode(text)) for text in ("abc", "a", "hello there")]
    branches = decoder.open(prompts, seed=1, max_new_tokens=7)
    decoder.extend(branches)
    for branch, details in zip(branches, token_details(decoder, branches), strict=True):
        for at, detail in enumerate(details):
            mine = max(each.p for each in detail.alternatives if each.text == detail.text)
            assert math.log(mine) == pytest.approx(branch.log_p[at], abs=1e-4)
    assert result.tokens
    assert torch.is_grad_enabled()
