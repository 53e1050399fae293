"""Cache policies: which positions a pass computes again (Wu et al. 2025, Fast-dLLM)."""

from __future__ import annotations

from guided.diffusion.protocols import Span
from guided.diffusion.state import State


class NoCache:
    """Everything is computed in every pass."""

    keeps = False

    def plan(self, state: State, begin: int, end: int, length: int) -> Span:
        return Span(0, length)


class PrefixCache:
    """A pass over everything when a block begins; then only what stands after the block's begin.

    The keys and values before the block stay those of its first pass. Exact for block-causal
    models, an approximation for others.
    """

    keeps = True

    def plan(self, state: State, begin: int, end: int, length: int) -> Span:
        if state.memory is None:
            return Span(0, length, keeps=begin)
        return Span(begin, length, keeps=begin, uses_memory=True)


class DualCache:
    """A pass over everything when a block begins; then only the block.

    Keys and values before and behind the block stay those of its first pass, in which what stands
    behind was masked. Exact for block-causal models, an approximation for others.
    """

    keeps = True

    def plan(self, state: State, begin: int, end: int, length: int) -> Span:
        if state.memory is None:
            return Span(0, length, keeps=length)
        return Span(begin, end, keeps=length, uses_memory=True)
