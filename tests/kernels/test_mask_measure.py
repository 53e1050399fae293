"""The mass that a mask allows, the rest of it, and the entropy of the whole law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from guided.kernels.mask_apply import pack_tokens
from guided.kernels.mask_measure import log_mass_of, measure, measure_torch


def case(width: int, dtype: torch.dtype) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(width)
    logits = torch.from_numpy(rng.normal(size=(4, width)) * 8).to(dtype)
    logits[1, : width // 2] = -torch.inf
    allowed = rng.random((4, width)) < 0.4
    allowed[0], allowed[2] = True, False
    allowed[2, -1] = True
    allowed[3] = False
    masks = np.stack([pack_tokens(np.flatnonzero(row), width) for row in allowed])
    return logits, masks, allowed


@pytest.mark.parametrize(
    ("width", "dtype"),
    [(1, torch.float64), (33, torch.float32), (700, torch.float64), (4500, torch.float32)],
)
@pytest.mark.parametrize("way", [measure, measure_torch])
def test_measures_are_sums_over_the_softmax(way, width: int, dtype: torch.dtype) -> None:
    logits, masks, allowed = case(width, dtype)
    before = logits.clone()
    found = way(logits, masks)
    assert torch.equal(logits, before)
    law = logits.double().softmax(-1).numpy()
    mass = (law * allowed).sum(-1)
    assert np.exp(found.log_mass) == pytest.approx(mass, rel=1e-12)
    assert found.log_mass[3] == -math.inf
    assert max(found.log_mass) <= 0
    entropy = [-math.fsum(p * math.log(p) for p in row if p > 0) for row in law]
    assert found.entropy == pytest.approx(entropy, rel=1e-12, abs=1e-12)
    assert found.log_total == pytest.approx(logits.double().logsumexp(-1).tolist(), rel=1e-13)


@pytest.mark.parametrize("way", [measure, measure_torch])
def test_bad_rows_have_no_measures(way) -> None:
    logits = torch.zeros(3, 40)
    logits[0, 3], logits[1] = math.nan, -math.inf
    found = way(logits, np.full((3, 2), -1, np.int32))
    assert all(math.isnan(number[row]) for number in found for row in (0, 1))
    assert [number[2] for number in found] == pytest.approx([math.log(40), 0, math.log(40)])


def test_a_mass_is_precise_however_small_it_is() -> None:
    logits = torch.tensor([0.0, -800.0, -801.0, -900.0], dtype=torch.float64)
    found = log_mass_of(logits, pack_tokens([1, 2], 4), 0.0)
    assert found == pytest.approx(-800 + math.log1p(math.exp(-1)), rel=1e-15)
    assert log_mass_of(logits, pack_tokens([], 4), 0.0) == -math.inf
    logits, masks, allowed = case(700, torch.float32)
    total = float(logits[1].double().logsumexp(-1))
    law = logits[1].double().softmax(-1).numpy()
    assert math.exp(log_mass_of(logits[1], masks[1], total)) == pytest.approx(
        law[allowed[1]].sum(), rel=1e-12
    )
    left_out = np.flatnonzero(allowed[1])[::2]
    found = log_mass_of(logits[1], masks[1], total, left_out.tolist())
    assert math.exp(found) == pytest.approx(law[allowed[1]].sum() - law[left_out].sum(), rel=1e-12)
