"""What the draws of one round show, kept until the round is over and the trie may learn it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from guided.controls.measured_mask import REJECTED, Measure
from guided.decoding import Branch
from guided.errors import DecodingError
from guided.kernels.mask_measure import log_mass_of
from guided.search.aligned.prefix_trie import Node, PrefixTrie
from guided.search.aligned.proposal import Proposal, ProposalState, proposal_of
from guided.search.node import ENDS


@dataclass(slots=True, eq=False)
class Place:
    """A prefix that draws of this round have come to.

    Attributes:
        node: it in the trie; None: new.
        log_p: of its last token.
        log_rest: what rest(u) will be; NaN: as it is.
        children: the places that draws went on to, by token.
        new: log-probabilities of those tokens that the trie does not know.
        dead: those that nothing valid begins with.
    """

    node: Node | None
    log_p: float
    log_rest: float = math.nan
    children: dict[int, Place] = field(default_factory=dict)
    new: dict[int, float] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)

    @property
    def known(self) -> dict[int, Node]:
        """The children that the trie has."""
        return {} if self.node is None else self.node.children


@dataclass(slots=True, eq=False)
class Walk:
    """One draw.

    Attributes:
        places: from the root on, one for every token that others could follow.
        log_end: log-probability of the stop token, once it has been drawn.
    """

    branch: Branch
    places: list[Place]
    log_end: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether it has ended by a legal stop token."""
        return self.branch.finish_reason in ENDS

    @property
    def is_over(self) -> bool:
        """Whether it has ended by itself, inside of the language or outside."""
        return self.is_whole or self.branch.finish_reason == REJECTED

    @property
    def log_weight(self) -> float:
        """log P(w) / q(w) of a whole text w, with q the law that it was drawn from."""
        log_p = math.fsum(place.log_p for place in self.places) + self.log_end
        return log_p - math.fsum(self.branch.log_q)


class Walks:
    """The draws of one round over a trie that stays as it is until they are learnt.

    `seen` is to be asked after every token of every branch, as an `Until`: what rest(u) is after a
    new child can only be summed while the law is at hand.

    Args:
        proposal: that of all these branches, of which there is at least one.
    """

    def __init__(self, proposal: Proposal, trie: PrefixTrie, branches: Sequence[Branch]) -> None:
        self.proposal = proposal
        self.trie = trie
        root = Place(trie.root, 0.0)
        self.walks = [Walk(branch, [root]) for branch in branches]
        self._of = {id(walk.branch): walk for walk in self.walks}
        self._index, _ = proposal_of(branches[0])

    def seen(self, branch: Branch) -> bool:
        """Records the last token of a branch; always False, as nothing is to stop for it."""
        walk = self._of[id(branch)]
        if len(walk.places) <= len(branch.tokens):
            place, token = walk.places[-1], branch.tokens[-1]
            after = branch.states[self._index]
            child = place.children.get(token) or self._child(place, after.above, token)
            walk.places.append(child)
            # Others that are at the place may still need its law; this one does not.
            after.above = after.above.without_law()
        return False

    def close(self) -> list[Walk]:
        """Records how the branches have ended; the draws that are over, in their order."""
        over = [walk for walk in self.walks if walk.is_over]
        for walk in over:
            self._close(walk)
        # Only now, as several may have ended at one place.
        for walk in over:
            self._last(walk).law = None
        return over

    def learn(self, walk: Walk) -> None:
        """Puts a draw that is over, and was closed, into the trie."""
        at, tokens, is_new = self.trie.root, walk.branch.tokens, False
        for depth, place in enumerate(walk.places):
            if depth > 0:
                at = at.children[tokens[depth - 1]]
            if not math.isnan(place.log_rest):
                self.trie.expand(at, place.log_rest, place.new, place.dead)
                place.log_rest = math.nan
                is_new = True
        if walk.is_whole and tokens[-1] not in at.ends:
            self.trie.end(at, tokens[-1], walk.log_end)
            is_new = True
        # Bounds stay as they are where a text was drawn again.
        if is_new:
            self.trie.refresh(at)

    # --- the law at a place

    def _child(
        self, place: Place, state: ProposalState, token: int, is_dead: bool = False
    ) -> Place:
        """The place after `token`; what is left of the law beside it is summed if it is new."""
        node = place.known.get(token)
        child = Place(node, node.log_p if node is not None else _log_p(state, token))
        place.children[token] = child
        if node is None:
            place.new[token] = child.log_p
            if is_dead:
                place.dead.add(token)
            self._sum_rest(place, state)
        return child

    def _sum_rest(self, place: Place, state: ProposalState) -> None:
        """Sums the law over what is no child."""
        measure, law = _law(state)
        tokens, log_mass = self.proposal.counted(state, measure)
        children = [*place.known, *place.new]
        if children:
            place.log_rest = log_mass_of(law, tokens, measure.log_total, children)
        else:
            place.log_rest = log_mass

    def _last(self, walk: Walk) -> ProposalState:
        """The state that a draw's last token was drawn with."""
        state: ProposalState = walk.branch.states[self._index]
        return state.above if state.is_outside and state.above is not None else state

    def _close(self, walk: Walk) -> None:
        state, place, token = self._last(walk), walk.places[-1], walk.branch.tokens[-1]
        is_known = (place.node is not None and place.node.is_expanded) or place.new
        if walk.is_whole:
            walk.log_end = _log_p(state, token)
        elif self.proposal.counts_illegal(state):
            if token not in place.children:
                self._child(place, state, token, is_dead=True)
            is_known = True
        if not is_known:
            self._sum_rest(place, state)


def _law(state: ProposalState) -> tuple[Measure, Tensor]:
    """What was measured at a node, and the logits there."""
    if state.measure is None or state.law is None:
        raise DecodingError("the law of a token that was drawn has not been kept")
    return state.measure, state.law


def _log_p(state: ProposalState, token: int) -> float:
    """log P of a token on which the trie has no bound."""
    measure, law = _law(state)
    return float(law[token]) - measure.log_total
