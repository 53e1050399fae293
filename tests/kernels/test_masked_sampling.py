"""The fused draw is temperature, mask, softmax and inversion, one after the other, in every way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from guided.controls.law import Temperature
from guided.decoding import Greedy, Plain, Stream
from guided.decoding.sampling import uniforms
from guided.kernels.mask_apply import apply_masks_torch, pack_tokens
from guided.kernels.masked_sampling import Masks, Status, draw, draw_torch, log_totals

# Triton's interpreter computes with numpy, which warns of the -inf that kernels handle.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

ROWS = 6
STREAMS = [Stream(3, row, 1) for row in range(ROWS)]


def case(width: int, dtype: torch.dtype) -> tuple[Tensor, Masks]:
    """Logits, and masks of every kind: full, empty words, single bits."""
    rng = np.random.default_rng(width)
    logits = torch.from_numpy(rng.normal(size=(ROWS, width)) * 3).to(dtype)
    words = (width + 31) // 32
    masks = rng.integers(-(2**31), 2**31, (ROWS, words), dtype=np.int64).astype(np.int32)
    masks[1, ::2] = 0
    masks[:, 0] |= 1
    masks[0], masks[2] = -1, pack_tokens([width - 1], width)
    return logits, masks


def law_by_controls(logits: Tensor, masks: Masks | None, temperature: float) -> Tensor:
    law = Temperature(temperature).apply(logits.clone(), [None] * len(logits))[0]
    return law if masks is None else apply_masks_torch(law, masks)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("width", "dtype"),
    [(1, torch.float32), (33, torch.float64), (700, torch.float32), (4500, torch.float32)],
)
def test_tokens_are_those_of_the_controls_and_plain_sampling(
    way, width: int, dtype: torch.dtype, masked: bool, temperature: float
) -> None:
    logits, masks = case(width, dtype)
    given = masks if masked else None
    # The draws of the law by the reference, which has been tested against the law itself.
    law = law_by_controls(logits.to(way.device), given, temperature)
    expected = draw_torch(law, None, 1.0, uniforms(STREAMS))
    found = draw(logits.to(way.device), given, temperature, uniforms(STREAMS))
    assert found.status.tolist() == [Status.OK] * ROWS
    assert torch.equal(found.tokens, expected.tokens)
    # On a CPU, Triton multiplies by a reciprocal where torch divides.
    close = 1e-12 if temperature == 1 or way.implementation != "triton" else 1e-5
    assert torch.allclose(found.log_q, expected.log_q, atol=close)
    raw = logits.double().log_softmax(-1).to(way.device)
    assert torch.allclose(found.log_p, raw.gather(1, found.tokens[:, None])[:, 0], atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_without_numbers_the_likeliest_token_is_taken_and_the_lowest_of_equals(
    way, masked: bool
) -> None:
    logits, masks = case(700, torch.float32)
    logits = logits.round()
    given = masks if masked else None
    law = law_by_controls(logits, given, 1.0)
    found = draw(logits.to(way.device), given)
    assert found.tokens.tolist() == Greedy().draw(law, STREAMS)[0].tolist()
    assert found.log_q.tolist() == [0] * ROWS
    raw = logits.double().log_softmax(-1)
    assert torch.allclose(found.log_p.cpu(), raw.gather(1, found.tokens.cpu()[:, None])[:, 0])


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("allowed", [[0], [699], [255, 256], [1, 300, 698]])
def test_a_forbidden_token_is_never_drawn(way, number: float, allowed: list[int]) -> None:
    logits = torch.full((2, 700), 90.0)
    logits[0, allowed] = torch.tensor([-80.0, 3.0, 90.0][: len(allowed)])
    # In the second row the legal tokens are so unlikely that their raw weight underflows.
    logits[1, allowed] = -900.0
    masks = np.stack([pack_tokens(allowed, 700)] * 2)
    found = draw(logits.to(way.device), masks, 1.0, torch.full((2,), number).double())
    assert set(found.tokens.tolist()) <= set(allowed)
    assert found.log_q.isfinite().all()
    assert math.isclose(found.log_q[1], -math.log(len(allowed)), abs_tol=1e-12)


@pytest.mark.parametrize("greedy", [False, True])
def test_every_bad_row_is_told_apart(way, greedy: bool) -> None:
    logits = torch.zeros(6, 40)
    logits[0, 3], logits[1, 3], logits[2], logits[3, :20] = torch.nan, torch.inf, -torch.inf, -99
    logits[3, 20:], logits[5, 7] = -torch.inf, -torch.inf
    masks = np.full((6, 2), -1, np.int32)
    # Not numbers where the mask does not look; nothing finite where it does; nothing allowed.
    masks[0], masks[3], masks[4] = pack_tokens([5], 40), pack_tokens([30], 40), 0
    numbers = None if greedy else torch.full((6,), 0.5).double()
    found = draw(logits.to(way.device), masks, 1.0, numbers)
    bad, left, ok = Status.NOT_NUMBERS, Status.NOTHING_LEFT, Status.OK
    assert found.status.tolist() == [bad, bad, bad, left, left, ok]
    assert found.tokens.tolist()[:5] == [0] * 5
    assert found.log_p.isnan().tolist() == found.log_q.isnan().tolist() == [True] * 5 + [False]


def test_a_row_does_not_depend_on_its_neighbours_or_where_it_lies(way) -> None:
    logits, masks = case(700, torch.float32)
    apart = torch.zeros(ROWS, 3, 700, device=way.device)
    apart[:, 2] = logits.to(way.device)
    masks.flags.writeable = False
    together = draw(apart[:, 2], masks, 1.0, uniforms(STREAMS))
    for row in range(ROWS):
        alone = draw(
            logits[row : row + 1].to(way.device),
            masks[row : row + 1], 1.0, uniforms(STREAMS[row : row + 1]),
        )  # fmt: skip
        assert [column[row] for column in together] == [column[0] for column in alone]


def test_totals_are_those_of_logsumexp_and_not_finite_for_bad_rows(way) -> None:
    logits, _ = case(700, torch.float32)
    logits[1, ::3] = -torch.inf
    logits[3, 5], logits[4, 5], logits[5] = torch.nan, torch.inf, -torch.inf
    found = log_totals(logits.to(way.device)).cpu()
    assert torch.allclose(found[:3], logits[:3].double().logsumexp(-1), rtol=1e-14)
    assert not found[3:].isfinite().any()


def test_no_rows_and_half_precision(way) -> None:
    assert len(draw(torch.zeros(0, 9, device=way.device), None, 1.0, uniforms([])).tokens) == 0
    logits = torch.randn(2, 40, generator=torch.Generator().manual_seed(1)).bfloat16()
    half = draw(logits.to(way.device), None, 1.0, uniforms(STREAMS[:2]))
    full = draw(logits.float().to(way.device), None, 1.0, uniforms(STREAMS[:2]))
    assert all(torch.equal(left, right) for left, right in zip(half, full, strict=True))


def test_frequencies_follow_the_law() -> None:
    draws, width = 20000, 37
    logits = torch.randn(width, generator=torch.Generator().manual_seed(5)) * 2
    masks = np.stack([pack_tokens(range(0, width, 2), width)] * draws)
    streams = [Stream(1, row, 0) for row in range(draws)]
    found = draw(logits.expand(draws, width), masks, 0.8, uniforms(streams))
    law = (logits / 0.8).double()
    law[1::2] = -torch.inf
    law = law.softmax(-1)
    counts = torch.bincount(found.tokens, minlength=width).double()
    common = law * draws >= 5
    mean = draws * law[common]
    # A chi-squared statistic within four standard deviations of its mean.
    distance = float(((counts[common] - mean) ** 2 / mean).sum())
    assert distance <= len(mean) + 4 * math.sqrt(2 * len(mean))
    assert counts[1::2].sum() == 0


def test_plain_sampling_draws_the_same_tokens_in_every_way(way) -> None:
    logits, _ = case(700, torch.float32)
    tokens, log_q = Plain().draw(logits.to(way.device), STREAMS)
    expected = draw_torch(logits, None, 1.0, uniforms(STREAMS))
    assert tokens.tolist() == expected.tokens.tolist()
    assert torch.allclose(log_q.cpu(), expected.log_q, atol=1e-12)
