"""Attention on CUDA stays out of cuDNN, which plans anew for every length, while guided decodes."""

from __future__ import annotations

import pytest
import torch

from guided.decoding.attention import without_plans
from guided.decoding.gumbel import Gumbel
from tests.gpu.test_decoding import DEVICE, decoded, network


def test_only_within_and_only_on_cuda() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    with without_plans(torch.device("cuda")):
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
    with without_plans(torch.device("cpu")):
        assert torch.backends.cuda.cudnn_sdp_enabled() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_pass_runs_without() -> None:
    net, seen = network(DEVICE, torch.float32), []
    net.model.register_forward_pre_hook(
        lambda *_: seen.append(torch.backends.cuda.cudnn_sdp_enabled())
    )
    decoded(net, Gumbel())
    assert seen
    assert not any(seen)
