"""What ends decoding early."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from guided.diffusion.protocols import FillRest, Stop
from guided.diffusion.state import Ints, State


@dataclass(frozen=True)
class GapConverged:
    """Prophet: commits everything once the two best logits are far enough apart on average.

    The gap asked for falls with progress p, the share of slots committed: `gaps[0]` below a third,
    `gaps[1]` below two thirds, then `gaps[2]` (Li et al. 2025, arXiv:2508.19982).

    Args:
        gaps: logits, not probabilities.
        answer: slots `(begin, end)` whose gaps count; None: all that are masked and whose best
            token does not end the text.
    """

    gaps: tuple[float, float, float] = (7.5, 5.0, 2.5)
    answer: tuple[int, int] | None = None

    def check(self, state: State, slots: Ints, logits: Tensor) -> FillRest | Stop | None:
        best = logits.topk(2, dim=-1)
        gaps = (best.values[:, 0] - best.values[:, 1]).double().cpu().numpy()
        if self.answer is not None:
            counts = (slots >= self.answer[0]) & (slots < self.answer[1])
        else:
            tokens = best.indices[:, 0].tolist()
            counts = np.array([token not in state.row.stop_ids for token in tokens])
        counted = gaps[counts]
        progress = 1 - len(slots) / state.to_fill
        needed = self.gaps[0 if progress < 0.33 else 1 if progress < 0.67 else 2]
        # Where nothing is left to disagree about, the answer is decided.
        decided = not len(counted) or float(counted.mean()) >= needed
        return FillRest("early_commit") if decided and needed < math.inf else None
