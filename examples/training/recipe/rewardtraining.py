"""The training loop of the reward model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .rewardmodel import Losses, TreeForward, counts, losses
from .training import Clock, Plan, Updates, has_bfloat16
from .trees import Forest

Report = Callable[[int, Losses], None]
"""Called after each step with its number and the smoothed losses."""


def learn(forward: TreeForward, batches: list[Forest]) -> Losses:
    """Gradients of the mean loss of a step's batches; returns the losses."""
    divisors = counts(batches)
    found = []
    for batch in batches:
        part = losses(forward, batch, divisors)
        part.total.backward()  # type: ignore[no-untyped-call]
        found.append(torch.stack([part.steps, part.tokens, part.nexts]).detach())
    return Losses(*torch.stack(found).sum(0))


def train_rewards(
    model: Any, stream: Iterator[Forest], plan: Plan, report: Report | None = None
) -> Losses:
    """Trains `model` in place, its passes in fp32, and returns the smoothed final losses."""
    model.to(plan.device)
    dtype = torch.bfloat16 if has_bfloat16(plan.device) else torch.float32
    forward, updates, clock = TreeForward(model), Updates(model, plan, dtype), Clock(plan)
    smooth: Losses | None = None
    for step in range(plan.steps):
        progress = clock.progress(step)
        if progress >= 1:
            break
        batches = list(itertools.islice(stream, plan.rows // plan.micro))
        made = learn(forward, [batch.to(plan.device) for batch in batches])
        updates.make(step, progress)
        smooth = made if smooth is None else _blend(smooth, made)
        if report is not None:
            report(step + 1, smooth)
    assert smooth is not None
    return smooth


def _blend(old: Losses, new: Losses) -> Losses:
    pairs = ((old.steps, new.steps), (old.tokens, new.tokens), (old.nexts, new.nexts))
    return Losses(*(0.97 * left + 0.03 * right for left, right in pairs))
