"""Particles and their weights: what a run of sequential Monte Carlo holds in its hands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.resampling import Floats, log_mean, normalised

#: Facts are finite, so that JSON can hold them; the exponential of this is zero.
LEAST = -1e4


@dataclass(frozen=True, slots=True, eq=False)
class Particle:
    """A prefix at the end of a block, and all that is known about it.

    Values are persistent: resampling copies references, and a rejected move leaves no trace.

    Attributes:
        before: what it was one block ago; None before the first block.
        blocks: how many it has grown by.
        log_p: of the raw model; `log_q`: of the laws drawn from.
        log_potential: the sum of the logarithms of its potentials.
        log_target: the intermediate target γ that its weight is relative to.
        is_reference: the retained trajectory of a particle Gibbs sweep.
    """

    node: Node
    before: Particle | None = None
    blocks: int = 0
    log_p: float = 0.0
    log_q: float = 0.0
    log_potential: float = 0.0
    log_target: float = 0.0
    is_reference: bool = False

    @property
    def log_ratio(self) -> float:
        """log γ - log q: differences of it are increments of weights and acceptances of moves."""
        return self.log_target - self.log_q

    @property
    def is_over(self) -> bool:
        """Whether it cannot grow."""
        return self.node.is_over

    def at(self, blocks: int) -> Particle:
        """What it was after so many blocks; itself where it has no more than that."""
        particle = self
        while particle.blocks > blocks and particle.before is not None:
            particle = particle.before
        return particle

    def going_on(self, node: Node) -> Particle:
        """What is to grow next, in `node`, a fresh child of the particle's own."""
        return replace(self, node=node, before=self, is_reference=False)

    def grown(self) -> Particle:
        """The same after its node's branch has grown by a block."""
        branch, start = self.node.branch, self.node.start
        return replace(
            self,
            blocks=self.blocks + 1,
            log_p=self.log_p + sum(branch.log_p[start:]),
            log_q=self.log_q + sum(branch.log_q[start:]),
        )


@dataclass(eq=False)
class Population:
    """The particles of a run, with their log-weights since the last resampling.

    Attributes:
        banked: the logarithm of the product of the mean weights that resampling has reset.
        waiting: nodes whose rewards have not been asked for yet.
    """

    particles: list[Particle]
    log_weights: Floats
    banked: float = 0.0
    waiting: list[Node] = field(default_factory=list)
    _offered: list[Node] = field(default_factory=list)

    @property
    def nodes(self) -> list[Node]:
        """The particles' nodes."""
        return [particle.node for particle in self.particles]

    @property
    def weights(self) -> Floats:
        """The normalised weights `[n]`."""
        return normalised(self.log_weights)

    @property
    def log_z(self) -> float:
        """The logarithm of the estimate of the normalising constant so far."""
        return self.banked + log_mean(self.log_weights)

    def reweigh(self, after: Sequence[Particle]) -> None:
        """Takes the particles as they are now; weights change by what has changed about them."""
        self.log_weights = self.log_weights + [
            _change(new, old) for new, old in zip(after, self.particles, strict=True)
        ]
        self.particles = list(after)

    def offer(self, problem: Problem, by_reward: bool) -> None:
        """Says that these particles, and none of this run's earlier ones, may be the result."""
        for node in self._offered:
            problem.offers.pop(node, None)
        # A node may stand in several slots: a retained trajectory does.
        totals: dict[Node, float] = {}
        for node, weight in zip(self.nodes, self.weights.tolist(), strict=True):
            totals[node] = totals.get(node, 0.0) + weight
        totals.pop(problem.root, None)
        self._offered = list(totals)
        for node, weight in totals.items():
            fact = math.log(weight) if weight > 0 else LEAST
            node.facts["log_weight"] = fact
            problem.offer(node, _reward(node) if by_reward else fact)


def _change(new: Particle, old: Particle) -> float:
    """By what a log-weight changes; weight that was lost does not come back."""
    return 0.0 if old.log_ratio == -math.inf else new.log_ratio - old.log_ratio


def _reward(node: Node) -> float:
    """The reward of a node, or of the parent that it goes on from; -inf: not known."""
    known = node.score or (node.parent and node.parent.score)
    return known.value if known else -math.inf
