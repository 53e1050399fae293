"""The control that keeps a sequence inside a grammar, and inside its token budget."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.errors import BudgetError, ControlError, DeadEndError
from guided.grammars.row_masks import make_masks
from guided.kernels.mask_apply import apply_masks, only_token, pack_tokens

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar
    from guided.grammars.states import GrammarState

Mask = NDArray[np.int32]


class MaskState:
    """A grammar state, the tokens left, and the way there.

    Attributes:
        before: the state one token earlier; None at the start, or once nothing more is asked of it.
    """

    __slots__ = (
        "_is_tight", "_mask", "before", "grammar", "left", "position", "stop_mask", "thinking",
    )  # fmt: skip

    def __init__(
        self,
        grammar: GrammarState,
        stop_mask: Mask,
        left: int | None,
        thinking: int | None = None,
        position: int = 0,
        before: MaskState | None = None,
    ) -> None:
        self.grammar = grammar
        self.stop_mask = stop_mask
        self.left = left
        self.thinking = thinking
        self.position = position
        self.before = before
        self._is_tight: bool | None = None
        self._mask: Mask | None = None

    @property
    def mask(self) -> Mask:
        """The tokens allowed here, packed; worked out once."""
        found = self._mask
        if found is None:
            found = self._mask = self._allowed()
        return found

    def _allowed(self) -> Mask:
        if self.thinking is not None and self.thinking <= 0 and self.grammar.in_free_text:
            # The thinking budget is spent: only the way to the trigger is left.
            return pack_tokens(self.grammar.completion()[:1], self.grammar.vocabulary.size)
        if self.left is None:
            return self.grammar.mask()
        try:
            return self.grammar.mask_within(self.left)
        except BudgetError:
            # Without stop tokens a complete text leaves nothing to draw.
            if self.grammar.is_accepting:
                return self.stop_mask
            raise

    @property
    def is_tight(self) -> bool:
        """Whether the budget has cut off anything up to and including this node."""
        unknown: list[MaskState] = []
        at: MaskState | None = self
        while at is not None and at._is_tight is None:
            unknown.append(at)
            at = at.before
        tight = at is not None and bool(at._is_tight)
        for state in reversed(unknown):
            tight = state._is_tight = tight or state._cuts()
            state.before = None
        return tight

    def _cuts(self) -> bool:
        """Whether the budget takes away anything here."""
        if self.left is None or (self.thinking is not None and self.grammar.in_free_text):
            return False
        plain = self.grammar.mask()
        return plain is not self.mask and not np.array_equal(plain, self.mask)

    @property
    def must_stop(self) -> bool:
        """Whether nothing but a stop token is allowed."""
        # Asked after every token, and mostly the text is not complete.
        if not self.grammar.is_accepting:
            return False
        return self.grammar.is_finished or np.array_equal(self.mask, self.stop_mask)

    def allows(self, token: int) -> bool:
        """Whether the mask has `token`; no mask is made where the grammar can tell."""
        if self._mask is not None or self.thinking is not None:
            return bool(self.mask[token >> 5] >> (token & 31) & 1)
        if self.left is None:
            return self.grammar.accepts(token)
        return self.grammar.accepts_within(token, self.left)

    def follow(self, token: int) -> Self | None:
        """The state after `token`, None where it is not allowed or nothing may follow it."""
        if self.thinking is not None:
            after = self.advance(token) if self.allows(token) else None
            return None if after is None or after.must_stop else after
        grammar = self.grammar.advance(token)
        left = None if self.left is None else self.left - 1
        if grammar is None or (left is not None and not grammar.fits(left)):
            return None
        after = self.next(token, grammar, left, None)
        return None if after.must_stop else after

    def advance(self, token: int) -> Self:
        """The state after `token`; raises DeadEndError if it is not allowed."""
        grammar = self.grammar.advance(token)
        if grammar is None:
            raise DeadEndError(
                f"token {token} at position {self.position} is outside of the grammar",
                self.position,
            )
        thinking = self.thinking
        if thinking is not None and self.grammar.in_free_text:
            thinking -= 1
        left = None if self.left is None else self.left - 1
        if type(self).next is MaskState.next:
            return type(self)(grammar, self.stop_mask, left, thinking, self.position + 1, self)
        return self.next(token, grammar, left, thinking)

    def next(
        self, token: int, grammar: GrammarState, left: int | None, thinking: int | None
    ) -> Self:
        """The state one token later, of the same kind."""
        return type(self)(grammar, self.stop_mask, left, thinking, self.position + 1, self)


def masks_of(states: Sequence[MaskState]) -> list[Mask]:
    """The masks of many states; those that nobody has asked for before are made together."""
    new = [state.grammar for state in states if state._mask is None]
    if len(new) > 1:
        make_masks(new)
    return [state.mask for state in states]


class GrammarMask(Control):
    """No probability for tokens that lead out of `grammar`, or out of the token budget.

    Args:
        grammar: what the generated text must follow.
        within_budget: keep only tokens after which a valid completion fits into the limit that
            the sequence was opened with.
        thinking_budget: for a grammar made by `after`, the most tokens of free text before only
            the way to the trigger is allowed.
        redrawn: tokens of the limit that go into drawing a healed prompt end again; errors count
            without them, as the user did.
    """

    stage: ClassVar[Stage] = Stage.MASK

    def __init__(
        self,
        grammar: Grammar,
        *,
        within_budget: bool = True,
        thinking_budget: int | None = None,
        redrawn: int = 0,
    ) -> None:
        if thinking_budget is not None and thinking_budget < 0:
            raise ControlError(f"thinking_budget must not be negative, not {thinking_budget}")
        self.grammar = grammar
        self.within_budget = within_budget
        self.thinking_budget = thinking_budget
        self.redrawn = redrawn

    @property
    def group(self) -> Hashable:
        # The state holds the grammar, so one call serves rows with different grammars.
        return GrammarMask

    def begin(self, context: Context) -> MaskState:
        """The state after the prompt.

        Raises:
            BudgetError: no completion is known to fit; carries the number of tokens that suffice.
        """
        vocabulary = context.vocabulary
        left = context.max_new_tokens if self.within_budget else None
        start = self.grammar.start(vocabulary)
        if left is not None:
            _check_budget(start, left, self.redrawn)
        return MaskState(start, vocabulary.stop_mask, left, self.thinking_budget)

    def apply(
        self, logits: Tensor, states: Sequence[MaskState], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[MaskState]]:
        return apply_masks(logits, np.stack(masks_of(states))), states

    def step(self, state: MaskState, token: int) -> MaskState:
        return state.advance(token)

    def finish(self, state: MaskState) -> str | None:
        if not state.must_stop:
            return None
        return "budget" if state.is_tight else "complete"

    def stop_reason(self, state: MaskState) -> str | None:
        return "budget" if state.is_tight else None

    def allows(self, state: MaskState, token: int) -> bool:
        return state.allows(token)

    def follow(self, state: MaskState, token: int) -> MaskState:
        after = state.follow(token)
        if after is None:
            raise StopIteration
        return after

    def forced(self, state: MaskState) -> int | None:
        return only_token(state.mask)


def _check_budget(start: GrammarState, left: int, redrawn: int) -> None:
    try:
        start.mask_within(left)
    except BudgetError as error:
        needed = error.needed - redrawn
        raise BudgetError(
            f"max_new_tokens={left - redrawn} is too few for any valid output: {needed} suffice",
            needed,
        ) from error
