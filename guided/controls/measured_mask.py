"""A grammar mask that also measures how much of the model's law it lets stand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, TypeVar

import numpy as np
from torch import Tensor

from guided.controls.grammar_mask import GrammarMask, MaskState, masks_of
from guided.controls.pipeline import States
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.controls.stop_strings import StopStrings
from guided.errors import ControlError
from guided.kernels.mask_apply import apply_masks
from guided.kernels.mask_measure import measure

if TYPE_CHECKING:
    from guided.grammars.states import GrammarState

#: How a sequence ends that has left the language.
REJECTED = "rejected"


class Measure(NamedTuple):
    """What is known of a node from the law that its next token was drawn with.

    The law is the model's after all other controls, on the whole vocabulary, before the mask.

    Attributes:
        log_mass: log m(u), of the probability of all legal tokens, in float64; -inf: a dead end.
        entropy: of the whole law, in nats.
        log_total: of the sum of the exponentials of its logits.
    """

    log_mass: float
    entropy: float
    log_total: float


class MeasuredState(MaskState):
    """A `MaskState` that remembers the way to it and what was measured there.

    Attributes:
        measure: of the law at this node; None until the law has been seen.
        above: the node one token earlier, measured; None at the start.
        token: that led here from there; -1 at the start.
        is_open: whether the law was left unmasked here, so that the next token may be illegal.
        is_outside: whether the tokens so far have left the language; the sequence has ended.
    """

    measure: Measure | None = None
    above: Self | None = None
    token: int = -1
    is_open: bool = False
    is_outside: bool = False

    def next(
        self, token: int, grammar: GrammarState, left: int | None, thinking: int | None
    ) -> Self:
        after = super().next(token, grammar, left, thinking)
        after.above, after.token = self, token
        return after

    def leave(self, token: int) -> Self:
        """The state after a token that is not legal."""
        after = self.next(token, self.grammar, self.left, self.thinking)
        after.is_outside = True
        return after

    def seen(self, measure: Measure) -> Self:
        """This state once its law has been measured; it is open where nothing legal is likely."""
        after = copy.copy(self)
        after.measure = measure
        after.is_open = measure.log_mass == -np.inf
        return after

    def path(self) -> list[Self]:
        """The measured nodes from the start to here; entry i saw the law of token i."""
        nodes: list[Self] = []
        at: Self | None = self
        while at is not None:
            if at.measure is not None:
                nodes.append(at)
            at = at.above
        return nodes[::-1]


S = TypeVar("S", bound=MeasuredState)


class MeasuredMask(GrammarMask):
    """A `GrammarMask` whose states measure the law before it is masked, for aligned sampling.

    The language L is the set of token sequences, stop token included, that the masks allow one
    token at a time: texts of the grammar, in every tokenization that spells them, that end with
    a stop token within the limit of tokens (`within_budget`), and whose free text fits into the
    `thinking_budget`. With P the model's law under all other controls, a sequence of L is drawn
    with probability P(w) / Π m(w_<t); `masses` and `MeasuredState.path` give the m.

    Other than under a `GrammarMask`

    - a text never ends before its stop token was drawn, as the chance of that token counts;
    - it stands behind all other controls, truncations included, which are part of P;
    - where the law has no legal token (a truncation took all, a model with zeros) the row is left
      as it is, and the sequence ends as "rejected": a dead end is a draw outside of L, not an
      error.

    Args: as of `GrammarMask`.
    """

    stage: ClassVar[Stage] = Stage.CORRECTION
    #: States carry what `apply` has seen.
    sequential: ClassVar[bool] = True

    @classmethod
    def of(cls, mask: GrammarMask) -> Self:
        """This control with the settings of a grammar mask."""
        return cls(
            mask.grammar,
            within_budget=mask.within_budget,
            thinking_budget=mask.thinking_budget,
            redrawn=mask.redrawn,
        )

    @property
    def group(self) -> Hashable:
        return MeasuredMask

    def begin(self, context: Context) -> MeasuredState:
        """The state after the prompt.

        Raises:
            BudgetError: no completion is known to fit; carries the number of tokens that suffice.
            ControlError: the vocabulary has no stop token.
        """
        if not context.vocabulary.stop_ids:
            raise ControlError(
                "the vocabulary has no stop token; an aligned text ends by one, whose chance counts"
            )
        plain = super().begin(context)
        return MeasuredState(plain.grammar, plain.stop_mask, plain.left, plain.thinking)

    def apply(
        self,
        logits: Tensor,
        states: Sequence[MeasuredState],  # type: ignore[override]
        aux: Auxiliary = NO_AUXILIARY,
    ) -> tuple[Tensor, Sequence[MeasuredState]]:
        seen = measured(logits, states)
        return masked(logits, seen), seen

    def step(self, state: MeasuredState, token: int) -> MeasuredState:  # type: ignore[override]
        if state.is_open and not state.allows(token):
            return state.leave(token)
        return state.advance(token)

    def finish(self, state: MeasuredState) -> str | None:  # type: ignore[override]
        return REJECTED if state.is_outside else None

    def stop_reason(self, state: MeasuredState) -> str | None:  # type: ignore[override]
        """Of a stop token that was drawn at `state`: "rejected" where it is not legal."""
        if state.is_open and not state.grammar.is_accepting:
            return REJECTED
        return super().stop_reason(state)

    def follow(self, state: MeasuredState, token: int) -> MeasuredState:  # type: ignore[override]
        # A stop token still has to be drawn where nothing else may follow.
        if not state.allows(token):
            raise StopIteration
        return state.advance(token)


def measured(logits: Tensor, states: Sequence[S]) -> list[S]:
    """The states of n nodes once their laws, logits `[n, V]`, have been measured."""
    found = measure(logits, np.stack(masks_of(states)))
    return [
        state.seen(Measure(mass, entropy, total))
        for state, total, mass, entropy in zip(states, *found, strict=True)
    ]


def masked(logits: Tensor, states: Sequence[MeasuredState]) -> Tensor:
    """The logits `[n, V]`, masked in place except for the rows of open nodes."""
    shut = [row for row, state in enumerate(states) if not state.is_open]
    if len(shut) == len(states):
        return apply_masks(logits, np.stack(masks_of(states)))
    if shut:
        masks = np.stack(masks_of([states[row] for row in shut]))
        logits[shut] = apply_masks(logits[shut].contiguous(), masks)
    return logits


def measured_state(controls: Sequence[Control], states: States) -> MeasuredState:
    """The measured one among the states of a sequence, as `branch.states`.

    Args:
        controls: of the sequence's pipeline, in its order.
    """
    for control, state in zip(controls, states, strict=True):
        if isinstance(control, MeasuredMask):
            found: MeasuredState = state
            return found
    raise ControlError("this sequence has no MeasuredMask")


def measuring(
    controls: Iterable[Control],
    method: str,
    make: Callable[[GrammarMask], MeasuredMask] = MeasuredMask.of,
) -> list[Control]:
    """Controls with the grammar mask replaced by one that measures.

    Args:
        method: what asks for it, for messages.
        make: the control in the place of a grammar mask.

    Raises:
        ControlError: there is no grammar mask, or a control that ends texts without a stop token.
    """
    given = list(controls)
    if any(isinstance(control, StopStrings) for control in given):
        raise ControlError(
            f"{method} counts the chance of the stop token that ends a text, and StopStrings ends "
            "texts without one; give no stop strings"
        )
    if not any(isinstance(control, GrammarMask) for control in given):
        raise ControlError(
            f"{method} aligns a grammar with the model, and there is none; give schema=, regex=, "
            "grammar= or another output type"
        )
    return [make(each) if isinstance(each, GrammarMask) else each for each in given]
