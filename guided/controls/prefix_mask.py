"""The control that makes free text begin with given bytes (the healed end of a prompt)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.controls.token_index import token_index
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.mask_apply import apply_masks, pack_tokens


@dataclass(frozen=True, slots=True)
class PrefixState:
    """Bytes that are still to come."""

    vocabulary: Vocabulary
    rest: bytes

    def mask(self) -> NDArray[np.int32] | None:
        """Tokens that agree with the bytes to come; None once they are there."""
        if not self.rest:
            return None
        index = token_index(self.vocabulary)
        allowed = index.starting_with(self.rest)
        for length in range(1, len(self.rest)):
            allowed += index.spelling(self.rest[:length])
        return pack_tokens(allowed, self.vocabulary.size)


@dataclass(frozen=True)
class PrefixMask(Control):
    """Only texts that begin with `prefix`; after it everything is allowed."""

    prefix: bytes
    stage: ClassVar[Stage] = Stage.MASK

    @property
    def group(self) -> Hashable:
        return PrefixMask

    def begin(self, context: Context) -> PrefixState:
        return PrefixState(context.vocabulary, self.prefix)

    def apply(
        self, logits: Tensor, states: Sequence[PrefixState], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[PrefixState]]:
        for row, state in enumerate(states):
            mask = state.mask()
            if mask is not None:
                logits[row : row + 1] = apply_masks(
                    logits[row : row + 1].contiguous(), mask[None].copy()
                )
        return logits, states

    def step(self, state: PrefixState, token: int) -> PrefixState:
        if not state.rest:
            return state
        taken = len(state.vocabulary.tokens[token] or b"")
        return PrefixState(state.vocabulary, state.rest[taken:])
