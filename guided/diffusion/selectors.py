"""How many proposals a step commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guided.diffusion.blocks import FixedBlocks
from guided.diffusion.law import order_uniforms
from guided.diffusion.protocols import BlockScheduler, Candidate, Rule
from guided.diffusion.state import State
from guided.errors import InputError


def first(count: int) -> Rule:
    """The rule that takes the best `count` candidates."""
    return lambda taken, candidate: len(taken) < count


def transfer_schedule(masked: int, steps: int) -> list[int]:
    """How many of `masked` slots each of `steps` steps commits: as even as can be, more first.

    Steps that would commit nothing are left out; the sum is `masked`.
    """
    each, more = divmod(masked, steps)
    return [each + (step < more) for step in range(min(steps, masked))]


class AtLeastOne:
    """What selectors without a plan have in common."""

    reads_history = False
    may_wait = False

    def check(self, length: int, prompt: int) -> None:
        """Any canvas will do."""


@dataclass(frozen=True)
class FixedSchedule(AtLeastOne):
    """LLaDA's schedule: every block is filled in steps / blocks steps, as evenly as can be.

    Args:
        steps: of the whole canvas (None: one slot a step).
        blocks: the block schedule that it goes with.
    """

    steps: int | None
    blocks: BlockScheduler

    def check(self, length: int, prompt: int) -> None:
        if self.steps is None:
            return
        blocks = self.blocks.count(length, prompt)
        if isinstance(self.blocks, FixedBlocks) and not self.blocks.divides(length):
            raise InputError(
                f"steps={self.steps} cannot be shared out evenly: a canvas of {length} slots is no"
                f" multiple of block_length={self.blocks.length}; leave steps out, or change one"
            )
        if self.steps < 1 or self.steps % blocks:
            raise InputError(
                f"steps={self.steps} is not a multiple of the {blocks} blocks of a canvas of"
                f" {length} slots"
            )

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        block = state.block
        if self.steps is None or block is None:
            return first(1)
        blocks = self.blocks.count(state.row.length, len(state.row.prompt))
        plan = transfer_schedule(block.masked, self.steps // blocks)
        step = state.step - block.started
        # A step may have committed less than its share, where a constraint refused.
        return first(plan[step] if step < len(plan) else len(candidates))


@dataclass(frozen=True)
class Threshold(AtLeastOne):
    """Every candidate whose score is at least `value` (Wu et al. 2025, Fast-dLLM)."""

    value: float

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        return lambda taken, candidate: candidate.score >= self.value


@dataclass(frozen=True)
class Factor(AtLeastOne):
    """The best n, for the greatest n with (n + 1)(1 - c_n) < f; c_1 ≥ c_2 ≥ … are probabilities.

    For f ≤ 1 the joint mode of the committed slots is then the product of their modes (Wu et al.
    2025, Fast-dLLM, theorem 1).
    """

    value: float

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        return lambda taken, candidate: (len(taken) + 2) * (1 - candidate.score) < self.value


@dataclass(frozen=True)
class BoundedEntropy(AtLeastOne):
    """The k slots of least entropy, for the greatest k with sum - max of their entropies ≤ gamma.

    It bounds what committing them together can cost (Ben-Hamu et al. 2025, arXiv:2505.24857). It
    goes with `NegativeEntropy`, whose scores it reads.
    """

    gamma: float

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        def takes(taken: Sequence[Candidate], candidate: Candidate) -> bool:
            entropies = [-each.score for each in (*taken, candidate)]
            return sum(entropies) - max(entropies) <= self.gamma

        return takes


@dataclass(frozen=True)
class DreamSchedule:
    """Dream's times t_i from 1 to eps: step i reveals the share 1 - t_(i+1) / t_i, rounded down.

    The first step of as many steps as slots reveals nothing, the last reveals what is left; as
    released.

    Args:
        steps: of the whole canvas (None: as many as slots).
        independent: each slot is revealed by chance ("origin"), whatever its score.
        eps: the last time.
    """

    steps: int | None = None
    independent: bool = False
    eps: float = 1e-3

    reads_history = False
    may_wait = True

    def check(self, length: int, prompt: int) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps}")

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        steps = self.steps or state.to_fill
        if state.step >= steps - 1:
            return first(len(candidates))
        times = np.linspace(1, self.eps, steps + 1)
        share = 1 - times[state.step + 1] / times[state.step]
        if not self.independent:
            return first(int(len(candidates) * share))
        slots = [each.slot for each in candidates]
        chance = dict(zip(slots, order_uniforms(state, slots), strict=True))
        return lambda taken, candidate: chance[candidate.slot] < share


@dataclass(frozen=True)
class ConfidentOrScheduled(AtLeastOne):
    """Every candidate scored above `value`; if there is none, the next step's share (Dimple).

    The share is that of the first scheduled time below the share of masks that reveals something
    (Yu et al. 2025, arXiv:2505.16990); the last of `steps` steps commits all.
    """

    value: float
    steps: int | None = None
    eps: float = 1e-3

    def check(self, length: int, prompt: int) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps}")

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        steps = self.steps or state.to_fill
        if state.step >= steps - 1:
            return first(len(candidates))
        if candidates[0].score > self.value:
            return lambda taken, candidate: candidate.score > self.value
        return first(self._share(len(state.masked()), state.to_fill, steps))

    def _share(self, masked: int, to_fill: int, steps: int) -> int:
        now = masked / to_fill
        times = np.linspace(1, self.eps, steps + 1)
        counts = (int(masked * (1 - time / now)) for time in times if time < now)
        return next((count for count in counts if count >= 1), 1)
