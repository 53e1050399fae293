"""One training loop for all tiny models: fixed step count, fixed seeds, loss on targets only."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import LlamaForCausalLM

from .model import PAD, LeanForward

IGNORED = -100


@dataclass(frozen=True)
class Row:
    """Token ids of one example; `target[i]` says whether `ids[i]` is to be learned."""

    ids: list[int]
    target: list[bool]


@dataclass(frozen=True)
class Plan:
    """What a run does: `steps` of `rows` examples each, at most `longest` tokens long.

    Learning rates rise over `warmup` steps, hold for a share `constant` of the run, then fall.
    Rows are made `pool` at a time and grouped by length.
    """

    steps: int
    rows: int = 32
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    warmup: int = 60
    constant: float = 0.4
    longest: int = 256
    pool: int = 1024
    seed: int = 0


MakeRow = Callable[[random.Random, int], Row]
"""Makes a fresh example from a generator; gets the number of the step it is made for."""


def collate(rows: list[Row]) -> tuple[Tensor, Tensor]:
    """Inputs and labels, both [batch, time], right-padded; labels are shifted by one."""
    length = max(len(row.ids) for row in rows) - 1
    inputs = torch.full((len(rows), length), PAD)
    labels = torch.full((len(rows), length), IGNORED)
    for i, row in enumerate(rows):
        size = len(row.ids) - 1
        inputs[i, :size] = torch.tensor(row.ids[:-1])
        wanted = [t if on else IGNORED for t, on in zip(row.ids[1:], row.target[1:], strict=True)]
        labels[i, :size] = torch.tensor(wanted)
    return inputs, labels


def batches(make_row: MakeRow, plan: Plan) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of rows of similar length; no row is made twice on purpose."""
    rng = random.Random(plan.seed + 1000)
    done = 0
    while True:
        pool = [make_row(rng, done) for _ in range(plan.pool)]
        pool = [row for row in pool if len(row.ids) <= plan.longest]
        pool.sort(key=lambda row: len(row.ids) + 3 * rng.random())
        groups = [pool[i : i + plan.rows] for i in range(0, len(pool), plan.rows)]
        rng.shuffle(groups)
        for group in groups:
            yield collate(group)
            done += 1


def rate(step: int, plan: Plan) -> float:
    """Factor on the learning rates: warm-up, constant, then linear to one hundredth."""
    progress = step / plan.steps
    fall = max(0.01, 1 - (progress - plan.constant) / (1 - plan.constant))
    return min(1.0, (step + 1) / plan.warmup) * (1.0 if progress < plan.constant else fall)


def optimisers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for embeddings and norms."""
    named = list(model.named_parameters())
    is_matrix = {name: p.ndim == 2 and "embed" not in name for name, p in named}
    matrices = [p for name, p in named if is_matrix[name]]
    others = [p for name, p in named if not is_matrix[name]]
    return [
        torch.optim.Muon(matrices, lr=plan.muon_rate, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def loss_of(forward: LeanForward, inputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over target positions (logits are made only there)."""
    with torch.autocast("cpu", torch.bfloat16):
        wanted = labels >= 0
        logits = forward.logits(forward.hidden(inputs)[wanted])
    return nnf.cross_entropy(logits, labels[wanted])


def train(
    model: LlamaForCausalLM,
    make_row: MakeRow,
    plan: Plan,
    report: Callable[[int, float], None] | None = None,
) -> float:
    """Trains `model` in place and returns the smoothed final loss."""
    forward, optims = LeanForward(model), optimisers(model, plan)
    full = [group["lr"] for optim in optims for group in optim.param_groups]
    smooth = float("nan")
    stream = batches(make_row, plan)
    for step in range(plan.steps):
        loss = loss_of(forward, *next(stream))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        groups = [group for optim in optims for group in optim.param_groups]
        for group, top in zip(groups, full, strict=True):
            group["lr"] = top * rate(step, plan)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        smooth = loss.item() if step == 0 else 0.97 * smooth + 0.03 * loss.item()
        if report is not None:
            report(step + 1, smooth)
    return smooth


def printer(every: int) -> Callable[[int, float], None]:
    """A report that prints step, loss and processor seconds."""
    start = time.process_time()

    def report(step: int, loss: float) -> None:
        if step == 1 or step % every == 0:
            spent = time.process_time() - start
            print(f"step {step:5d}  loss {loss:.4f}  {spent:.0f} core-s", flush=True)

    return report
