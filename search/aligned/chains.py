"""Markov chains over the texts of one prompt: where they are, where they may go."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from guided.certificates import MCMCCertificate
from guided.controls.pipeline import States
from guided.decoding import Branch
from guided.decoding.rng import Purpose
from guided.search.aligned.courses import course_of
from guided.search.aligned.metropolis import (
    Course,
    Variant,
    choose_cut,
    distance_bound,
    log_acceptance,
    log_least_cut,
)
from guided.search.finishing import show_partial
from guided.search.node import ENDS, Node
from guided.search.problem import Problem
from guided.search.resampling import log_mean, log_sum


@dataclass(slots=True, eq=False)
class Text:
    """A text that a chain is at, or may go on to.

    Attributes:
        states: of all controls before each of its tokens, where its end may be drawn anew.
        course: its laws once it is whole; None: it has left the language.
    """

    branch: Branch
    states: list[States]
    course: Course | None = None


@dataclass(slots=True, eq=False)
class Chain:
    """A Markov chain.

    Attributes:
        number: of the chain among those of its prompt.
        text: where it is; None until its first text is whole.
        node: the text in the tree.
        moves: proposals that were judged; `accepted`: those that it has gone on to.
        end: its draw, once it has ended.
    """

    number: int
    text: Text | None = None
    node: Node | None = None
    moves: int = 0
    accepted: int = 0
    end: Node | None = None


@dataclass(eq=False)
class Walk:
    """All chains of a prompt, and what they have seen.

    Attributes:
        masses: P of every legal text so far.
        log_ratios: log of the product of the masses m along every independent masked draw, whose
            mean is an unbiased estimate of Z.
        first_entropy: of P at the very beginning; None: not seen.
    """

    problem: Problem
    variant: Variant
    count: int
    chains: list[Chain] = field(init=False)
    masses: dict[tuple[int, ...], float] = field(default_factory=dict)
    log_ratios: list[float] = field(default_factory=list)
    first_entropy: float | None = None

    def __post_init__(self) -> None:
        self.chains = [Chain(number) for number in range(self.count)]

    def propose(self, chain: Chain) -> Text:
        """What a chain's next text grows from."""
        problem, text, cut = self.problem, chain.text, 0
        if text is not None and text.course is not None and self.variant != "restart":
            point = problem.uniform(Purpose.CHOICE, chain.number, chain.moves)
            cut = choose_cut(self.variant, text.course, point)
        if text is None or cut == 0:
            (branch,) = problem.fork_branches(problem.root.branch, 1)
            return Text(branch, [branch.states])
        states = text.states[: cut + 1]
        return Text(problem.cut(text.branch, cut, states[cut]), states)

    def judge(self, chain: Chain, new: Text) -> None:
        """Lets a chain go on to a text that has grown, or stay."""
        if new.branch.finish_reason in ENDS:
            new.course = course_of(new.branch)
            self.masses[new.course.tokens] = float(new.course.log_p.sum())
            self.first_entropy = float(new.course.entropies[0])
        if chain.text is None:
            self._count_fresh(new)
            self._go_on(chain, new)
            return
        if self.variant == "restart":
            self._count_fresh(new)
        if self._accepts(chain, new):
            chain.accepted += 1
            self._go_on(chain, new)
        chain.moves += 1

    def _accepts(self, chain: Chain, new: Text) -> bool:
        if new.course is None:
            return False
        old = None if chain.text is None else chain.text.course
        if old is None:
            # From outside of the language every way into it is accepted.
            return True
        point = self.problem.uniform(Purpose.ACCEPT, chain.number, chain.moves)
        return point < math.exp(log_acceptance(self.variant, old, new.course))

    def _go_on(self, chain: Chain, text: Text) -> None:
        chain.text = text
        chain.node = self.problem.adopt(text.branch, self.problem.root)

    def _count_fresh(self, text: Text) -> None:
        course = text.course
        self.log_ratios.append(-math.inf if course is None else float(course.log_m.sum()))

    def end(self) -> list[Node]:
        """The draws in the order of their chains, offered.

        Where no chain has a whole text, the empty beginning is shown.
        """
        for chain in self.chains:
            if chain.end is None and chain.node is not None and chain.node.is_complete:
                # A node of its own: those of the texts count in the order of acceptance.
                (chain.end,) = self.problem.fork(chain.node, 1)
                chain.end.facts.update(moves=chain.moves, accepted=chain.accepted)
                self.problem.offer(chain.end, 0.0)
        show_partial(self.problem, self.problem.root)
        log_z = log_mean(self.log_ratios) if self.log_ratios else -math.inf
        self.problem.log_z = log_z if log_z > -math.inf else None
        self.problem.certificate = self.certificate()
        return [chain.end for chain in self.chains if chain.end is not None]

    def certificate(self) -> MCMCCertificate:
        """What is certain by now."""
        ended = [chain for chain in self.chains if chain.end is not None]
        steps = min((chain.moves for chain in ended), default=0)
        log_drawn = log_sum(list(self.masses.values()))
        return MCMCCertificate(
            self.variant,
            len(ended),
            steps,
            sum(chain.moves for chain in self.chains),
            sum(chain.accepted for chain in self.chains),
            log_drawn,
            distance_bound(self._log_least(), log_drawn, steps),
            self.problem.log_z,
        )

    def _log_least(self) -> float:
        """A lower bound on the logarithm of the chance that a move keeps nothing."""
        limit = self.problem.root.branch.limit
        if self.variant != "restart" and (limit is None or self.first_entropy is None):
            return -math.inf
        width = self.problem.decoder.vocabulary.size
        return log_least_cut(self.variant, limit or 1, width, self.first_entropy or 0.0)
