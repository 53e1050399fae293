"""The law of the next token as an urn: drawn from without replacement, never sorted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from guided.decoding.rng import fold
from guided.decoding.sampling import Stream
from guided.kernels import urn_cpu
from guided.kernels.gumbel_cpu import uniform
from guided.kernels.sampling_cpu import BLOCK
from guided.search.resampling import Floats

Mask = NDArray[np.int32]
#: Redraws that are counted, where hardly any mass is left.
_MOST = 1e18


class Numbers:
    """Random numbers in [0, 1), the first, second, … of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._key = np.uint64(fold(stream))
        self._count = 0

    def __call__(self) -> float:
        self._count += 1
        return float(uniform(self._key, self._count))


class LogitUrn:
    """Tokens with masses exp(logit - the greatest), in float64.

    Args:
        logits: `[V]`, of a law that need not be normalised; left as they are. None is NaN or +inf,
            and some are finite.
    """

    def __init__(self, logits: Floats, numbers: Numbers) -> None:
        self._given = logits
        self._logits = np.array(logits, np.float64)
        self._sums = np.empty(-(-len(logits) // BLOCK))
        self._top, self.total = urn_cpu.fill(self._logits, self._sums)
        self.left = self.total
        self._numbers = numbers

    @property
    def log_total(self) -> float:
        """The logarithm of the sum of exp(logit)."""
        return float(self._top + math.log(self.total))

    @property
    def largest(self) -> tuple[int, float]:
        """The likeliest token that was ever in it, and its probability."""
        return int(np.argmax(self._given)), 1 / self.total

    def draw(self) -> tuple[int, float]:
        token, mass = urn_cpu.draw(self._logits, self._top, self._sums, self._numbers())
        return int(token), mass

    def remove(self, token: int) -> None:
        self.left = urn_cpu.remove(self._logits, self._top, self._sums, token)

    def redrawn(self, most: int | None) -> int:
        chance = min(1.0, self.left / self.total)
        if chance == 1:
            return 0
        count = min(math.log(1 - self._numbers()) / math.log1p(-chance), _MOST)
        return math.floor(count if most is None else min(count, most))

    def restricted(self, mask: Mask) -> tuple[int, float] | None:
        """A token that a packed mask allows, by its mass; the logarithm of the mass of all these.

        That is relative to the total. Tokens that were taken out count as well. None where no
        token is left.
        """
        logits = np.array(self._given, np.float64)
        urn_cpu.restrict(logits, mask)
        # Relative to the greatest that is allowed: far below the others it would be lost.
        sums = np.empty_like(self._sums)
        top, total = urn_cpu.fill(logits, sums)
        if not total > 0:
            return None
        token, _ = urn_cpu.draw(logits, top, sums, self._numbers())
        return int(token), float(top - self._top + math.log(total / self.total))
