"""Anchored decoding byte by byte, against the whole law of texts."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from guided.byte_laws import END, AnchoredBytes, ByteLaw, ByteResult
from guided.byte_laws.anchored_bytes import drawn, whole_characters
from guided.errors import ControlError, DecodingError, InputError, ModelError, VocabularyError
from guided.model import Model
from guided.testing import tiny_model
from tests.byte_laws.toys import SourceModel, bpe, table, texts_over

RISKY = bpe("abc", ["a b", "b c", "ab c", "a a"])
SAFE = bpe("abc", ["c a", "b b", "a ca"])
#: A prompt of a token that is special and of text; what stands for "<eos>" begins it.
PROMPT = "<eos>ab"


def pair(risky_seed: int = 1, safe_seed: int = 2) -> tuple[Model, Model]:
    return table(RISKY, risky_seed), table(SAFE, safe_seed)


class Node(NamedTuple):
    """What stands at one text: how likely it is, and what it may be followed by."""

    log_q: float
    log_safe: float
    spent: float
    law: Tensor
    cost: float
    budget: float


def law_after(law: ByteLaw, prompt: str, text: bytes, temperature: float) -> Tensor:
    streams = law.open([prompt])
    streams.read([text])
    return streams.law()[0].div(temperature).log_softmax(-1)


def nearest(safe: Tensor, risky: Tensor, budget: float) -> tuple[Tensor, float]:
    """The law nearest to the risky one within the budget, by plain bisection; and its cost."""

    def at(theta: float) -> tuple[Tensor, float]:
        mixed = ((1 - theta) * safe + theta * risky).log_softmax(-1)
        mixed = torch.where(safe.isfinite() & risky.isfinite(), mixed, -torch.inf)
        mixed = mixed.log_softmax(-1)
        cost = float((mixed.exp() * torch.where(mixed.isfinite(), mixed - safe, 0)).sum())
        return mixed, cost

    if budget <= 0:
        return safe, 0.0
    if at(1.0)[1] <= budget:
        return at(1.0)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[1] <= budget else (low, middle)
    return at(low)


def tree(
    anchored: AnchoredBytes, horizon: int, debt: float, temperature: float = 1.0
) -> dict[bytes, Node]:
    """All texts before their last symbol, and the law after each."""
    found: dict[bytes, Node] = {}
    todo = [(b"", 0.0, 0.0, 0.0)]
    while todo:
        text, log_q, log_safe, spent = todo.pop()
        if len(text) == horizon:
            continue
        safe = law_after(anchored.safe, PROMPT, text, temperature)
        risky = law_after(anchored.risky, PROMPT, text, temperature)
        budget = max(0.0, (len(text) + 1) * anchored.k - debt - spent)
        law, cost = nearest(safe, risky, budget)
        found[text] = Node(log_q, log_safe, spent, law, cost, budget)
        for byte in torch.nonzero(law[:END] > -torch.inf).flatten().tolist():
            longer = text + bytes([byte])
            todo.append(
                (longer, log_q + float(law[byte]), log_safe + float(safe[byte]), spent + cost)
            )
    return found


@pytest.mark.parametrize(("k", "debt"), [(0.05, 0.0), (0.3, 0.0), (0.3, 0.4), (1.0, 0.5)])
def test_no_beginning_of_any_text_spends_more_than_its_bytes_bring(k: float, debt: float) -> None:
    anchored = AnchoredBytes(*pair(), k=k, debt=debt)
    nodes = tree(anchored, 3, debt)
    assert len(nodes) == 13
    divergence = [0.0] * 4
    for text, node in nodes.items():
        assert node.spent + node.cost <= max(0, (len(text) + 1) * k - debt) + 1e-9
        divergence[len(text) + 1] += math.exp(node.log_q) * node.cost
    for length in range(1, 4):
        assert sum(divergence[: length + 1]) <= max(0, length * k - debt) + 1e-9
    # What is drawn is drawn from these laws, and its ledger holds their costs.
    for seed in range(4):
        result = anchored.run(PROMPT, max_new_bytes=3, seed=seed)
        check_against(nodes, result)


def check_against(nodes: dict[bytes, Node], result: ByteResult) -> None:
    symbols = [*result.data, *([END] if result.finish_reason == "stop" else [])]
    for at, symbol in enumerate(symbols):
        node, charge = nodes[result.data[:at]], result.certificate.charges[at]
        assert result.log_q[at] == pytest.approx(float(node.law[symbol]), abs=1e-5)
        assert charge.budget == pytest.approx(node.budget, abs=1e-5)
        assert charge.cost == pytest.approx(node.cost, abs=1e-5)
        assert charge.cost <= charge.budget
    assert len(result.certificate.charges) == len(symbols) == len(result.log_q)
    assert result.certificate.spent <= result.certificate.allowed + 1e-12


def test_without_a_budget_the_safe_models_law_is_drawn_from_to_the_last_bit() -> None:
    risky, safe = pair()
    result = AnchoredBytes(risky, safe, k=0).run(PROMPT, max_new_bytes=6, seed=3)
    assert result.log_q == result.log_safe
    assert all(charge.theta == 0 for charge in result.certificate.charges)
    assert result.certificate.spent == 0


def test_a_large_budget_gives_the_risky_models_law() -> None:
    risky, safe = pair()
    result = AnchoredBytes(risky, safe, k=50, debt=None).run(PROMPT, max_new_bytes=6, seed=3)
    assert result.log_q == pytest.approx(result.log_risky)
    assert all(charge.theta == 1 for charge in result.certificate.charges)


def test_two_tokenizers_over_one_source_spend_nothing() -> None:
    texts = texts_over("abc", 5)
    risky, safe = (Model(SourceModel(texts, t), t) for t in (RISKY, SAFE))
    result = AnchoredBytes(risky, safe, k=0.1).run(PROMPT, max_new_bytes=6, seed=5)
    assert result.certificate.debt == pytest.approx(0, abs=1e-9)
    assert result.certificate.spent == pytest.approx(0, abs=1e-9)
    assert result.log_q == pytest.approx(result.log_safe)
    assert result.log_q == pytest.approx(result.log_risky)


def test_the_debt_is_four_times_the_mean_of_the_worst_bytes_without_the_first() -> None:
    risky, safe = pair(4, 9)
    anchored = AnchoredBytes(risky, safe, n_debt=3)
    prompt = "<eos>abcabbca"
    logs = []
    for law in (anchored.risky, anchored.safe):
        streams = law.start([law.opening(prompt)], read=True)
        logs.append(streams.log_p[0])
    gaps = sorted((max(0.0, a - b) for a, b in zip(*logs, strict=True)), reverse=True)
    first = max(0.0, logs[0][0] - logs[1][0])
    gaps.remove(first)
    result = anchored.run(prompt, max_new_bytes=2)
    assert result.certificate.debt == pytest.approx(4 * sum(gaps[:3]) / 3)
    assert result.certificate.debt > 0
    for at in range(int(result.certificate.debt)):
        assert result.certificate.terms.allowed(at, result.certificate.debt) == 0


def test_a_list_of_prompts_gives_what_each_gives_alone() -> None:
    anchored = AnchoredBytes(tiny_model(0), tiny_model(1), k=0.4)
    prompts = ["<eos>The quick", '<eos>{"name": "日', "<eos>x"]
    together = anchored.run(prompts, max_new_bytes=7, seed=11, temperature=0.8)
    for prompt, result in zip(prompts, together, strict=True):
        alone = anchored.run(prompt, max_new_bytes=7, seed=11, temperature=0.8)
        assert (alone.data, alone.finish_reason) == (result.data, result.finish_reason)
        assert alone.log_q == pytest.approx(result.log_q, abs=1e-6)
        assert alone.certificate.debt == pytest.approx(result.certificate.debt, abs=1e-6)


def test_temperature_warps_both_laws_before_anything_else() -> None:
    anchored = AnchoredBytes(*pair(), k=0.2, debt=None)
    nodes = tree(anchored, 2, 0.0, temperature=0.5)
    for seed in range(6):
        check_against(nodes, anchored.run(PROMPT, max_new_bytes=2, temperature=0.5, seed=seed))


def test_what_the_risky_model_cannot_say_comes_from_the_safe_model_alone() -> None:
    # Only the safe model has a token for "c"; with no budget it may say it.
    risky, safe = table(bpe("ab", ["a b"]), 1), table(bpe("abc", ["c c"]), 2)
    anchored = AnchoredBytes(risky, safe, k=0.3, debt=3.0)
    lost = 0
    for seed in range(12):
        result = anchored.run("<eos>", max_new_bytes=12, seed=seed)
        ledger = result.certificate
        assert ledger.spent <= ledger.allowed + 1e-9
        at = result.data.find(b"c")
        if at >= 0:
            lost += 1
            assert all(charge.cost == 0 for charge in ledger.charges[at + 1 :])
            assert result.log_q[at + 1 :] == pytest.approx(result.log_safe[at + 1 :])
    assert lost > 3


def test_characters_are_whole_whatever_was_drawn() -> None:
    accents = bpe("Ã©¨", ["Ã ©"])
    anchored = AnchoredBytes(table(accents, 1), table(bpe("Ã©¨", []), 2), k=0.3)
    reasons = set()
    for seed in range(8):
        result = anchored.run("<eos>é", max_new_bytes=5, seed=seed)
        reasons.add(result.finish_reason)
        assert set(result.text) <= {"é", "è"}
        assert result.data.startswith(result.text.encode())
        assert len(result.data) - len(result.text.encode()) <= 1
    assert reasons == {"stop", "length"}
    assert whole_characters(b"a\xe6\x97") == "a"
    assert whole_characters(b"") == ""


def test_a_number_draws_the_symbol_whose_part_of_the_line_it_falls_into() -> None:
    law = torch.full((257,), -torch.inf, dtype=torch.float64)
    law[10], law[20], law[END] = (torch.tensor(x).log() for x in (0.25, 0.5, 0.25))
    assert [drawn(law, x) for x in (0.0, 0.2499, 0.25, 0.7499, 0.7501, 0.9999999)] == [
        10, 10, 20, 20, END, END,
    ]  # fmt: skip


def test_two_models_with_no_byte_in_common_are_refused_or_left_to_the_safe_one() -> None:
    texts = {b"ab": 0.5, b"a": 0.5}
    other = {b"cc": 0.5, b"c": 0.5}
    risky, safe = Model(SourceModel(texts, RISKY), RISKY), Model(SourceModel(other, SAFE), SAFE)
    with pytest.raises(DecodingError, match="no byte is possible under both models at position 0"):
        AnchoredBytes(risky, safe, debt=None).run("<eos>", max_new_bytes=4)
    result = AnchoredBytes(risky, safe, debt=None, disjoint="safe").run("<eos>", max_new_bytes=4)
    assert result.text in ("c", "cc")
    assert result.certificate.spent == 0


def test_bad_input_is_refused_before_any_pass() -> None:
    risky, safe = pair()
    for k in (-1.0, math.nan, math.inf):
        with pytest.raises(ControlError, match="k is a budget"):
            AnchoredBytes(risky, safe, k=k)
    with pytest.raises(ControlError, match="n_debt"):
        AnchoredBytes(risky, safe, n_debt=0)
    with pytest.raises(ControlError, match="debt must be"):
        AnchoredBytes(risky, safe, debt="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="disjoint"):
        AnchoredBytes(risky, safe, disjoint="risky")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"safe is a str, no guided\.Model"):
        AnchoredBytes(risky, "safe")  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match="no tokenizer"):
        AnchoredBytes(risky, Model(safe.hf_model, vocabulary=safe.vocabulary))
    anchored = AnchoredBytes(risky, safe)
    with pytest.raises(InputError, match="temperature must be above 0"):
        anchored.run(PROMPT, temperature=0)
    with pytest.raises(InputError, match="max_new_bytes"):
        anchored.run(PROMPT, max_new_bytes=0)
    with pytest.raises(InputError, match="no tokens"):
        anchored.run("")
    assert anchored.risky.decoder.usage.passes == 0
    assert anchored.run([], max_new_bytes=1) == []
