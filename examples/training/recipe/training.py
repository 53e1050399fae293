"""One training loop for all tiny models: fixed step count, fixed seeds, loss on targets only."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import LlamaForCausalLM

from .batches import Batch, MakeRow, Supply, pools, repeated
from .guide import Guide
from .model import LeanForward, Tap
from .muon import Muon

Report = Callable[[int, Tensor], None]
"""Called after each step with its number and the smoothed loss."""


@dataclass(frozen=True)
class Plan:
    """What a run does: `steps` of `rows` rows each, at most `longest` tokens long.

    Learning rates rise over `warmup` steps, hold for a share `constant` of the run, then fall
    linearly to a share `lowest`. With `minutes` the run ends then if its steps are not done, and
    the rates follow the clock.
    A forward pass takes `micro` rows, so that they fit into the caches; rows are made `pool` at a
    time, by `workers` processes, and each is learned from `uses` times.
    """

    steps: int
    rows: int = 32
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    warmup: int = 60
    constant: float = 0.4
    lowest: float = 0.01
    longest: int = 256
    micro: int = 4
    pool: int = 1024
    workers: int = 0
    uses: int = 1
    seed: int = 0
    device: str = "cpu"
    minutes: float | None = None


def rate(step: int, progress: float, plan: Plan) -> float:
    """Factor on the learning rates: warm-up, constant, then linear to `lowest`."""
    left = (1 - progress) / (1 - plan.constant) if plan.constant < 1 else 1.0
    fall = plan.lowest + (1 - plan.lowest) * min(1.0, left)
    return min(1.0, (step + 1) / plan.warmup) * fall


def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32; on some processors it is ten times slower."""
    if device != "cpu":
        return True
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def spare_cores(device: str) -> int:
    """Processes that may make rows: none beside a processor that trains, else at most 12."""
    return 0 if device == "cpu" else min(12, max(0, (os.cpu_count() or 1) - 2))


class Updates:
    """Muon for the matrices of the layers, AdamW for all else and a guide, at a plan's rates.

    `dtype` is the one in which Muon computes.
    """

    def __init__(
        self, model: Any, plan: Plan, dtype: torch.dtype, guide: Guide | None = None
    ) -> None:
        self.model, self.plan = model, plan
        named = [(p, p.ndim == 2 and "layers" in name) for name, p in model.named_parameters()]
        matrices = [p for p, is_matrix in named if is_matrix]
        others = [p for p, is_matrix in named if not is_matrix]
        others += [] if guide is None else list(guide.parameters())
        self.optims: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=plan.muon_rate, momentum=0.95, weight_decay=0.01, dtype=dtype),
            torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]

    def make(self, step: int, progress: float) -> None:
        """One update from the gradients, which are clipped before and dropped afterwards."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        factor = rate(step, progress, self.plan)
        tops = (self.plan.muon_rate, self.plan.adam_rate)
        for optim, top in zip(self.optims, tops, strict=True):
            for group in optim.param_groups:
                group["lr"] = top * factor
            optim.step()
            optim.zero_grad()


def precision(device: str) -> AbstractContextManager[object]:
    """Where the forward pass is computed: in bfloat16 if the device has it."""
    return torch.autocast(device, torch.bfloat16) if has_bfloat16(device) else nullcontext()


def loss_of(forward: LeanForward, batch: Batch, tap: Tap | None = None) -> Tensor:
    """Summed cross-entropy over target positions (logits are made only there)."""
    learned = batch.learned
    branches = batch.branches if int(batch.branches.max()) > 1 else None
    with precision(str(batch.inputs.device.type)):
        hidden = forward.hidden(batch.inputs, batch.positions, branches, learned, tap)
        logits = forward.logits(hidden)
    return nnf.cross_entropy(logits, batch.labels[learned], reduction="sum")


def learn(
    forward: LeanForward, batches: list[Batch], guide: Guide | None = None, progress: float = 0.0
) -> Tensor:
    """Gradients of the mean loss of a step's batches; returns that loss, without a guide's."""
    count = sum(int(batch.learned.sum()) for batch in batches)
    total = torch.zeros((), device=batches[0].inputs.device)
    shares = None if guide is None else guide.shares(batches, progress)
    for batch in batches:
        tap = None if guide is None else guide.tap()
        loss = loss_of(forward, batch, tap) / count
        total += loss.detach()
        if guide is not None and tap is not None and shares is not None:
            loss = loss + guide.loss(batch, tap, shares)
        loss.backward()  # type: ignore[no-untyped-call]
    return total


class Clock:
    """How far a run is: in steps or, with `plan.minutes`, in time, whichever is further."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.start = time.monotonic()

    def progress(self, step: int) -> float:
        """The share of the run that is done when `step` begins; 1 when the time is over."""
        done = step / self.plan.steps
        if self.plan.minutes is None:
            return done
        return min(1.0, max(done, (time.monotonic() - self.start) / (60 * self.plan.minutes)))


def train(
    model: LlamaForCausalLM,
    make_row: MakeRow,
    plan: Plan,
    report: Report | None = None,
    guide: Guide | None = None,
) -> float:
    """Trains `model` in place, and `guide` with it; returns the smoothed final loss."""
    model.to(plan.device)  # type: ignore[arg-type]
    if guide is not None:
        guide.to(plan.device)
    dtype = torch.bfloat16 if has_bfloat16(plan.device) else torch.float32
    forward, updates = LeanForward(model), Updates(model, plan, dtype, guide)
    micro = min(plan.micro, plan.rows)
    supply = Supply(micro, plan.pool, plan.longest, plan.seed + 1000, plan.workers)
    made = pools(make_row, supply, max(1, plan.pool // plan.rows))
    stream = itertools.chain.from_iterable(repeated(made, plan.uses))
    smooth, clock = torch.full((), float("nan")), Clock(plan)
    for step in range(plan.steps):
        progress = clock.progress(step)
        if progress >= 1:
            break
        batches = list(itertools.islice(stream, max(1, plan.rows // micro)))
        loss = learn(forward, [batch.to(plan.device) for batch in batches], guide, progress)
        updates.make(step, progress)
        smooth = loss if step == 0 else 0.97 * smooth + 0.03 * loss
        if report is not None:
            report(step + 1, smooth)
    made.close()
    return smooth.item()


def printer(every: int) -> Report:
    """A report that prints step, loss and seconds."""
    start = time.monotonic()

    def report(step: int, loss: Tensor) -> None:
        if step == 1 or step % every == 0:
            spent = time.monotonic() - start
            print(f"step {step:5d}  loss {loss.item():.4f}  {spent:.0f} s", flush=True)

    return report
