"""A grammar that is only asked about single tokens: the law is left unmasked."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from guided.controls.grammar_mask import Mask
from guided.controls.measured_mask import MeasuredMask, MeasuredState
from guided.controls.protocol import NO_AUXILIARY, Auxiliary


class GrammarFollower(MeasuredMask):
    """Keeps a sequence's place in the grammar, and leaves the law as the other controls made it.

    Whoever draws sees to it that tokens are legal (`TokenChecks`). A text ends with a stop token
    and with nothing else.
    """

    def apply(
        self,
        logits: Tensor,
        states: Sequence[MeasuredState],  # type: ignore[override]
        aux: Auxiliary = NO_AUXILIARY,
    ) -> tuple[Tensor, Sequence[MeasuredState]]:
        return logits, states

    def step(self, state: MeasuredState, token: int) -> MeasuredState:  # type: ignore[override]
        return state.advance(token)

    def finish(self, state: MeasuredState) -> None:  # type: ignore[override]
        return None

    def stop_reason(self, state: MeasuredState) -> None:  # type: ignore[override]
        # To tell "budget" from "stop" would take the masks that this control is to do without.
        return None

    def forced(self, state: MeasuredState) -> None:  # type: ignore[override]
        return None


class TokenChecks:
    """Whether tokens may come at one place of a text; every token is looked up at most once.

    Attributes:
        count: tokens that were looked up.
        masks: whole masks that were made: 0 or 1.
    """

    def __init__(self, state: MeasuredState) -> None:
        self._state = state
        self._known: dict[int, bool] = {}
        self.masks = 0

    def __call__(self, token: int) -> bool:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._state.allows(token)
        return known

    @property
    def count(self) -> int:
        return len(self._known)

    @property
    def must_stop(self) -> bool:
        """Whether the budget leaves room for a stop token only."""
        return self._state.left == 1

    def mask(self) -> Mask:
        """All tokens that may come, packed."""
        if self.must_stop:
            return self._state.stop_mask
        self.masks = 1
        return self._state.mask
