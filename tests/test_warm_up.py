"""Compiling ahead leaves nothing to compile."""

from __future__ import annotations

import numpy as np
import torch

from guided import warm_up
from guided.kernels import first_use, sampling_cpu
from guided.kernels.dispatch import Implementation, using
from guided.kernels.masked_sampling import draw


def test_the_kernels_of_a_mask_are_on_disk_afterwards() -> None:
    warm_up.compile_grammar_kernels()
    assert first_use.is_compiled()


def test_the_kernels_of_a_canvas_are_on_disk_afterwards() -> None:
    warm_up.compile_canvas_kernels()
    assert first_use.is_compiled(first_use.CANVASES)


def test_tokens_are_drawn_with_the_kernels_that_were_compiled() -> None:
    warm_up.compile_sampling_kernels()
    with using(Implementation.NUMBA):
        draw(torch.zeros(1, 64), np.full((1, 2), -1, np.int32), 0.5, torch.zeros(1).double())
    flat = [str(signature[0]) for signature in sampling_cpu.draw_rows.signatures]
    assert flat.count("array(float32, 1d, C)") == 1
