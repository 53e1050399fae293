"""The training loop of the reward model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .muon import Muon
from .rewardmodel import Losses, TreeForward, counts, losses
from .training import Plan, rate
from .trees import Forest

Report = Callable[[int, Losses], None]
"""Called after each step with its number and the smoothed losses."""


def optimisers(model: Any, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and the head."""
    named = [(name, p, p.ndim == 2 and "layers" in name) for name, p in model.named_parameters()]
    matrices = [p for _, p, is_matrix in named if is_matrix]
    others = [p for _, p, is_matrix in named if not is_matrix]
    return [
        Muon(matrices, lr=plan.muon_rate, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


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
    forward, optims = TreeForward(model), optimisers(model, plan)
    groups = [group for optim in optims for group in optim.param_groups]
    full = [group["lr"] for group in groups]
    smooth: Losses | None = None
    for step in range(plan.steps):
        made = learn(forward, list(itertools.islice(stream, plan.rows // plan.micro)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group, top in zip(groups, full, strict=True):
            group["lr"] = top * rate(step, step / plan.steps, plan)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        smooth = made if smooth is None else _blend(smooth, made)
        if report is not None:
            report(step + 1, smooth)
    assert smooth is not None
    return smooth


def _blend(old: Losses, new: Losses) -> Losses:
    pairs = ((old.steps, new.steps), (old.tokens, new.tokens), (old.nexts, new.nexts))
    return Losses(*(0.97 * left + 0.03 * right for left, right in pairs))
