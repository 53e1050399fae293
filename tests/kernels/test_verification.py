"""The residual of a rejected draft is the same in every way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from guided.kernels.verification import residual, residual_masses

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def laws(rows: int, width: int, dtype: torch.dtype, seed: int) -> Tensor:
    logits = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    logits = logits * 3
    logits[0, 1:] = -torch.inf
    logits[1, ::3] = -torch.inf
    logits[2, : width // 2] = -torch.inf
    return logits.log_softmax(-1)


@pytest.mark.parametrize(
    ("width", "dtype"), [(5, torch.float64), (700, torch.float32), (2500, torch.float64)]
)
def test_weights_and_masses_are_those_of_the_formula(way, width: int, dtype: torch.dtype) -> None:
    p, q = laws(4, width, dtype, 1), laws(4, width, dtype, 2)
    scales = torch.tensor([0.0, -0.5, -3.0, -torch.inf], dtype=torch.float64)
    expected = (p.double().exp() * scales.exp()[:, None] - q.double().exp()).clamp(min=0)
    found = residual_masses(p.to(way.device), q.to(way.device), scales.to(way.device))
    assert torch.allclose(found.cpu(), expected.sum(-1), atol=1e-14)
    for row in range(4):
        weights = residual(p[row].to(way.device), q[row].to(way.device), float(scales[row]))
        assert torch.allclose(weights.cpu(), expected[row], rtol=1e-12, atol=1e-16)


def test_no_rows_have_no_masses(way) -> None:
    none = torch.zeros(0, 9, device=way.device)
    assert residual_masses(none, none, none[:, 0].double()).shape == (0,)
