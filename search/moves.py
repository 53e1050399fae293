"""Resample-move: Metropolis-Hastings steps that make copies of particles differ again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from guided.decoding.rng import Purpose
from guided.search.effects import Plan
from guided.search.particles import ParticleSystem, Stage, Target
from guided.search.population import Particle
from guided.search.problem import Problem


def log_acceptance(new: float, old: float) -> float:
    """The logarithm of the chance to accept a text whose end was drawn anew.

    Args:
        new: log γ - log q of the proposal; `old`: of the current text. What both have in common
            before the cut cancels.
    """
    return min(0.0, new - old)


def cut_block(point: float, blocks: int) -> int:
    """How many blocks of a particle a move keeps, by a number in [0, 1).

    Cuts are uniform on the grid of all blocks so far, the same for every text. Were they uniform
    on the current text's own length, the kernel would need a correction to leave γ invariant.
    """
    return min(int(point * blocks), blocks - 1)


@dataclass(frozen=True)
class ResampleMove:
    """Redraws the ends of particles after resampling (Gilks and Berzuini 2001).

    Args:
        steps: for each particle.
        acceptance: the target that accepts. None: the one that weighs, so that every step leaves
            it invariant, and all particles move, since which one moves must not depend on where
            it is. Another target is the published recipe: only copies move, those of which the
            reward is not above the median, and the run is exact for neither target.
    """

    steps: int
    acceptance: Target | None = None

    def run(
        self, system: ParticleSystem, problem: Problem, slots: Sequence[Particle], stage: Stage
    ) -> Plan[list[Particle]]:
        """The particles after all steps, each in its slot."""
        after = list(slots)
        moving = list(range(len(after))) if self.acceptance is None else poor_copies(after)
        ratios = yield from self._ratios(problem, [after[i] for i in moving], stage)
        for step in range(self.steps):
            starts = []
            for i in moving:
                point = problem.uniform(Purpose.MOVE, stage.number, step, i)
                starts.append(after[i].at(cut_block(point, stage.number)))
            # A cut beyond the end of a text leaves nothing to redraw.
            open_ended = [n for n, start in enumerate(starts) if not start.is_over]
            proposals = yield from self._redrawn(
                system, problem, [starts[n] for n in open_ended], stage
            )
            new = yield from self._ratios(problem, proposals, stage)
            for n, proposal, ratio in zip(open_ended, proposals, new, strict=True):
                point = problem.uniform(Purpose.ACCEPT, stage.number, step, moving[n])
                if point < math.exp(log_acceptance(ratio, ratios[n])):
                    after[moving[n]], ratios[n] = proposal, ratio
        return after

    def _ratios(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[float]]:
        """log γ - log q under the target that accepts."""
        if self.acceptance is None:
            return [particle.log_ratio for particle in particles]
        logs = yield from self.acceptance.assess(problem, particles, stage)
        return [log - particle.log_q for log, particle in zip(logs, particles, strict=True)]

    def _redrawn(
        self, system: ParticleSystem, problem: Problem, starts: Sequence[Particle], stage: Stage
    ) -> Plan[list[Particle]]:
        """What grows from each start until it has as many blocks as the stage."""
        after: list[Particle] = []
        for start in starts:
            (node,) = problem.fork(start.node, 1)
            after.append(start.going_on(node))
        while True:
            live = [i for i, p in enumerate(after) if not p.is_over and p.blocks < stage.number]
            if not live:
                break
            for i in live:
                if after[i].node.segment:
                    (node,) = problem.hand_over(after[i].node)
                    after[i] = after[i].going_on(node)
            grown = yield from system.grow(problem, [after[i] for i in live])
            for i, particle in zip(live, grown, strict=True):
                after[i] = particle
        return (yield from system.assess(problem, after, stage))


def poor_copies(slots: Sequence[Particle]) -> list[int]:
    """Slots that repeat an earlier one and whose reward is not above the median."""
    rewards = [slot.node.score.value if slot.node.score else 0.0 for slot in slots]
    middle, seen, chosen = median(rewards), set[int](), []
    for index, (slot, reward) in enumerate(zip(slots, rewards, strict=True)):
        if id(slot) in seen and reward <= middle:
            chosen.append(index)
        seen.add(id(slot))
    return chosen
