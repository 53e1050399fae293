"""The laws that texts are proposed from: masked or not, weighed by what a trie knows."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.controls.grammar_mask import GrammarMask, Mask
from guided.controls.measured_mask import (
    Measure,
    MeasuredMask,
    MeasuredState,
    masked,
    measured,
)
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context
from guided.decoding import Branch
from guided.errors import ControlError
from guided.search.aligned.prefix_trie import Node, PrefixTrie

if TYPE_CHECKING:
    from guided.grammars.states import GrammarState


class Opening(Enum):
    """Where the law is left unmasked, so that an illegal token may be drawn."""

    NOWHERE = "nowhere"  #: GCD and ASAp
    NEW = "new"  #: CARS: at prefixes that were not expanded
    EVERYWHERE = "everywhere"  #: ARS and plain rejection


class ProposalState(MeasuredState):
    """A measured state, and its place in the trie.

    Attributes:
        node: the prefix in the trie, as it was when the round began; None: unknown to it.
        records: whether the draw is to be recorded.
        law: the proposal's logits `[V]` here, until that has been done.
    """

    node: Node | None = None
    records: bool = False
    law: Tensor | None = None

    def next(
        self, token: int, grammar: GrammarState, left: int | None, thinking: int | None
    ) -> Self:
        after = super().next(token, grammar, left, thinking)
        after.node = self.node.children.get(token) if self.node is not None else None
        after.records = self.records
        return after

    def without_law(self) -> Self:
        """The same state, when its law is no longer needed."""
        if self.law is None:
            return self
        bare = copy.copy(self)
        bare.law = None
        return bare


class Proposal(MeasuredMask):
    """The law P(a|u) ub(ua), normalised, with the bounds ub of a trie.

    The trie must not change while texts are drawn, so that the law is a function of the prefix.

    Args: those of `GrammarMask`, and
        opening: where the law is not masked.
        masks_root: whether the first token's law is masked nevertheless.

    Attributes:
        trie: that of the sequence; None: nothing is known, and nothing is recorded.
    """

    def __init__(
        self,
        grammar: Any,
        *,
        within_budget: bool = True,
        thinking_budget: int | None = None,
        redrawn: int = 0,
        opening: Opening = Opening.NOWHERE,
        masks_root: bool = True,
    ) -> None:
        super().__init__(
            grammar,
            within_budget=within_budget,
            thinking_budget=thinking_budget,
            redrawn=redrawn,
        )
        self.opening = opening
        self.masks_root = masks_root
        self.trie: PrefixTrie | None = None

    @classmethod
    def in_place_of(cls, mask: GrammarMask, opening: Opening, masks_root: bool = True) -> Self:
        """This control with the settings of a grammar mask."""
        return cls(
            mask.grammar,
            within_budget=mask.within_budget,
            thinking_budget=mask.thinking_budget,
            redrawn=mask.redrawn,
            opening=opening,
            masks_root=masks_root,
        )

    @property
    def group(self) -> Hashable:
        return Proposal, self.opening, self.masks_root

    def begin(self, context: Context) -> ProposalState:
        plain = super().begin(context)
        state = ProposalState(plain.grammar, plain.stop_mask, plain.left, plain.thinking)
        if self.trie is not None:
            state.node, state.records = self.trie.root, True
        return state

    def attach(self, trie: PrefixTrie, states: Sequence[Any]) -> None:
        """Makes `trie` what a sequence at its start, with these states, goes by."""
        self.trie = trie
        for state in states:
            if isinstance(state, ProposalState):
                state.node, state.records = trie.root, True

    def apply(
        self,
        logits: Tensor,
        states: Sequence[ProposalState],  # type: ignore[override]
        aux: Auxiliary = NO_AUXILIARY,
    ) -> tuple[Tensor, Sequence[ProposalState]]:
        seen = measured(logits, states)
        for state in seen:
            state.is_open = state.is_open or self.opens(state)
        law = weighed(masked(logits, seen), seen)
        for state, row in zip(seen, law, strict=True):
            if state.records:
                state.law = row
        return law, seen

    def opens(self, state: ProposalState) -> bool:
        """Whether the law is left unmasked at a node where something legal is possible."""
        if self.opening is Opening.NOWHERE or (self.masks_root and state.above is None):
            return False
        if self.opening is Opening.NEW:
            return state.node is None or not state.node.is_expanded
        return True

    def counts_illegal(self, state: MeasuredState) -> bool:
        """Whether illegal tokens may be drawn at a node again and again: they count in rest(u)."""
        return self.opening is Opening.EVERYWHERE and not (self.masks_root and state.above is None)

    def counted(self, state: MeasuredState, measure: Measure) -> tuple[Mask, float]:
        """The tokens that rest(u) is about, packed, and the logarithm of their probability."""
        if self.counts_illegal(state):
            return np.full_like(state.mask, -1), 0.0
        return state.mask, measure.log_mass


def proposal_of(branch: Branch) -> tuple[int, Proposal]:
    """The proposal among a branch's controls, and which of them it is."""
    for index, control in enumerate(branch.pipeline.controls):
        if isinstance(control, Proposal):
            return index, control
    raise ControlError("this sequence has no proposal")


def weighed(logits: Tensor, states: Sequence[ProposalState]) -> Tensor:
    """The logits `[n, V]` plus the logarithms of the children's bounds, in place."""
    array: NDArray[Any] | None = logits.detach().numpy() if logits.device.type == "cpu" else None
    for row, state in enumerate(states):
        if state.node is None or not state.node.children:
            continue
        found = state.node.children.items()
        pairs = [(token, child.log_bound) for token, child in found if child.log_bound < 0]
        if not pairs:
            continue
        if array is not None:
            for token, log_bound in pairs:
                array[row, token] += log_bound
        else:
            tokens = torch.tensor([token for token, _ in pairs], device=logits.device)
            bounds = torch.tensor([bound for _, bound in pairs], dtype=logits.dtype)
            logits[row, tokens] += bounds.to(logits.device)
    return logits
