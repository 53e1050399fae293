"""Anchored rows in batches, under guesses, in forks and inside of `generate`."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import guided
from guided.controls import Anchored, Temperature
from guided.decoding import Branch, Decoder, Fixed, Greedy, Speculation
from guided.decoding.verifiers import Chain
from guided.errors import ControlError
from guided.search import ARGS, BestOfN
from guided.search import Greedy as GreedySearch
from guided.testing import table_model, tiny_model
from guided.trace import Trace
from guided.trace_page import trace_page
from tests.decoding.drafting import Guesser, OwnLaw, grown, texts

RISKY, SAFE = table_model(4, seed=1, horizon=15), table_model(4, seed=2, horizon=15)
PROMPTS = [[1], [2, 3], [3, 3, 1], [1, 2, 3, 1, 2, 3]]
FORMS = ["kl", "pathwise"]


def options(form: str, rows: int = len(PROMPTS)) -> dict[str, Any]:
    return {
        "controls": [[Temperature(0.8), Anchored(SAFE, 0.1, form=form)] for _ in range(rows)],
        "seed": 4,
        "max_new_tokens": 12,
    }


def ledger(branch: Branch) -> Any:
    return branch.pipeline.certificate(branch.states)


def alike(left: Branch, right: Branch) -> bool:
    one, other = ledger(left), ledger(right)
    return (
        left.tokens == right.tokens
        and left.log_q == pytest.approx(right.log_q, abs=1e-9)
        and [c.cost for c in one.charges] == pytest.approx([c.cost for c in other.charges])
        and one.debt == pytest.approx(other.debt)
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_ragged_batch_is_its_rows_one_by_one(form: str) -> None:
    together = grown(Decoder(RISKY.network, RISKY.vocabulary), PROMPTS, **options(form))
    assert len({len(branch.tokens) for branch in together}) > 1
    for row, branch in enumerate(together):
        (alone,) = grown(
            Decoder(RISKY.network, RISKY.vocabulary), [PROMPTS[row]], rows=[row],
            **options(form, 1),
        )  # fmt: skip
        assert alike(alone, branch)
        # A row that has ended is charged no more.
        assert len(ledger(branch).charges) == len(branch.tokens)
        assert ledger(branch).spent <= ledger(branch).allowed + 1e-12


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("nodes", [3, 9])
def test_guesses_change_neither_tokens_nor_ledgers(form: str, nodes: int) -> None:
    plain = grown(Decoder(RISKY.network, RISKY.vocabulary), PROMPTS, **options(form))
    guesser = Guesser(4, texts(plain), nodes, right=0.9)
    speculation = Speculation([guesser], policy=Fixed(nodes))
    decoder = Decoder(RISKY.network, RISKY.vocabulary, speculation=speculation)
    guessed = grown(decoder, PROMPTS, **options(form))
    assert decoder.usage.accepted > 0
    for one, other in zip(plain, guessed, strict=True):
        assert alike(one, other)


def test_chains_of_guesses_that_are_verified_keep_the_ledger() -> None:
    drafter = OwnLaw(4, 4, masked=False)
    decoder = Decoder(
        RISKY.network, RISKY.vocabulary, speculation=Speculation([drafter], verifier=Chain())
    )
    for branch in grown(decoder, PROMPTS * 5, **options("pathwise", 20)):
        found = ledger(branch)
        assert len(found.charges) == len(branch.tokens)
        log_safe = _log_safe(branch)
        assert found.spent == pytest.approx(sum(branch.log_q) - log_safe, abs=1e-9)
        assert found.spent <= found.allowed + 1e-12
    assert decoder.usage.accepted > 0


def _log_safe(branch: Branch) -> float:
    total = 0.0
    for at, token in enumerate(branch.tokens):
        ids = torch.tensor([branch.text[: len(branch.prompt) + at]])
        logits = SAFE.network.forward(ids, None, None, None).logits[0, -1] / 0.8
        total += float(logits.log_softmax(-1)[token])
    return total


@pytest.mark.parametrize("form", FORMS)
def test_forks_go_on_with_ledgers_of_their_own(form: str) -> None:
    decoder = Decoder(RISKY.network, RISKY.vocabulary)
    (branch,) = decoder.open([PROMPTS[3]], **options(form, 1))
    decoder.extend([branch], until=lambda b: len(b.tokens) >= 2)
    law = branch.law()
    before = ledger(branch)
    children = decoder.fork(branch, 8)
    assert all(torch.equal(child.law(), law) for child in children)
    decoder.extend([branch, *children])
    for one in (branch, *children):
        found = ledger(one)
        assert found.charges[:2] == before.charges
        assert len(found.charges) == len(one.tokens)
        assert found.spent <= found.allowed + 1e-12
    assert len({one.text for one in children}) > 1


def test_a_reward_may_choose_among_draws() -> None:
    control = Anchored(SAFE, 0.1, debt=None)
    found = BestOfN(4).run(
        RISKY, "a", lambda prompt, text: len(text), controls=[control], max_new_tokens=6,
        temperature=1, seed=3,
    )  # fmt: skip
    assert len(found.candidates) == 4
    assert found.certificate == found.best.certificate
    for candidate in found.candidates:
        assert candidate.result.certificate.spent <= 0.6
        assert len(candidate.result.certificate.charges) == len(candidate.result.tokens)


@pytest.mark.parametrize("form", FORMS)
def test_the_ledger_of_the_best_stands_in_the_trace_and_on_its_page(form: Any, tmp_path) -> None:
    path = tmp_path / "trace.jsonl"
    trace = Trace(path)
    control = Anchored(SAFE, 0.1, debt=None, form=form)
    found = BestOfN(2).run(
        RISKY, "a", lambda prompt, text: len(text), controls=[control], max_new_tokens=6,
        temperature=1, seed=3, trace=trace,
    )  # fmt: skip
    trace.close()
    told = json.loads(path.read_text().splitlines()[-1])["certificate"]
    ledger, what = found.best.certificate, "KL" if form == "kl" else "ln q"
    assert told == str(ledger)
    assert told.startswith(f"anchored: {ledger.spent:.3g} nats spent of {ledger.allowed:.3g}")
    assert what in told
    assert f"<= {0.6:.3g} (proven)" in told
    assert told.split(";")[0] in trace_page(path).read_text()


def test_searches_that_choose_tokens_themselves_are_refused() -> None:
    for search, message in ((ARGS(), "this search chooses are not"), (GreedySearch(), "no draw")):
        with pytest.raises(ControlError, match=message):
            search.run(
                RISKY, "a", lambda prompt, text: 0.5, controls=[Anchored(SAFE)],
                max_new_tokens=6,
            )  # fmt: skip
    with pytest.raises(ControlError, match="greedy decoding is no draw"):
        Decoder(RISKY.network, RISKY.vocabulary, Greedy()).open([[1]], [[Anchored(SAFE)]])


@pytest.mark.parametrize("more", [-1, 1])
def test_logits_that_stand_for_nothing_may_be_more_or_fewer(more: int) -> None:
    tokens = [b"a", b"b", b"c", b"d"]
    narrow = table_model(5, seed=1, tokens=tokens)
    wide = table_model(6, seed=2, tokens=[*tokens, b""])
    risky, safe = (narrow, wide) if more > 0 else (wide, narrow)
    results = guided.run(
        risky, ["ab", "c"], controls=[Anchored(safe, 0.1)], temperature=1, max_new_tokens=6, n=5
    )
    for result in (each for some in results for each in some):
        assert result.certificate.spent <= 0.6
        assert all(token < 5 for token in result.tokens)


def test_generate_of_transformers_anchors_through_custom_generate_only() -> None:
    risky, safe = tiny_model(), tiny_model(seed=3)
    control = Anchored(safe, 0.2)
    batch = risky.tokenizer(["Who?", "the fox jumps"], return_tensors="pt", padding=True)
    arguments: dict[str, Any] = {"max_new_tokens": 6, "pad_token_id": 0, "do_sample": True,
                                 "temperature": 0.7, "top_k": 0}  # fmt: skip
    with pytest.raises(ControlError, match="custom_generate"):
        guided.GuidedLogitsProcessor(control, risky.tokenizer)
    way = guided.GuidedGeneration(control, risky.tokenizer)
    output = risky.hf_model.generate(
        **batch, custom_generate=way, return_dict_in_generate=True, seed=5, **arguments
    )
    for ledger_, reason in zip(output.certificates, output.finish_reasons, strict=True):
        assert ledger_.terms.horizon == 6
        assert ledger_.spent <= ledger_.allowed + 1e-12
        assert reason in ("stop", "length")
    with pytest.raises(ControlError, match="greedy decoding is no draw"):
        risky.hf_model.generate(
            **batch, custom_generate=way, **{**arguments, "do_sample": False, "temperature": 1.0}
        )
