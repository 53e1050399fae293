"""Random laws that depend on the whole prefix, and the exact law of what a verifier puts out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from guided.decoding.rng import fold, uniform
from guided.decoding.verifiers import block, chain
from guided.decoding.verifiers.residual import correction

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Laws:
    """Laws of the next token over `size` tokens, from a hash of the prefix.

    Attributes:
        zeros: the share of tokens without any mass; at least one token keeps its mass.
        point: whether all the mass is on one token.
    """

    size: int
    seed: int
    zeros: float = 0.0
    point: bool = False

    @cache  # noqa: B019
    def __call__(self, prefix: Prefix) -> Tensor:
        """Log-probabilities in float64."""
        numbers = [uniform(self.seed, fold(prefix), token) for token in range(self.size)]
        logits = torch.tensor(numbers, dtype=torch.float64) * 4
        keep = fold((self.seed, *prefix)) % self.size
        for token in range(self.size):
            gone = uniform(self.seed + 1, fold(prefix), token) < self.zeros
            if token != keep and (gone or self.point):
                logits[token] = -torch.inf
        return logits.log_softmax(-1)


class Law(Protocol):
    def __call__(self, prefix: Prefix) -> Tensor: ...


def path(law: Law, tokens: Sequence[int], count: int) -> Tensor:
    """The laws after the first 0 … count - 1 of `tokens`."""
    return torch.stack([law(tuple(tokens[:i])) for i in range(count)])


def blocks(q: Law, size: int, length: int) -> Iterator[tuple[Prefix, float]]:
    """Every draft and its probability."""
    for tokens in itertools.product(range(size), repeat=length):
        laws = path(q, tokens, length)
        chance = math.exp(sum(float(laws[i, token]) for i, token in enumerate(tokens)))
        if chance > 0:
            yield tokens, chance


def chances(name: str, p: Tensor, q: Tensor, tokens: Sequence[int]) -> list[float]:
    if name == "chain":
        return chain.acceptance(p, q, tokens)
    return block.acceptance(p, q, block.log_scales(p, q, tokens))


def counts(name: str, given: Sequence[float]) -> list[float]:
    """The probability of every number of tokens that stand.

    The random numbers matter only by which chances they are below, so one number of each cell will
    do, weighted by the cell's size.
    """
    decide = {"chain": chain.accepted, "block": block.accepted}[name]
    law = [0.0] * (len(given) + 1)
    for below in itertools.product((True, False), repeat=len(given)):
        weight = math.prod(
            chance if is_below else 1 - chance
            for chance, is_below in zip(given, below, strict=True)
        )
        if weight > 0:
            numbers = [
                chance / 2 if is_below else (1 + chance) / 2
                for chance, is_below in zip(given, below, strict=True)
            ]
            law[decide(given, numbers)] += weight
    return law


def follower(name: str, p: Tensor, q: Tensor, tokens: Sequence[int], count: int) -> Tensor:
    """The law of the token after `count` that stand."""
    scale = 0.0 if name == "chain" else block.log_scales(p, q, tokens)[count]
    weights = correction(p, q, count, scale)
    return weights / weights.sum()


def output_law(name: str, p: Law, q: Law, size: int, length: int) -> Tensor:
    """The joint law of length + 1 tokens: those of one round, then tokens from `p`."""
    total = torch.zeros([size] * (length + 1), dtype=torch.float64)
    for tokens, weight in blocks(q, size, length):
        log_p, log_q = path(p, tokens, length + 1), path(q, tokens, length)
        for count, chance in enumerate(counts(name, chances(name, log_p, log_q, tokens))):
            if chance > 0:
                law = follower(name, log_p, log_q, tokens, count)
                add_rest(total, p, tokens[:count], law * weight * chance)
    return total


def add_rest(total: Tensor, p: Law, prefix: Prefix, law: Tensor) -> None:
    """Adds what begins with `prefix` and a token with weights `law` and goes on by p."""
    for token, weight in enumerate(law.tolist()):
        if weight > 0:
            longer = (*prefix, token)
            if len(longer) == total.dim():
                total[longer] += weight
            else:
                add_rest(total, p, longer, p(longer).exp() * weight)


def joint(p: Law, size: int, length: int) -> Tensor:
    """The law of length + 1 tokens drawn one after the other."""
    total = torch.zeros([size] * (length + 1), dtype=torch.float64)
    add_rest(total, p, (), p(()).exp())
    return total


def efficiency(name: str, p: Law, q: Law, size: int, length: int) -> float:
    """The expected number of tokens of one round."""
    mean = 1.0
    for tokens, weight in blocks(q, size, length):
        log_p, log_q = path(p, tokens, length + 1), path(q, tokens, length)
        law = counts(name, chances(name, log_p, log_q, tokens))
        mean += weight * sum(count * chance for count, chance in enumerate(law))
    return mean
