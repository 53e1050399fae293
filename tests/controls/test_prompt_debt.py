"""What a prompt owes: the worst gaps between two models, special tokens left out."""

from __future__ import annotations

import math

import pytest
import torch

import guided
from guided.controls import Anchored
from guided.controls.prompt_debt import counted, prefix_debt
from guided.decoding import Decoder
from guided.grammars.vocabulary import Vocabulary
from guided.testing import TableModel, table_model

TOKENS = [None, b"a", b"b", b"c", None]
#: 0 stops, 4 is a special token.
VOCABULARY = Vocabulary.from_tokens(TOKENS, [0], {"<s>": 4})
PROMPT = (1, 2, 4, 3, 3, 1)


def model(seed: int) -> guided.Model:
    return guided.Model(TableModel(5, seed), vocabulary=VOCABULARY)


RISKY, SAFE = model(1), model(2)


def gap(at: int, prompt: tuple[int, ...] = PROMPT) -> float:
    """How much likelier the risky model finds a token of a prompt."""
    ids = torch.tensor([prompt[:at]])
    risky, safe = (
        m.network.forward(ids, None, None, None).logits[0, -1].log_softmax(-1)[prompt[at]]
        for m in (RISKY, SAFE)
    )
    return float(risky - safe)


def owed(n_debt: int, *prompts: tuple[int, ...]) -> list[float]:
    decoder = Decoder(RISKY.network, VOCABULARY)
    controls = [[Anchored(SAFE, 0.1, n_debt=n_debt)] for _ in prompts]
    branches = decoder.open(prompts, controls, max_new_tokens=3)
    return [branch.pipeline.certificate(branch.states).debt for branch in branches]


@pytest.mark.parametrize("n_debt", [1, 2, 3, 5])
def test_it_is_the_mean_of_the_worst_gaps_of_a_prompt(n_debt: int) -> None:
    # Six tokens: the first has no law, the third is special; four are left.
    gaps = sorted((max(0.0, gap(at)) for at in (1, 3, 4, 5)), reverse=True)
    assert 0 < sum(each > 0 for each in gaps) < 4
    worst = gaps[:n_debt]
    assert owed(n_debt, PROMPT) == [pytest.approx(sum(worst) / len(worst), abs=1e-12)]


def test_it_does_not_depend_on_the_other_prompts_of_a_batch() -> None:
    prompts = [PROMPT, (2, 1), (3,), (1, 1, 2, 3, 2, 1, 3, 3)]
    together = owed(5, *prompts)
    assert together == pytest.approx([owed(5, prompt)[0] for prompt in prompts], abs=1e-12)
    assert together[2] == 0
    assert all(debt >= 0 for debt in together)


def test_models_that_take_no_trees_are_read_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = owed(5, PROMPT, (2, 1))
    monkeypatch.setattr("guided.decoding.rig.abilities", lambda network: _Nothing)
    assert owed(5, PROMPT, (2, 1)) == pytest.approx(expected, abs=1e-12)


class _Nothing:
    trees = prefixes = False


def test_long_prompts_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [(1, 2, 4, 3, 3, 1, 2, 3, 2), (2, 1), (3, 1, 2, 2)]
    expected = owed(5, *prompts)
    law = guided.run(RISKY, "abcab", controls=[Anchored(SAFE)], temperature=1, max_new_tokens=4)
    for most in (5, 20, 30):
        monkeypatch.setattr("guided.decoding.stage.MOST_LOGITS", most)
        monkeypatch.setattr("guided.decoding.reading._PIECE", most)
        assert owed(5, *prompts) == pytest.approx(expected, abs=1e-12)
        again = guided.run(
            RISKY, "abcab", controls=[Anchored(SAFE)], temperature=1, max_new_tokens=4
        )
        assert again.tokens == law.tokens
        assert again.log_q == pytest.approx(law.log_q, abs=1e-12)


def test_it_takes_no_further_pass() -> None:
    decoder = Decoder(RISKY.network, VOCABULARY)
    decoder.open([PROMPT, (2, 1)], [[Anchored(SAFE)]] * 2, max_new_tokens=3)
    assert (decoder.usage.passes, decoder.usage.auxiliary_passes) == (1, 1)


def test_special_and_stop_tokens_do_not_count() -> None:
    assert counted(PROMPT, VOCABULARY) == (0, 2, 3, 4)
    assert counted((1, 0, 4), VOCABULARY) == ()
    assert prefix_debt([], [], (), 5) == 0


def test_impossible_tokens() -> None:
    # What the safe model holds impossible is an infinite debt; what neither expects is none.
    assert prefix_debt([-1.0, -2.0], [-math.inf, -2.0], (0, 1), 5) == math.inf
    assert prefix_debt([-math.inf, -math.inf], [-math.inf, -1.0], (0, 1), 5) == 0
    silent = guided.Model(TableModel(5, 2, horizon=3), vocabulary=VOCABULARY)
    result = guided.run(
        RISKY, "abcab", controls=[Anchored(silent, 0.5)], temperature=1, max_new_tokens=4
    )
    assert result.certificate.debt == math.inf
    assert result.certificate.spent == 0


def test_the_first_tokens_of_a_debt_are_the_safe_models() -> None:
    risky, safe = table_model(4, 1), table_model(4, 5)
    (branch,) = Decoder(risky.network, risky.vocabulary).open(
        [[1]], [[Anchored(safe, 0.2, debt=0.7)]], max_new_tokens=9
    )
    ids = torch.tensor([[1]])
    expected = safe.network.forward(ids, None, None, None).logits[0, -1].log_softmax(-1)
    assert torch.equal(branch.law(), expected)
