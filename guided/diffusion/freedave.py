"""FreeDave: several steps in one pass, with the tokens of one step a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guided.diffusion.protocols import Advance
from guided.diffusion.state import Prediction, State


@dataclass(frozen=True)
class DraftAndVerify:
    """Decodes `d` steps ahead from one prediction, then asks the model about all of them at once.

    A draft is true if it is what the prediction at the state before it leads to; the longest chain
    of true ones is kept. So the tokens, and the order in which they are committed, are those of
    decoding without it, whatever the decoding is, as long as a step is a function of state and
    prediction (Wu and Zhang 2025, arXiv:2510.00294).

    Drafts go on into the next block, but not where keys are kept: there a block begins with a pass
    of its own.
    """

    d: int

    def drafts(self, state: State, prediction: Prediction, advance: Advance) -> list[State]:
        chain = [advance(state, prediction)]
        while len(chain) < self.d and self._goes_on(chain[-1], prediction):
            chain.append(advance(chain[-1], prediction))
        return chain

    def _goes_on(self, state: State, prediction: Prediction) -> bool:
        if state.finish:
            return False
        if state.block is not None:
            return True
        return prediction.memory is None and prediction.covers(state.masked())

    def judge(
        self, drafts: Sequence[State], predictions: Sequence[Prediction], advance: Advance
    ) -> tuple[State, Prediction | None]:
        state, at = drafts[0], 0
        while at + 1 < len(drafts):
            true = advance(state, predictions[at])
            if not _is_same(true, drafts[at + 1]):
                break
            # What was computed from the state's own prediction is kept, not what was drafted.
            state, at = true, at + 1
        return state, predictions[at] if at < len(predictions) else None


def _is_same(one: State, other: State) -> bool:
    return one.finish == other.finish and bool(np.array_equal(one.tokens, other.tokens))
