"""Rounds of draws from a proposal, until enough of them are in the language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from guided.certificates import Proof
from guided.decoding import Branch
from guided.errors import InputError, LogitsError
from guided.search.aligned.prefix_trie import PrefixTrie, log_sum
from guided.search.aligned.proposal import Opening, ProposalState, proposal_of
from guided.search.aligned.reading_ahead import read_ahead
from guided.search.aligned.trie_key import TrieKey
from guided.search.aligned.tries import MEMORY, Tries
from guided.search.aligned.walks import Walk, Walks
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, grow_branches
from guided.search.laws import Laws
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.samples import scored

#: A branch that has ended in one of these ways is an attempt that was judged.
_CUT = frozenset({"interrupt", "memory", "closed", "cut"})
#: Draws of a round at least and at most, where its size is not given.
ROUND = (8, 64)
#: How far the law of the first token may be off that which a trie was begun with (log mass).
_DRIFT = 0.02


@dataclass(eq=False)
class Drawing:
    """All draws for one prompt.

    Args:
        n: texts wanted.
        batch: draws of a round; they go by what the rounds before have shown. None: twice as many
            as all rounds before had, within `ROUND`.
        max_attempts: draws at most.
        learns: whether the trie learns from the draws; otherwise it only knows the first token.
        tries: where the trie is kept between calls.

    Attributes:
        texts: what was drawn inside of the language, in the order of drawing, n at most.
        own_weights: log P / q of each, with q the law that it was drawn from.
        distances: what was proven of the law of each when it was drawn.
        proofs: what was proven after each draw.
        log_weights: log P / q of all draws of whole rounds, -inf of those outside the language.
        attempts: draws that were judged; `accepted`: of them.
        laws: what the model has said, so that no prefix is read twice.
    """

    problem: Problem
    n: int
    batch: int | None
    max_attempts: int
    learns: bool = True
    tries: Tries | None = None
    texts: list[Node] = field(default_factory=list)
    own_weights: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    log_weights: list[float] = field(default_factory=list)
    attempts: int = 0
    accepted: int = 0
    laws: Laws = field(default_factory=Laws)

    def __post_init__(self) -> None:
        branch = self.problem.root.branch
        self.index, self.proposal = proposal_of(branch)
        self.key: TrieKey | None = None
        self.trie = self._lease() if self.learns else PrefixTrie()
        self._expand_root()
        if self.learns:
            self.proposal.attach(self.trie, branch.states)

    @property
    def keeps_bounds(self) -> bool:
        """Whether bounds may be kept of what the trie has to forget: not if draws are rejected."""
        return self.proposal.opening is Opening.NOWHERE

    def run(self) -> Plan[None]:
        """Draws until there are n texts, a limit is reached, or nothing is left to be drawn.

        Then the reward scores the texts, if there is one.
        """
        try:
            if not self._gives_up():
                state = self.problem.root.branch.states[self.index]
                yield from read_ahead(self.problem, state, self.laws, self.n)
            while len(self.texts) < self.n and not self._gives_up():
                yield from self._round()
        except BudgetReached:
            yield from scored(self.problem, self.texts)
            raise
        finally:
            self._release()
        yield from scored(self.problem, self.texts)

    def _gives_up(self) -> bool:
        problem = self.problem
        if self.trie.log_bound == -math.inf:
            problem.gave_up = "no_mass"
        elif self.attempts >= self.max_attempts:
            problem.gave_up = "attempts"
        return problem.gave_up is not None

    def _round(self) -> Plan[None]:
        count = min(self._width(), self.max_attempts - self.attempts)
        if self.proposal.opening is Opening.NOWHERE:
            # Nearly all draws end in the language: no more of them than are wanted.
            count = min(count, self.n - len(self.texts))
        problem, before = self.problem, len(self.texts)
        root = problem.root.branch
        branches = problem.fork_branches(root, count, keep_stream=not self.attempts)
        walks = Walks(self.proposal, self.trie, branches)
        try:
            seen = walks.seen if self.learns else None
            yield from grow_branches(branches, seen, laws=self.laws)
        except BudgetReached:
            self._take(walks, is_whole=False)
            raise
        self._take(walks, is_whole=True)
        yield from problem.round(
            self.texts[before:],
            attempts=self.attempts,
            accepted=self.accepted,
            log_bound=self.trie.log_bound,
            distance=self.trie.distance,
        )

    def _width(self) -> int:
        """Draws of the next round. Each goes by at least a third of the draws before it."""
        if self.batch is not None:
            return self.batch
        least, most = ROUND
        return min(most, max(least, 2 * self.attempts))

    def _take(self, walks: Walks, is_whole: bool) -> None:
        """Judges the draws of a round in their order, and lets the trie learn them.

        Args:
            is_whole: whether all draws have come to their end. If not, those that have are the
                short ones, and no estimate may be made from them.
        """
        log_bound, distance = self.trie.log_bound, self.trie.distance
        if self.learns:
            walks.close()
        judged = [walk for walk in walks.walks if _is_judged(walk.branch)]
        for walk in judged:
            self.attempts += 1
            self.accepted += walk.is_whole
            if self.learns and walk.is_over:
                walks.learn(walk)
            if walk.is_whole and len(self.texts) < self.n:
                self._keep(walk, distance)
            self.proofs.append(Proof(self.trie.log_bound, self.trie.distance))
        if is_whole:
            self._estimate(judged, log_bound)
        self.problem.close([w.branch for w in walks.walks if not _is_judged(w.branch)])
        if self.learns:
            self._make_room()

    def _keep(self, walk: Walk, distance: float) -> None:
        problem = self.problem
        node = problem.adopt(walk.branch, problem.root)
        problem.offer(node, -math.inf)
        if problem.scorer is None and not self.texts:
            problem.choose(node)
        self.texts.append(node)
        if self.learns:
            self.own_weights.append(walk.log_weight)
        # The way there has been learnt; of many texts it would take much memory.
        walk.branch.states[self.index].above = None
        self.distances.append(distance)

    def _estimate(self, judged: Sequence[Walk], log_bound: float) -> None:
        """Estimates of Z, one from every draw of a whole round."""
        if self.keeps_bounds:
            self.log_weights += [w.log_weight if w.is_whole else -math.inf for w in judged]
        else:
            self.trie.bank([math.exp(log_bound) if walk.is_whole else 0.0 for walk in judged])

    # --- the trie

    def _lease(self) -> PrefixTrie:
        """The trie to draw by: from `tries`, if they were given."""
        if self.tries is None:
            return PrefixTrie()
        proposal, row = self.proposal, self.problem.row
        rule = "legal"
        if proposal.opening is Opening.EVERYWHERE:
            rule = "rejected, first token masked" if proposal.masks_root else "rejected"
        branch = self.problem.root.branch
        self.key = TrieKey.of(
            row.model, branch.prompt, branch.pipeline.controls, branch.limit, rule
        )
        trie = self.tries.lease(self.key, self)
        if not self.keeps_bounds:
            trie.release_caps()
        return trie

    def _release(self) -> None:
        if self.tries is not None and self.key is not None:
            self.tries.release(self.key, self)

    def _make_room(self) -> None:
        if self.tries is not None:
            self.tries.make_room(self.trie, self.keeps_bounds)
        else:
            self.trie.shrink(MEMORY, self.keeps_bounds)

    def _expand_root(self) -> None:
        """Tells the trie what of the first token's law may be drawn, which a pass has shown.

        Raises:
            LogitsError: the model's logits are not numbers.
            InputError: the trie was begun with another law.
        """
        _, states = self.problem.root.branch.look()
        state: ProposalState = states[self.index]
        if state.measure is None or math.isnan(state.measure.log_mass):
            raise LogitsError("the model's logits at position 0 are not numbers (NaN or inf)")
        _, log_mass = self.proposal.counted(state, state.measure)
        root = self.trie.root
        if not root.is_expanded:
            self.trie.expand(root, log_mass, {})
            self.trie.refresh(root)
            return
        known = log_sum([root.log_rest, *(child.log_p for child in root.children.values())])
        if not abs(known - log_mass) <= _DRIFT and known != log_mass:
            raise InputError(
                "the prefix trie of this prompt was learnt from another law: "
                f"{math.exp(known):.6g} of it was legal at the first token, and now "
                f"{math.exp(log_mass):.6g} is; give new tries: Tries()"
            )


def _is_judged(branch: Branch) -> bool:
    return branch.finish_reason is not None and branch.finish_reason not in _CUT
