"""Samplers draw by the law; random numbers are pure functions of what names them."""

from __future__ import annotations

import math

import pytest
import torch

from guided.decoding import Greedy, Plain, Stream, sampling
from guided.decoding.rng import Purpose, fold, stream, uniform
from guided.decoding.sampling import log_total


def streams(count: int) -> list[Stream]:
    return [Stream(3, row, 0) for row in range(count)]


@pytest.mark.parametrize("width", [5, 256, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frequencies_follow_the_softmax(width: int, dtype: torch.dtype) -> None:
    draws = 6000
    logits = torch.randn(width, generator=torch.Generator().manual_seed(width), dtype=dtype) * 2
    logits[::3] = -torch.inf
    tokens, log_q = Plain().draw(logits.expand(draws, width).clone(), streams(draws))
    law = logits.double().softmax(-1)
    assert torch.allclose(log_q.double(), law.log()[tokens], atol=1e-5)
    counts = torch.bincount(tokens, minlength=width).double()
    assert counts[::3].sum() == 0
    common = law * draws >= 5
    mean = draws * law[common]
    distance = float(((counts[common] - mean) ** 2 / mean).sum())
    assert distance <= len(mean) + 4 * math.sqrt(2 * len(mean))


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("allowed", [[0], [699], [255, 256], [1, 300, 698]])
def test_a_forbidden_token_is_never_drawn(
    number: float, allowed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "uniform", lambda *_: number)
    logits = torch.full((1, 700), -torch.inf)
    logits[0, allowed] = torch.tensor([-80.0, 3.0, 90.0][: len(allowed)])
    tokens, log_q = Plain().draw(logits, streams(1))
    assert int(tokens) in allowed
    assert math.isfinite(log_q)


def test_greedy_takes_the_likeliest_and_the_lowest_of_equals() -> None:
    tokens, log_q = Greedy().draw(torch.tensor([[0.0, 2.0, 2.0], [3.0, 1.0, 0.0]]), streams(2))
    assert tokens.tolist() == [1, 0]
    assert log_q.tolist() == [0, 0]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_the_total_of_a_bad_row_is_not_finite(bad: float) -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, bad], [-torch.inf, -torch.inf]])
    total = log_total(logits, logits.softmax(-1))
    assert total.isfinite().tolist() == [True, False, False]
    assert math.isclose(total[0], math.log(1 + math.e), rel_tol=1e-6)


def test_numbers_depend_on_everything_that_names_them_and_on_nothing_else() -> None:
    base = (1, 2, 3, Purpose.TOKEN)
    number = uniform(*base)
    assert number == uniform(*base)
    others = [(2, 2, 3, 1), (1, 3, 3, 1), (1, 2, 4, 1), (1, 2, 3, 2), (2, 1, 3, 1), (-1, 2, 3, 1)]
    assert len({uniform(*names) for names in others} | {number}) == len(others) + 1


def test_numbers_are_uniform() -> None:
    numbers = torch.tensor(
        [uniform(0, row, position) for row in range(50) for position in range(80)]
    )
    assert 0 <= numbers.min() <= numbers.max() < 1
    bins = torch.histc(numbers, 20, 0, 1)
    assert float(((bins - 200) ** 2 / 200).sum()) < 19 + 4 * math.sqrt(38)
    pairs = numbers.view(50, 80)
    assert abs(float(torch.corrcoef(pairs).triu(1).mean())) < 0.01


def test_streams_tell_prompts_copies_and_attempts_apart() -> None:
    names = [
        stream(0, [1, 2], 0), stream(0, [2, 1], 0), stream(0, [1, 2], 1),
        stream(0, [1, 2], 0, 1), stream(1, [1, 2], 0),
    ]  # fmt: skip
    assert len(set(names)) == 5
    assert fold([1, 2]) != fold([2, 1]) != fold([1, 2, 0])
