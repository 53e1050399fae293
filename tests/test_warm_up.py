"""Compiling ahead leaves nothing to compile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


#: In a process of its own, as other tests call the kernels with arrays of other kinds.
_GUESSES = """
import guided
from guided import warm_up
from guided.kernels import copy_lookup, draft_choice, draft_closing, draft_merge
from guided.kernels import sampling_cpu, suffix_pool

warm_up.compile_sampling_kernels()
warm_up.compile_drafting_kernels()
model = guided.load("examples/models/tiny-lm")
text = "Anna is 30.\\nFields: name (string)\\nJSON: "
schema = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'
result = guided.run(model, text, schema=schema, temperature=0.8, seed=1, max_new_tokens=24)
assert result.usage.drafted > 0, result.usage
for kernel in (
    sampling_cpu.draw_one, suffix_pool.append, suffix_pool.guess, draft_merge.merge,
    draft_choice.choose, copy_lookup.look_up, draft_closing.find_ends,
    draft_closing.join,
):
    assert len(kernel.signatures) == 1, (kernel, kernel.signatures)
"""


def test_tokens_are_guessed_with_the_kernels_that_were_compiled() -> None:
    command = [sys.executable, "-c", _GUESSES]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
