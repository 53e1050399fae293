"""Gumbel draws on CUDA are those on the CPU."""

from __future__ import annotations

import pytest
import torch

from guided.decoding import Stream
from guided.decoding.gumbel import Gumbel, keys
from guided.kernels import gumbel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

STREAMS = [Stream(3, row, 7) for row in range(20)]


def test_draws_are_those_on_the_cpu() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(20, 5000, generator=generator, dtype=torch.float64) * 3
    expected = Gumbel().draw(logits, STREAMS)
    found = Gumbel().draw(logits.cuda(), STREAMS)
    assert torch.equal(found[0].cpu(), expected[0])
    assert torch.allclose(found[1].cpu(), expected[1], atol=1e-12)


def test_random_bits_are_those_on_the_cpu() -> None:
    bits = gumbel.random_bits(keys(STREAMS), 900, torch.device("cuda"))
    assert torch.equal(bits.cpu(), gumbel.random_bits(keys(STREAMS), 900, torch.device("cpu")))
