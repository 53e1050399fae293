"""The numba twin finds what the torch reference finds."""

from __future__ import annotations

import pytest
import torch

from guided.kernels.top_k import top_k, top_k_torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_both_twins_agree(dtype: torch.dtype, width: int, k: int) -> None:
    generator = torch.Generator().manual_seed(width * 10 + k)
    rows = torch.randn(7, width, generator=generator, dtype=dtype)
    rows[3] = rows[3].round()  # many ties
    rows[4] = 0
    rows[5, ::2] = -torch.inf
    rows[6] = -torch.inf
    values, ids = top_k(rows, k)
    expected_values, expected_ids = top_k_torch(rows, min(k, width))
    assert torch.equal(values, expected_values)
    assert torch.equal(ids, expected_ids)


def test_rows_that_grow_are_sorted() -> None:
    rows = torch.arange(300.0)[None]
    values, ids = top_k(rows, 4)
    assert values.tolist() == [[299, 298, 297, 296]]
    assert ids.tolist() == [[299, 298, 297, 296]]


def test_half_precision_and_strided_rows_will_do() -> None:
    rows = torch.tensor([[1.0, 3.0, 2.0]]).bfloat16()
    values, ids = top_k(rows, 2)
    assert ids.tolist() == [[1, 2]]
    assert values.dtype == torch.bfloat16
    assert top_k(torch.tensor([[1.0], [3.0], [2.0]]).T, 2)[1].tolist() == [[1, 2]]


def test_no_rows_and_no_places() -> None:
    assert top_k(torch.empty(0, 5), 3)[1].shape == (0, 3)
    assert top_k(torch.zeros(2, 5), 0)[1].shape == (2, 0)
