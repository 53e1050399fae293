"""Power sampling by Metropolis-Hastings: the slow baseline of Power-SMC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from guided.controls.pipeline import States
from guided.decoding import Branch
from guided.decoding.rng import Purpose
from guided.errors import InputError
from guided.search.effects import Plan, Until, grow_branches
from guided.search.node import Node
from guided.search.particles import check_particles
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.tempering import check_alpha


@dataclass(slots=True, eq=False)
class Chain:
    """The text that a Markov chain is at.

    Attributes:
        states: of the controls before each of its tokens.
    """

    node: Node
    states: list[States]

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.node.branch.tokens)


@dataclass(frozen=True, slots=True)
class Ends:
    """What counts of a text after a cut, and how long the whole is."""

    log_p: float
    log_q: float
    length: int

    @classmethod
    def of(cls, branch: Branch, cut: int) -> Ends:
        """Those of a branch."""
        return cls(sum(branch.log_p[cut:]), sum(branch.log_q[cut:]), len(branch.tokens))


def log_acceptance(new: Ends, old: Ends, alpha: float, exact: bool) -> float:
    """The logarithm of the chance to accept a new end.

    Args:
        exact: cuts are uniform on the current text's own tokens, so that the way back is n(old) /
            n(new) times as likely to begin at the same cut; without this factor the kernel does
            not leave p ** alpha invariant where lengths differ.
    """
    log_ratio = alpha * (new.log_p - old.log_p) - (new.log_q - old.log_q)
    if exact:
        log_ratio += math.log(old.length) - math.log(new.length)
    return min(0.0, log_ratio)


@dataclass(frozen=True)
class MHPower(Search):
    """Draws from p(y) ** alpha / Z by a Markov chain over texts (arXiv 2510.14901).

    The text grows by a block at temperature 1 / alpha, then its end is redrawn from random places
    on, `steps` times; and so on. A baseline: Power-SMC has the same target and a fraction of the
    time. Needs no reward; grammars and truncations restrict the target as they do there.

    Args:
        alpha: the power.
        block: tokens by which the text grows.
        steps: Metropolis-Hastings steps after each block.
        exact: acceptances correct for lengths, and the chain goes on until a text of
            `max_new_tokens` could be whole. False: as published, neither.

    Raises:
        InputError: a number out of its range.
    """

    alpha: float = 4.0
    block: int = 192
    steps: int = 10
    exact: bool = True

    needs_reward: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_particles(1, self.block)
        check_alpha(self.alpha)
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps}")

    @property
    def default_temperature(self) -> float:  # type: ignore[override]
        """That of the proposals."""
        return 1 / self.alpha

    def plan(self, problem: Problem) -> Plan[None]:
        (node,) = problem.fork(problem.root, 1, keep_stream=True)
        chain, end, block = Chain(node, []), 0, 0
        limit = node.branch.limit
        while limit is None or end < limit:
            end, block = end + self.block, block + 1
            problem.offers.clear()
            problem.offer(chain.node, 0.0)
            yield from self._lengthen(problem, chain, end)
            accepted = 0
            for step in range(self.steps if chain.length else 0):
                accepted += yield from self._step(problem, chain, end, (block, step))
            info = {"accepted": accepted, "steps": self.steps, "length": chain.length}
            yield from problem.round([chain.node], **info)
            if chain.node.is_over and (not self.exact or limit is None):
                break
        problem.choose(chain.node)

    def _lengthen(self, problem: Problem, chain: Chain, end: int) -> Plan[None]:
        """Grows the chain's text to `end` tokens."""
        if chain.node.is_over:
            return
        (chain.node,) = problem.hand_over(chain.node)
        problem.offers.clear()
        problem.offer(chain.node, 0.0)
        branch = chain.node.branch
        chain.states = [*chain.states[: chain.length], branch.states]
        yield from grow_branches([branch], _recorded(chain.states, end))

    def _step(self, problem: Problem, chain: Chain, end: int, number: tuple[int, int]) -> Plan[int]:
        """One step; 1 if it was accepted."""
        old = chain.node.branch
        point = problem.uniform(Purpose.CHOICE, *number)
        cut = min(int(point * chain.length), chain.length - 1)
        states = chain.states[: cut + 1]
        branch = problem.cut(old, cut, states[cut])
        yield from grow_branches([branch], _recorded(states, end))
        ratio = log_acceptance(Ends.of(branch, cut), Ends.of(old, cut), self.alpha, self.exact)
        if problem.uniform(Purpose.ACCEPT, *number) >= math.exp(ratio):
            problem.close([branch])
            return 0
        problem.offers.clear()
        chain.node, chain.states = problem.adopt(branch, problem.root), states
        chain.node.facts["cut"] = cut
        problem.offer(chain.node, 0.0)
        return 1


def _recorded(states: list[States], end: int) -> Until:
    """Stops at `end` tokens, and keeps the controls' states after each token on the way."""

    def ended(branch: Branch) -> bool:
        states.append(branch.states)
        return len(branch.tokens) >= end

    return ended
