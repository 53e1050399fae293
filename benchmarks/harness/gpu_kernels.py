"""Times of the kernels on a GPU, Triton beside the torch references."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from guided.kernels.dispatch import Implementation, using
from guided.kernels.mask_apply import apply_masks
from guided.kernels.masked_sampling import draw
from guided.kernels.tree_mask import tree_mask
from guided.kernels.verification import residual_masses

from .figures import Figure, Report, Table, number

DEVICE = torch.device("cuda")
WIDTHS = (32_768, 131_072)
ROWS = (1, 8, 64)
REPEATS = 30


def measure(report: Report) -> None:
    """Adds a table of microseconds, and the ratios at the largest vocabulary."""
    table = Table(["kernel, rows, vocabulary", "Triton µs", "torch µs", "torch / Triton"])
    for width in WIDTHS:
        for rows in ROWS:
            for name, call in kernels(rows, width).items():
                times = {way: microseconds(call, way) for way in ("triton", "torch")}
                ratio = times["torch"] / times["triton"]
                shown = [number(times["triton"]), number(times["torch"]), number(ratio)]
                table.rows.append([f"{name}, {rows}, {width}", *shown])
                if width == WIDTHS[-1] and rows == 8:
                    report.figures.append(Figure(f"{name}_triton_to_torch", ratio, "x", ">= 1"))
    report.tables.append(table)
    report.notes.append(f"medians of {REPEATS} calls, each waited for, after a first one")


def kernels(rows: int, width: int) -> dict[str, Callable[[], object]]:
    """Calls by name."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    logits = torch.randn(rows, width, device=DEVICE, generator=generator) * 3
    other = torch.randn(rows, width, device=DEVICE, generator=generator).log_softmax(-1)
    law = logits.log_softmax(-1)
    rng = np.random.default_rng(0)
    words = rng.integers(-(2**31), 2**31, (rows, width // 32), dtype=np.int64)
    masks = words.astype(np.int32)
    numbers = torch.from_numpy(rng.random(rows))
    scales = torch.zeros(rows, dtype=torch.float64, device=DEVICE)
    parents = torch.arange(-1, 15, dtype=torch.int32, device=DEVICE).repeat(rows, 1)
    lengths = torch.full((rows,), 2000, dtype=torch.int32, device=DEVICE)
    scratch = logits.clone()
    return {
        "draw": lambda: draw(logits, masks, 0.8, numbers),
        "greedy": lambda: draw(logits, masks),
        "mask": lambda: apply_masks(scratch, masks),
        "residual": lambda: residual_masses(law, other, scales),
        "tree_mask": lambda: tree_mask(parents, lengths, 2048),
    }


def microseconds(call: Callable[[], object], way: str) -> float:
    """The median time of a call, its result waited for."""
    found = []
    with using(Implementation(way)):
        call()
        for _ in range(REPEATS):
            torch.cuda.synchronize()
            began = time.perf_counter()
            call()
            torch.cuda.synchronize()
            found.append(time.perf_counter() - began)
    return statistics.median(found) * 1e6
