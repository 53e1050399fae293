"""The masked diffusion model: a small bidirectional transformer, its loss and its training loop.

Absorbing diffusion (LLaDA, arXiv 2502.09992): a share of the canvas is masked, and the network says
what stood there. It is not told the share. All shares are equally likely and, within a step, spread
evenly; masked places count the same whatever their share, which has the same optimum as the
likelihood bound and less noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM

from .canvases import Canvases
from .model import BOS, EOS, MASK, MAX_POSITIONS, PAD, ROPE_THETA, Shape
from .training import Clock, Plan, Report, precision, rate


def build_denoiser(shape: Shape, vocabulary: int, seed: int) -> ModernBertForMaskedLM:
    """A freshly initialised bidirectional model in fp32; every layer sees the whole row."""
    torch.manual_seed(seed)
    full = {"rope_type": "default", "rope_theta": ROPE_THETA}
    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=MAX_POSITIONS,
        layer_types=["full_attention"] * shape.layers,
        rope_parameters={"full_attention": full, "sliding_attention": dict(full)},
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        cls_token_id=BOS,
        sep_token_id=EOS,
        mask_token_id=MASK,
        attn_implementation="sdpa",
    )
    return ModernBertForMaskedLM(config)


def hidden_places(shape: tuple[int, int], random: torch.Generator) -> Tensor:
    """Which places of canvases [rows, length] are masked: shares spread evenly over the rows."""
    rows, length = shape
    given: dict[str, Any] = {"generator": random, "device": random.device}
    at = torch.arange(rows, device=random.device)
    shares = (torch.rand((), **given) + at / rows) % 1
    shares = shares[torch.randperm(rows, **given)]
    hidden = torch.rand(rows, length, **given) < shares[:, None]
    # A row in which nothing is masked teaches nothing.
    hidden[at, torch.randint(length, (rows,), **given)] = True
    return hidden


def denoising_loss(model: Any, batch: Canvases, hidden: Tensor) -> Tensor:
    """Summed cross-entropy of what stands at the masked places of the canvases."""
    canvas = batch.answers.masked_fill(hidden, MASK)
    rows = torch.cat([batch.prompts, canvas], 1)
    with precision(rows.device.type):
        states = model.model(rows, attention_mask=(rows != PAD).long()).last_hidden_state
        logits = model.decoder(model.head(states[:, batch.prompts.shape[1] :][hidden]))
    return nnf.cross_entropy(logits.float(), batch.answers[hidden], reduction="sum")


def denoise(
    model: Any, batches: Iterable[Canvases], plan: Plan, report: Report | None = None
) -> float:
    """Trains `model` in place, two batches a step; returns the smoothed final loss."""
    device = plan.device
    model.to(device)
    random = torch.Generator(device).manual_seed(plan.seed + 1)
    updates = torch.optim.AdamW(
        model.parameters(), lr=plan.adam_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    clock, stream = Clock(plan), iter(batches)
    smooth = torch.full((), float("nan"))
    model.train()
    for step in range(plan.steps):
        progress = clock.progress(step)
        if progress >= 1:
            break
        pair = [batch.to(device) for batch in itertools.islice(stream, 2)]
        places = [hidden_places(tuple(batch.answers.shape), random) for batch in pair]
        count = sum(hidden.sum() for hidden in places)
        loss = torch.zeros((), device=device)
        for batch, hidden in zip(pair, places, strict=True):
            share = denoising_loss(model, batch, hidden) / count
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in updates.param_groups:
            group["lr"] = plan.adam_rate * rate(step, progress, plan)
        updates.step()
        updates.zero_grad()
        smooth = loss if step == 0 else 0.97 * smooth + 0.03 * loss
        if report is not None:
            report(step + 1, smooth)
    model.eval()
    return smooth.item()
