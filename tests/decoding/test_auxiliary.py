"""Models that controls bring read the same trees, under the same warps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from guided.controls import Control, GrammarMask, Stage, Temperature
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context
from guided.decoding import Decoder, Fixed, Speculation
from guided.errors import ControlError, ModelError
from guided.testing import WordGrammar, table_model
from tests.decoding.drafting import Guesser, grown, texts


@dataclass(frozen=True, eq=False)
class Blend(Control):
    """The mean of two models' logits, less of the second the more its law has differed so far."""

    other: Any
    stage: ClassVar[Stage] = Stage.CORRECTION
    sequential: ClassVar[bool] = True

    @property
    def models(self) -> Mapping[str, Any]:
        return {"other": self.other}

    def begin(self, context: Context) -> float:
        return 1.0

    def apply(
        self, logits: Tensor, states: Sequence[float], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[float]]:
        left, right = logits.log_softmax(-1), aux["other"].to(logits.dtype).log_softmax(-1)
        legal = left.isfinite()
        apart = torch.where(legal, (left.exp() - right.exp()).abs(), 0).sum(-1).tolist()
        share = torch.tensor(states, dtype=logits.dtype)[:, None] / 2
        law = torch.where(legal, (1 - share) * left + share * right, -torch.inf)
        return law, [state * (1 - each / 4) for state, each in zip(states, apart, strict=True)]


def by_hand(first: Any, second: Any, branch: Any, temperature: float) -> list[float]:
    """log q of a branch's tokens, from passes over its text without any cache."""
    found, share = [], 1.0
    for at, token in enumerate(branch.tokens):
        ids = torch.tensor([branch.text[: len(branch.prompt) + at]])
        rows = [m.network.forward(ids, None, None, None).logits[0, -1] for m in (first, second)]
        left, right = (row / temperature for row in rows)
        left, right = left.log_softmax(-1), right.log_softmax(-1)
        law = ((1 - share / 2) * left + share / 2 * right).log_softmax(-1)
        share *= 1 - float((left.exp() - right.exp()).abs().sum()) / 4
        found.append(float(law[token]))
    return found


PROMPTS = [[1], [2, 3], [3, 3, 1]]


@pytest.mark.parametrize("nodes", [0, 3, 9])
def test_a_sequential_blend_of_two_models_is_exact_under_guesses(nodes: int) -> None:
    first, second = table_model(4, seed=1, horizon=15), table_model(4, seed=2, horizon=15)
    options: dict[str, Any] = {
        "controls": [[Temperature(0.7), Blend(second)]] * 3, "seed": 4, "max_new_tokens": 12,
    }  # fmt: skip
    plain = grown(Decoder(first.network, first.vocabulary), PROMPTS, **options)
    guesser = Guesser(4, texts(plain), nodes, right=0.9)
    decoder = Decoder(
        first.network,
        first.vocabulary,
        speculation=Speculation([guesser], policy=Fixed(nodes)),
    )
    branches = grown(decoder, PROMPTS, **options)
    assert texts(branches) == texts(plain)
    assert decoder.usage.auxiliary_passes == decoder.usage.passes
    for branch in branches:
        assert branch.log_q == pytest.approx(by_hand(first, second, branch, 0.7), abs=1e-10)


def test_a_law_at_a_pause_and_forks_know_the_second_model() -> None:
    first, second = table_model(4, seed=1, horizon=15), table_model(4, seed=2, horizon=15)
    decoder = Decoder(first.network, first.vocabulary)
    (branch,) = decoder.open([[1]], [[Blend(second)]], seed=4, max_new_tokens=12)
    decoder.extend([branch], until=lambda b: len(b.tokens) >= 2)
    law = branch.law()
    (child,) = decoder.fork(branch)
    assert torch.equal(child.law(), law)
    decoder.extend([branch, child])
    for one in (branch, child):
        assert one.log_q == pytest.approx(by_hand(first, second, one, 1.0), abs=1e-10)
        assert one.log_q[2] == pytest.approx(float(law[one.tokens[2]]), abs=1e-10)


def test_masks_hold_for_both_models() -> None:
    first, second = table_model(4, seed=1), table_model(4, seed=2)
    words = WordGrammar([b"abc", b"acb", b"b"])
    branches = grown(
        Decoder(first.network, first.vocabulary),
        [[1]] * 20,
        controls=[[GrammarMask(words), Blend(second)]] * 20,
        max_new_tokens=4,
    )
    assert {first.decode(branch.tokens) for branch in branches} <= {"abc", "acb", "b"}


def test_rows_with_and_without_a_second_model_grow_side_by_side() -> None:
    first, second = table_model(4, seed=1, horizon=15), table_model(4, seed=2, horizon=15)
    decoder = Decoder(first.network, first.vocabulary)
    controls: list[list[Control]] = [[Blend(second)], [], [Blend(second)]]
    branches = grown(decoder, PROMPTS, controls=controls, seed=4, max_new_tokens=12)
    for row in range(3):
        (alone,) = grown(
            Decoder(first.network, first.vocabulary),
            [PROMPTS[row]],
            controls=[controls[row]],
            seed=4,
            max_new_tokens=12,
            rows=[row],
        )
        assert alone.tokens == branches[row].tokens


def test_what_is_no_model_with_the_same_vocabulary_is_refused() -> None:
    first = table_model(4)
    decoder = Decoder(first.network, first.vocabulary)
    with pytest.raises(ModelError, match=r"'other' has another vocabulary .5 logits, the model 4"):
        decoder.open([[1]], [[Blend(table_model(5))]])
    with pytest.raises(ModelError, match="is a str, no"):
        decoder.open([[1]], [[Blend("gpt2")]])
    with pytest.raises(ControlError, match="keep one"):
        decoder.open([[1]], [[Blend(first), Blend(first)]])
