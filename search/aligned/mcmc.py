"""MCMC: Markov chains over texts of the grammar whose law is the model's own, conditioned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from guided.controls.measured_mask import measuring
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.options import Aligns
from guided.rows import Row
from guided.search.aligned.chains import Chain, Text, Walk
from guided.search.aligned.metropolis import Variant, check_variant
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, Until, grow_branches
from guided.search.problem import Problem
from guided.search.samples import scored
from guided.search.search import Search


@dataclass(frozen=True)
class MCMC(Search):
    """Draws from the model's law conditioned on the grammar, as ends of Markov chains.

    Every draw is the end of a chain of its own: it starts from a masked draw and moves `steps`
    times, by keeping a beginning of its text and drawing the rest under the mask again; moves are
    accepted by the rule of Metropolis and Hastings. The law of a draw comes nearer to the target
    with every step, and the certificate bounds how far it can still be. See "Constrained Sampling
    for Language Models Should Be Easy: An MCMC Perspective" (arXiv 2506.05754). All chains of all
    prompts move together. A reward, where there is one, chooses among the draws.

    Args:
        n: draws for every prompt.
        steps: moves of a chain; 0: masked draws.
        variant: what a move keeps: "restart" nothing, "prefix" any number of tokens, all equally
            likely, "priority" preferably up to where the model is unsure.
        batch: the most texts of a prompt that grow at the same time. As the proposals of "restart"
            do not depend on where a chain is, those of several moves grow together.

    Raises:
        InputError: a number out of its range, an unknown variant.
    """

    n: int = 1
    steps: int = 10
    variant: Variant = "restart"
    batch: int = field(default=64, kw_only=True)

    aligns: ClassVar[Aligns] = "draws"
    needs_reward: ClassVar[bool] = False
    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("steps", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")
        check_variant(self.variant)

    def controls(self, row: Row) -> Sequence[Control]:
        return measuring(row.controls, type(self).__name__)

    def plan(self, problem: Problem) -> Plan[None]:
        walk = Walk(problem, self.variant, self.n)
        try:
            for at in range(0, self.n, self.batch):
                yield from self._run(walk, walk.chains[at : at + self.batch])
        except BudgetReached:
            yield from scored(problem, walk.end())
            raise
        finally:
            walk.end()
        if len(walk.end()) < self.n:
            problem.gave_up = "attempts"
        yield from scored(problem, walk.end())

    def _run(self, walk: Walk, chains: Sequence[Chain]) -> Plan[None]:
        """Moves some chains to their ends."""
        left = self.steps + 1
        while left:
            moves = self._moves(left, len(chains))
            proposals = [(chain, walk.propose(chain)) for _ in range(moves) for chain in chains]
            texts = [text for _, text in proposals]
            keeps_states = self.variant != "restart"
            yield from grow_branches(
                [text.branch for text in texts], _recorded(texts) if keeps_states else None
            )
            for chain, text in proposals:
                walk.judge(chain, text)
            left -= moves
            yield from walk.problem.round(
                [chain.node for chain in chains if chain.node is not None],
                moves=chains[0].moves,
                accepted=sum(chain.accepted for chain in chains),
            )

    def _moves(self, left: int, chains: int) -> int:
        """How many texts of every chain grow together."""
        return min(left, max(1, self.batch // chains)) if self.variant == "restart" else 1


def _recorded(texts: Sequence[Text]) -> Until:
    """Never stops; keeps the controls' states after each token on the way."""
    owner = {id(text.branch): text for text in texts}

    def ended(branch: object) -> bool:
        text = owner[id(branch)]
        text.states.append(text.branch.states)
        return False

    return ended
