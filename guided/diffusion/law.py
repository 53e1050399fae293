"""The law at masked slots, and the tokens drawn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from guided.controls.truncation import TopK, TopP
from guided.decoding.rng import Purpose, fold, uniform
from guided.diffusion.state import Ints, State
from guided.errors import InputError
from guided.kernels import gumbel


@dataclass(frozen=True)
class Warp:
    """How tokens are drawn from the model's law.

    Attributes:
        temperature: 0 takes the likeliest token; the lowest id, if tied.
        top_k: only the so many likeliest tokens (None: all).
        top_p: only the likeliest tokens that together have this probability.
        confidence: the law that probabilities are scored in: the model's own ("raw", LLaDA), or
            the one that tokens are drawn from ("sampling", Dream).

    Raises:
        InputError: a value out of range.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    confidence: Literal["raw", "sampling"] = "raw"

    def __post_init__(self) -> None:
        if not (0 <= self.temperature < math.inf):
            raise InputError(f"temperature must be finite and at least 0, not {self.temperature}")
        if self.confidence not in ("raw", "sampling"):
            raise InputError(f'confidence is "raw" or "sampling", not {self.confidence!r}')
        if self.top_k is not None:
            TopK(self.top_k)
        TopP(self.top_p)

    def apply(self, logits: Tensor) -> Tensor:
        """The logits `[n, V]` that tokens are drawn from, not normalised; `logits` itself stays."""
        if not self.temperature:
            return logits
        warped = logits / self.temperature
        if self.top_k is not None:
            warped, _ = TopK(self.top_k).apply(warped, ())
        warped, _ = TopP(self.top_p).apply(warped, ())
        return warped


class Law:
    """The law of `n` slots.

    Attributes:
        logits: `[n, V]`, the model's own law after guidance and transforms.
        drawn: `[n, V]`, the logits that tokens are drawn from.
        warp: how these came from those.
    """

    def __init__(self, logits: Tensor, warp: Warp) -> None:
        self.logits = logits
        self.warp = warp
        self.drawn = warp.apply(logits)

    @cached_property
    def log_p(self) -> Tensor:
        """`[n, V]`, log-probabilities of the model's own law."""
        return self.logits.log_softmax(-1)

    @cached_property
    def scored(self) -> Tensor:
        """`[n, V]`, log-probabilities of the law that confidences are read from."""
        if self.warp.confidence == "raw" or not self.warp.temperature:
            return self.log_p
        return self.drawn.log_softmax(-1)

    @cached_property
    def entropy(self) -> Tensor:
        """`[n]`, entropies in nats of the law that confidences are read from."""
        entropies: Tensor = torch.special.entr(self.scored.exp())
        return entropies.sum(-1)

    def probabilities(self, tokens: Tensor) -> Tensor:
        """`[n]`, probabilities of one token at each slot."""
        return self.scored.gather(1, tokens[:, None])[:, 0].exp()

    def one(self, index: int) -> Law:
        """The law of one of the slots."""
        law = Law.__new__(Law)
        law.logits = self.logits[index : index + 1]
        law.warp = self.warp
        law.drawn = self.drawn[index : index + 1]
        for name in ("log_p", "scored", "entropy"):
            if name in self.__dict__:
                law.__dict__[name] = self.__dict__[name][index : index + 1]
        return law


def token_noise(state: State, slots: Ints, width: int, device: torch.device) -> Tensor:
    """Gumbel noise `[n, width]`, float64, of the tokens at slots.

    A pure function of seed, row, slot and step: decoding ahead meets the same noise as decoding
    step by step, so that drafts can be verified exactly at any temperature.
    """
    keys = [
        fold((state.row.seed, state.row.stream, int(slot), state.step, Purpose.TOKEN))
        for slot in slots
    ]
    return gumbel.noise(keys, width, device)


def order_uniforms(state: State, slots: Sequence[int] | Ints) -> list[float]:
    """A number in [0, 1) for every slot at this step, from a stream that tokens never use."""
    row = state.row
    return [
        uniform(row.seed, row.stream, fold((int(slot), state.step)), Purpose.CHOICE)
        for slot in slots
    ]
