"""Many branches of one long prompt: memory of keys and values, and time per step."""

from __future__ import annotations

import random
from typing import Any

import torch

import guided
from guided.decoding import Branch, Decoder

from ..figures import Figure, Report, Table, number
from .timing import Plan

WARM_UP = 2


def measure(
    model: guided.Model, count: int, length: int, steps: int, plan: Plan, report: Report
) -> None:
    """Adds the two figures for `count` branches that grow by `steps` from one prompt.

    Memory is compared with one copy of the prompt and the branches' own tokens; time with a plain
    loop over Hugging Face's cache, in which every row has a copy of the prompt.
    """
    prompt = _prompt(model, length)
    branched, used = _branches(model, prompt, count, steps, plan)
    separate = _rows(model, prompt, count, steps, plan)
    each = token_bytes(model.hf_model.config, model.hf_model.dtype)
    least = each * (length + count * (WARM_UP + steps))
    table = Table(["", "ms a step", "MB of keys and values"], title=f"{count} branches of {length}")
    copies = each * count * (length + WARM_UP + steps)
    table.rows = [
        ["guided", number(1e3 * branched), number(used / 1e6)],
        ["separate rows", number(1e3 * separate), number(copies / 1e6)],
        ["one prompt and the branches' tokens", "", number(least / 1e6)],
    ]
    report.tables.append(table)
    report.figures += [
        Figure("branches_memory", used / least, "x", "<= 1.15"),
        Figure("branches_step_of_separate_rows", separate / branched, "x", ">= 3"),
    ]


def token_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of one token's keys and values in all layers."""
    size = config.num_key_value_heads * config.head_dim
    return 2 * config.num_hidden_layers * size * dtype.itemsize


def _prompt(model: guided.Model, length: int) -> list[int]:
    vocabulary = model.vocabulary
    plain = [i for i, token in enumerate(vocabulary.tokens) if token]
    return random.Random(0).choices(plain, k=length)


def _branches(
    model: guided.Model, prompt: list[int], count: int, steps: int, plan: Plan
) -> tuple[float, int]:
    """Seconds a step, and most bytes of keys and values at a time."""
    decoder = Decoder(model.network, model.vocabulary)
    branches = decoder.open([prompt] * count, seed=1)

    def grow(tokens: int) -> None:
        def is_there(branch: Branch) -> bool:
            return len(branch.tokens) >= tokens

        decoder.extend(branches, is_there)

    grow(WARM_UP)
    seconds, _ = plan.take(lambda: grow(WARM_UP + steps))
    used = decoder.usage.kv_bytes_peak
    decoder.close(branches)
    return seconds / steps, used


@torch.no_grad()
def _rows(model: guided.Model, prompt: list[int], count: int, steps: int, plan: Plan) -> float:
    """Seconds a step of a plain loop in which every row has its own copy of the prompt."""
    network, device = model.hf_model, model.device
    output = network(input_ids=torch.tensor([prompt], device=device), use_cache=True)
    # transformers 5.24 has renamed it.
    name = "cache" if hasattr(output, "cache") else "past_key_values"
    cache = getattr(output, name)
    cache.batch_repeat_interleave(count)
    state = {"tokens": output.logits[:, -1:].argmax(dim=-1).expand(count, 1), "at": len(prompt)}

    def step() -> None:
        positions = torch.full((count, 1), state["at"], device=device)
        given = {name: cache, "position_ids": positions, "use_cache": True}
        logits = network(input_ids=state["tokens"], **given).logits
        state["tokens"], state["at"] = logits[:, -1:].argmax(dim=-1), state["at"] + 1

    for _ in range(WARM_UP):
        step()
    seconds, _ = plan.take(lambda: [step() for _ in range(steps)])
    return seconds / steps
