"""The training loop of the reward model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .rewardmodel import Losses, TreeForward, counts, losses
from .training import Plan, Updates
from .trees import Forest

Report = Callable[[int, Losses], None]
"""Called after each step with its number and the smoothed losses."""


def learn(forward: TreeForward, batches: list[Forest]) -> Losses:
    """Gradients of the mean loss of a step's batches; returns the losses."""
    divisors = counts(batches)
    sums = torch.zeros(3)
    for batch in batches:
        part = losses(forward, batch, divisors)
        part.total.backward()  # type: ignore[no-untyped-call]
        sums += torch.stack([part.steps, part.tokens, part.nexts]).detach()
    return Losses(*sums)


def train_rewards(
    model: Any, stream: Iterator[Forest], plan: Plan, report: Report | None = None
) -> Losses:
    """Trains `model` in place in fp32 and returns the smoothed final losses."""
    forward, updates = TreeForward(model), Updates(model, plan, torch.float32)
    smooth: Losses | None = None
    for step in range(plan.steps):
        made = learn(forward, list(itertools.islice(stream, plan.rows // plan.micro)))
        updates.make(step, step / plan.steps)
        smooth = made if smooth is None else _blend(smooth, made)
        if report is not None:
            report(step + 1, smooth)
    assert smooth is not None
    return smooth


def _blend(old: Losses, new: Losses) -> Losses:
    pairs = ((old.steps, new.steps), (old.tokens, new.tokens), (old.nexts, new.nexts))
    return Losses(*(0.97 * left + 0.03 * right for left, right in pairs))
