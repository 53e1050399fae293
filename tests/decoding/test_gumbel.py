"""Gumbel draws follow the law, are the same everywhere, and couple the draws of two laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from guided.decoding import Plain, Stream
from guided.decoding.gumbel import Gumbel, keys, noise
from guided.decoding.rng import Purpose
from guided.kernels import gumbel
from guided.kernels.dispatch import Implementation, using

CPU = torch.device("cpu")


def streams(count: int, purpose: Purpose = Purpose.TOKEN) -> list[Stream]:
    return [Stream(3, row, 7, purpose) for row in range(count)]


def law(width: int, seed: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("width", [5, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frequencies_follow_the_softmax(width: int, dtype: torch.dtype) -> None:
    draws = 5000
    logits = law(width, width).to(dtype) * 2
    logits[::3] = -torch.inf
    tokens, log_q = Gumbel().draw(logits.expand(draws, width), streams(draws))
    wanted = logits.double().softmax(-1)
    assert torch.allclose(log_q, wanted.log()[tokens], atol=1e-12)
    counts = torch.bincount(tokens, minlength=width).double()
    assert counts[::3].sum() == 0
    common = wanted * draws >= 5
    mean = draws * wanted[common]
    # A chi-squared statistic within four standard deviations of its mean.
    distance = float(((counts[common] - mean) ** 2 / mean).sum())
    assert distance <= len(mean) + 4 * math.sqrt(2 * len(mean))


def test_random_bits_are_the_same_in_torch_and_in_the_cpu_kernel() -> None:
    given = [*keys(streams(4)), 0, 2**63, 2**64 - 1]
    bits = gumbel.random_bits(given, 1000, CPU)
    assert 0 <= int(bits.min()) <= int(bits.max()) < 2**52
    # The definition, in integers of any size.
    for row, key in enumerate(given):
        for token in (0, 1, 999):
            value = (key + (token + 1) * 0x9E3779B97F4A7C15) % 2**64
            value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
            assert int(bits[row, token]) == (value ^ value >> 31) >> 12
    with using(Implementation.NUMBA):
        fast = gumbel.noise(given, 1000, CPU)
    with using(Implementation.TORCH):
        slow = gumbel.noise(given, 1000, CPU)
    # Equal bits; the logarithms of two libraries differ in their last place.
    assert torch.allclose(fast, slow, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("width", [1, 3, 512, 1300])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_the_kernel_takes_the_argmax_of_logits_and_noise(width: int, spread: float) -> None:
    logits = torch.stack([law(width, row) * spread for row in range(60)]).float()
    logits[1:, ::4] = -torch.inf
    logits[2] = -torch.inf
    found = gumbel.noisy_argmax(logits, keys(streams(60)))
    expected = (logits.double() + noise(streams(60), width, CPU)).argmax(-1)
    assert torch.equal(found, expected)
    with using(Implementation.TORCH):
        assert torch.equal(gumbel.noisy_argmax(logits, keys(streams(60))), expected)


def test_noise_does_not_depend_on_the_batch_or_on_the_width() -> None:
    whole = noise(streams(5), 600, CPU)
    for row, stream in enumerate(streams(5)):
        assert torch.equal(noise([stream], 400, CPU)[0], whole[row, :400])
    logits = torch.stack([law(600, row) for row in range(5)])
    together = Gumbel().draw(logits, streams(5))[0]
    alone = [Gumbel().draw(logits[r : r + 1], streams(5)[r : r + 1])[0] for r in range(5)]
    assert together.tolist() == torch.cat(alone).tolist()


def test_equal_laws_give_equal_tokens_only_within_a_purpose() -> None:
    logits = law(50, 1).expand(200, 50)
    tokens = Gumbel().draw(logits, streams(200))[0]
    assert torch.equal(tokens, Gumbel().draw(logits, streams(200))[0])
    other = Gumbel().draw(logits, streams(200, Purpose.DRAFT))[0]
    # Independent draws agree with the chance of two equal tokens.
    chance = float((logits[0].softmax(-1) ** 2).sum())
    agreed = float((tokens == other).double().mean())
    assert abs(agreed - chance) <= 4 * math.sqrt(chance * (1 - chance) / 200)


def formula(p: Tensor, q: Tensor) -> float:
    """sum_x 1 / sum_y max(p_y / p_x, q_y / q_x): the chance of two equal coupled draws."""
    ratios = torch.maximum(p[None] / p[:, None], q[None] / q[:, None])
    return float((1 / ratios.sum(-1)).sum())


def test_coupled_draws_agree_as_often_as_the_formula_says() -> None:
    draws = 4000
    for seed in range(4):
        p, q = law(6, seed), law(6, 100 + seed)
        first = Gumbel().draw(p.expand(draws, 6), streams(draws))[0]
        second = Gumbel().draw(q.expand(draws, 6), streams(draws))[0]
        wanted = formula(p.softmax(-1), q.softmax(-1))
        assert wanted <= float(torch.minimum(p.softmax(-1), q.softmax(-1)).sum())
        agreed = float((first == second).double().mean())
        # Within four standard deviations.
        assert abs(agreed - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / draws)


def inverted(p: Tensor, q: Tensor) -> float:
    """The chance of two equal draws by inversion with one number: what the intervals share."""
    ends = [torch.cat([torch.zeros(1).double(), each.cumsum(0)]) for each in (p, q)]
    begin = torch.maximum(ends[0][:-1], ends[1][:-1])
    return float((torch.minimum(ends[0][1:], ends[1][1:]) - begin).clamp(min=0).sum())


def test_coupling_by_noise_agrees_more_often_than_coupling_by_inversion() -> None:
    laws = [(law(8, s).softmax(-1), (law(8, s) + law(8, 500 + s)).softmax(-1)) for s in range(100)]
    by_noise = sum(formula(p, q) for p, q in laws) / len(laws)
    by_inversion = sum(inverted(p, q) for p, q in laws) / len(laws)
    assert by_noise > by_inversion + 0.05
    # The second number is what `Plain` does.
    p, q = laws[0]
    first, second = (Plain().draw(each.log().expand(4000, 8), streams(4000))[0] for each in (p, q))
    wanted, agreed = inverted(p, q), float((first == second).double().mean())
    assert abs(agreed - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / 4000)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_row_has_no_log_probability(bad: float) -> None:
    logits = torch.zeros(3, 9)
    logits[1, 4], logits[2] = bad, -torch.inf
    assert Gumbel().draw(logits, streams(3))[1].isfinite().tolist() == [True, False, False]
