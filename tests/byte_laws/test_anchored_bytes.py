"""Anchored decoding byte by byte, against the whole law of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import guided
from guided.byte_laws import END, AnchoredBytes, ByteLaw
from guided.byte_laws.byte_prompts import symbols_of
from guided.controls import BanTokens, GrammarMask, Temperature
from guided.controls.ledger import Ledger
from guided.controls.pipeline import Pipeline, States
from guided.controls.protocol import Context, Control
from guided.decoding import Decoder
from guided.errors import ControlError, DecodingError, InputError, ModelError, VocabularyError
from guided.grammars.regex import regex
from guided.model import Model
from guided.result import Result
from guided.testing import tiny_model
from tests.byte_laws.toys import SourceModel, bpe, table, texts_over

RISKY = bpe("abc", ["a b", "b c", "ab c", "a a"])
SAFE = bpe("abc", ["c a", "b b", "a ca"])
#: A prompt of a token that is special and of text; what stands for "<eos>" begins it.
PROMPT = "<eos>ab"
HORIZON = 3
CASES = [(0.05, 0.0), (0.3, 0.0), (0.3, 0.4), (1.0, 0.5)]
Symbols = tuple[int, ...]


def pair(risky_seed: int = 1, safe_seed: int = 2) -> tuple[Model, Model]:
    return table(RISKY, risky_seed), table(SAFE, safe_seed)


def run(risky: Model, control: AnchoredBytes, prompt: Any = PROMPT, **options: Any) -> Any:
    given: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": HORIZON, "heal": False}
    return guided.run(risky, prompt, controls=[control], **(given | options))


def law_after(law: ByteLaw, text: bytes) -> Tensor:
    """The next-byte law `[1, 257]` from streams, which share nothing with a `ByteModel`."""
    streams = law.open([PROMPT])
    streams.read([text])
    return streams.law()


@dataclass(frozen=True)
class Output:
    """What decoding can end with: how likely it is, under the safe model too, and its ledger."""

    q: float
    safe: float
    ledger: Ledger
    log_q: tuple[float, ...]


def outputs(
    risky: Model, safe: Model, control: AnchoredBytes, more: Sequence[Control] = ()
) -> dict[Symbols, Output]:
    """All texts of at most `HORIZON` symbols; the safe law is that under the other controls."""
    laws, pipeline, alone = ByteLaw(risky), Pipeline([*more, control]), Pipeline(more)
    other, done = ByteLaw(safe), {}
    context = Context(tuple(symbols_of(PROMPT)), control.safe_model.vocabulary, HORIZON)
    todo: list[tuple[Symbols, tuple[float, ...], float, States, States]] = [
        ((), (), 1.0, pipeline.begin(context), alone.begin(context))
    ]
    while todo:
        symbols, log_q, weight, states, own = todo.pop()
        if len(symbols) == HORIZON or pipeline.finish(states) or END in symbols:
            q, ledger = math.exp(sum(log_q)), pipeline.certificate(states)
            done[symbols] = Output(q, weight, ledger, log_q)
            continue
        raw, aux = law_after(laws, bytes(symbols)), law_after(other, bytes(symbols))
        edited, (states,) = pipeline.apply(raw, [states], {"safe": aux.clone()})
        masked, (own,) = alone.apply(aux, [own])
        row, base = edited[0].log_softmax(-1), masked[0].log_softmax(-1)
        for symbol in torch.nonzero(row > -torch.inf).flatten().tolist():
            move = "stop" if symbol == END else "step"
            todo.append(
                (
                    (*symbols, symbol),
                    (*log_q, float(row[symbol])),
                    weight * math.exp(float(base[symbol])),
                    getattr(pipeline, move)(states, symbol),
                    getattr(alone, move)(own, symbol),
                )
            )
    return done


def divergence(found: dict[Symbols, Output], length: int) -> float:
    """KL(law of the first symbols || the safe one) by the sums over all texts."""
    q: dict[Symbols, float] = {}
    p: dict[Symbols, float] = {}
    for symbols, one in found.items():
        q[symbols[:length]] = q.get(symbols[:length], 0.0) + one.q
        p[symbols[:length]] = p.get(symbols[:length], 0.0) + one.safe
    return sum(mass * math.log(mass / p[some]) for some, mass in q.items() if mass)


def check_ledgers(found: dict[Symbols, Output], k: float, debt: float) -> None:
    assert sum(one.q for one in found.values()) == pytest.approx(1)
    for symbols, one in found.items():
        assert len(one.ledger.charges) == len(symbols)
        for length in range(1, len(symbols) + 1):
            spent = sum(charge.cost for charge in one.ledger.charges[:length])
            assert spent <= max(0.0, length * k - debt) + 1e-12


def check_against(found: dict[Symbols, Output], result: Result[Any]) -> None:
    one = found[result.tokens]
    assert result.log_q == pytest.approx(one.log_q, abs=1e-9)
    assert result.certificate.spent == pytest.approx(one.ledger.spent, abs=1e-9)
    assert result.certificate.spent <= result.certificate.allowed + 1e-12


@pytest.mark.parametrize(("k", "debt"), CASES)
def test_no_beginning_of_any_text_spends_more_than_its_bytes_bring(k: float, debt: float) -> None:
    risky, safe = pair()
    control = AnchoredBytes(safe, k=k, debt=debt)
    found = outputs(risky, safe, control)
    check_ledgers(found, k, debt)
    for length in range(1, HORIZON + 1):
        assert divergence(found, length) <= max(0, length * k - debt) + 1e-12
    mean = sum(one.q * one.ledger.spent for one in found.values())
    assert divergence(found, HORIZON) == pytest.approx(mean, abs=1e-9)
    # What is drawn is drawn from these laws, and its ledger holds their costs; guessed or not.
    for draft in (None, "auto"):
        for result in run(risky, control, n=6, seed=3, draft=draft):
            check_against(found, result)


@pytest.mark.parametrize(("k", "debt"), CASES)
def test_the_pathwise_form_bounds_the_ratio_of_every_text(k: float, debt: float) -> None:
    risky, safe = pair()
    control = AnchoredBytes(safe, k=k, debt=debt, form="pathwise")
    found = outputs(risky, safe, control)
    check_ledgers(found, k, debt)
    for one in found.values():
        ratio = math.log(one.q / one.safe)
        assert ratio <= max(0, HORIZON * k - debt) + 1e-9
        assert one.ledger.spent == pytest.approx(ratio, abs=1e-9)
    for result in run(risky, control, n=6, seed=3):
        check_against(found, result)


PATTERNS = ["(ab|ba?c)c?", "a*", "[bc]{2}"]


@pytest.mark.parametrize("form", ["kl", "pathwise"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_under_a_grammar_the_bound_is_to_the_masked_safe_model(form: Any, pattern: str) -> None:
    risky, safe = pair()
    control = AnchoredBytes(safe, k=0.1, debt=None, form=form)
    found = outputs(risky, safe, control, [GrammarMask(regex(pattern))])
    check_ledgers(found, 0.1, 0.0)
    assert sum(one.safe for one in found.values()) == pytest.approx(1)
    for length in range(1, HORIZON + 1):
        assert divergence(found, length) <= 0.1 * length + 1e-12
    for one in found.values():
        if form == "pathwise":
            assert math.log(one.q / one.safe) <= 0.1 * HORIZON + 1e-9
    for result in run(risky, control, regex=pattern, n=6, seed=1):
        assert regex(pattern).accepts(result.text.encode())
        check_against(found, result)


def test_a_mask_over_the_fused_law_would_break_the_bound() -> None:
    # Why both laws are masked before they are fused: the other way round the ledger says little.
    risky, safe = pair()
    control, mask = AnchoredBytes(safe, k=0.02, debt=None), GrammarMask(regex("[bc]c*"))
    context = Context(tuple(symbols_of(PROMPT)), control.safe_model.vocabulary)
    aux, raw = law_after(ByteLaw(safe), b""), law_after(ByteLaw(risky), b"")
    fused, (state,) = control.apply(raw, [control.begin(context)], {"safe": aux.clone()})
    late, _ = mask.apply(fused.clone(), [mask.begin(context)])
    q, p = late[0].log_softmax(-1), mask.apply(aux, [mask.begin(context)])[0][0].log_softmax(-1)
    assert state.coming.cost <= 0.02
    assert float(torch.where(q > -torch.inf, q.exp() * (q - p), 0).sum()) > 0.02


def test_texts_of_a_grammar_are_whole_within_any_budget_of_bytes() -> None:
    risky, safe = pair()
    for most in range(4, 9):
        for result in run(
            risky, AnchoredBytes(safe, k=0.3), regex="(abc)+|(cc)+", max_new_tokens=most, n=4
        ):
            assert regex("(abc)+|(cc)+").accepts(result.text.encode())
            assert len(result.tokens) <= most
    with pytest.raises(InputError, match="4"):
        run(risky, AnchoredBytes(safe), regex="abc", max_new_tokens=2)


def test_without_a_budget_the_safe_models_law_is_drawn_from() -> None:
    risky, safe = pair()
    found = outputs(risky, safe, AnchoredBytes(safe, k=0))
    assert all(one.q == pytest.approx(one.safe) for one in found.values())
    result = run(risky, AnchoredBytes(safe, k=0), max_new_tokens=6, seed=3)
    assert all(charge.theta == 0 for charge in result.certificate.charges)
    assert result.certificate.spent == 0


def test_a_large_budget_gives_the_risky_models_law() -> None:
    risky, safe = pair()
    result = run(risky, AnchoredBytes(safe, k=50, debt=None), max_new_tokens=6, seed=3)
    assert result.log_q == pytest.approx(result.log_p)
    assert all(charge.theta == 1 for charge in result.certificate.charges)


def test_two_tokenizers_over_one_source_spend_nothing() -> None:
    texts = texts_over("abc", 5)
    risky, safe = (Model(SourceModel(texts, t), t) for t in (RISKY, SAFE))
    result = run(risky, AnchoredBytes(safe, k=0.1), max_new_tokens=6, seed=5)
    assert result.certificate.debt == pytest.approx(0, abs=1e-9)
    assert result.certificate.spent == pytest.approx(0, abs=1e-9)
    assert result.log_q == pytest.approx(result.log_p)


@pytest.mark.parametrize("prompt", ["<eos>abcabbca", "abcabbca"])
def test_the_debt_is_four_times_the_mean_of_the_worst_bytes_without_the_first(prompt: str) -> None:
    risky, safe = pair(4, 9)
    logs = []
    for law in (ByteLaw(risky), ByteLaw(safe)):
        streams = law.start([law.opening(prompt)], read=True)
        logs.append(streams.log_p[0])
    common = min(map(len, logs))
    whole = [log_p[-common:] for log_p in logs]
    gaps = [max(0.0, a - b) for a, b in zip(*whole, strict=True)]
    if len(logs[0]) == len(logs[1]):
        gaps.pop(0)
    gaps.sort(reverse=True)
    result = run(risky, AnchoredBytes(safe, n_debt=3), prompt, max_new_tokens=2)
    assert result.certificate.debt == pytest.approx(4 * sum(gaps[:3]) / 3)
    assert result.certificate.debt > 0
    for at in range(int(result.certificate.debt)):
        assert result.certificate.terms.allowed(at, result.certificate.debt) == 0


def test_a_ledger_goes_on_where_it_ended() -> None:
    risky, safe = pair()
    control = AnchoredBytes(safe, k=0.3, debt=0.2, horizon=8)
    first = run(risky, control, max_new_tokens=3, seed=1)
    whole = run(risky, control, max_new_tokens=8, seed=1)
    ledger = first.certificate
    assert len(ledger.charges) == len(first.tokens) == 3
    assert whole.certificate.charges[:3] == ledger.charges
    resumed = AnchoredBytes(safe, ledger=ledger)
    second = run(risky, resumed, PROMPT + first.text, max_new_tokens=30, seed=2)
    after = second.certificate
    assert after.debt == 0.2
    assert after.charges[:3] == ledger.charges
    assert after.spent <= 8 * 0.3 - 0.2
    assert after.charges[3].budget == pytest.approx(4 * 0.3 - 0.2 - ledger.spent)
    with pytest.raises(ControlError, match="other terms"):
        AnchoredBytes(safe, ledger=ledger, form="pathwise")


def test_rows_of_a_batch_are_what_each_is_alone() -> None:
    risky, control = tiny_model(0), AnchoredBytes(tiny_model(1), k=0.4)
    prompts = ["<eos>The quick", '<eos>{"name": "日', "<eos>x"]
    options: dict[str, Any] = {"max_new_tokens": 7, "seed": 11, "temperature": 0.8}
    together = run(risky, control, prompts, n=2, **options)
    for prompt, results in zip(prompts, together, strict=True):
        assert results[0].tokens != results[1].tokens
        for alone, result in zip(run(risky, control, prompt, n=2, **options), results, strict=True):
            assert (alone.tokens, alone.finish_reason) == (result.tokens, result.finish_reason)
            assert alone.log_q == pytest.approx(result.log_q, abs=1e-6)
            assert alone.certificate.debt == pytest.approx(result.certificate.debt, abs=1e-6)


def test_temperature_warps_both_laws_before_anything_else() -> None:
    risky, safe = pair()
    control = AnchoredBytes(safe, k=0.2, debt=None)
    found = outputs(risky, safe, control, [Temperature(0.5)])
    check_ledgers(found, 0.2, 0.0)
    for result in run(risky, control, temperature=0.5, n=6):
        check_against(found, result)


def test_what_the_risky_model_cannot_say_comes_from_the_safe_model_alone() -> None:
    # Only the safe model has a token for "c"; with no budget it may say it.
    risky, safe = table(bpe("ab", ["a b"]), 1), table(bpe("abc", ["c c"]), 2)
    control, law, lost = AnchoredBytes(safe, k=0.3, debt=0.9), ByteLaw(safe), 0
    for draft in (None, "auto"):
        for result in run(risky, control, "<eos>", max_new_tokens=12, n=12, draft=draft):
            ledger = result.certificate
            assert ledger.spent <= ledger.allowed + 1e-9
            at = bytes(result.tokens[:-1]).find(b"c")
            if at < 0:
                continue
            lost += 1
            assert all(charge.cost == 0 for charge in ledger.charges[at + 1 :])
            streams = law.open(["<eos>"])
            for symbol in result.tokens:
                streams.push([symbol])
            assert result.log_q[at + 1 :] == pytest.approx(streams.log_p[0][at + 1 :])
    assert lost > 6


def test_characters_are_whole_whatever_was_drawn() -> None:
    accents = bpe("Ã©¨", ["Ã ©"])
    risky, control = table(accents, 1), AnchoredBytes(table(bpe("Ã©¨", []), 2), k=0.3)
    reasons = set()
    for result in run(risky, control, "<eos>é", max_new_tokens=5, n=12):
        reasons.add(result.finish_reason)
        assert set(result.text.rstrip("\ufffd")) <= {"é", "è"}
        assert bytes(s for s in result.tokens if s != END).startswith(
            result.text.rstrip("\ufffd").encode()
        )
    assert reasons == {"stop", "length"}


def test_two_models_with_no_byte_in_common_are_refused_or_left_to_the_safe_one() -> None:
    texts = {b"ab": 0.5, b"a": 0.5}
    other = {b"cc": 0.5, b"c": 0.5}
    risky, safe = Model(SourceModel(texts, RISKY), RISKY), Model(SourceModel(other, SAFE), SAFE)
    with pytest.raises(DecodingError, match="possible under both models at position 0"):
        run(risky, AnchoredBytes(safe, debt=None), "<eos>", max_new_tokens=4)
    control = AnchoredBytes(safe, debt=None, disjoint="safe")
    result = run(risky, control, "<eos>", max_new_tokens=4)
    assert result.text in ("c", "cc")
    assert result.certificate.spent == 0


def test_bad_input_is_refused_before_any_pass() -> None:
    risky, safe = pair()
    for k in (-1.0, math.nan, math.inf):
        with pytest.raises(ControlError, match="k is a budget"):
            AnchoredBytes(safe, k=k)
    with pytest.raises(ControlError, match="n_debt"):
        AnchoredBytes(safe, n_debt=0)
    with pytest.raises(ControlError, match="debt must be"):
        AnchoredBytes(safe, debt="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="disjoint"):
        AnchoredBytes(safe, disjoint="risky")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="normalize"):
        AnchoredBytes(safe, normalize="words")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"'safe' is no guided\.Model"):
        AnchoredBytes("safe")
    with pytest.raises(VocabularyError, match="no tokenizer"):
        AnchoredBytes(Model(safe.hf_model, vocabulary=safe.vocabulary))
    control = AnchoredBytes(safe)
    with pytest.raises(ControlError, match="greedy decoding is no draw"):
        run(risky, control, temperature=0)
    with pytest.raises(InputError, match="max_new_tokens"):
        run(risky, control, max_new_tokens=0)
    with pytest.raises(InputError, match="repetition_penalty is about"):
        run(risky, control, repetition_penalty=1.1)
    with pytest.raises(InputError, match="BanTokens is about the tokens of a model"):
        guided.run(risky, PROMPT, controls=[control, BanTokens([1])], temperature=1)
    with pytest.raises(InputError, match="draft model"):
        run(risky, control, draft=safe)
    with pytest.raises(ModelError, match="another vocabulary"):
        Decoder(risky.network, risky.vocabulary).open([(1, 2)], [[control]])
    assert run(risky, control, []) == []
