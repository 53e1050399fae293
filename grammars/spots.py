"""What is known at single configurations: the steps that were taken from there, and the mask."""

from __future__ import annotations

import threading
from collections.abc import Set
from typing import Final

import numpy as np
from numpy.typing import NDArray

from guided.grammars.fork_safe import PARSER, fork_safe

#: The configuration after a stop token.
FINISHED = -1
_NOTHING: Final[frozenset[int]] = frozenset()


class Spot:
    """A configuration with what is known of it.

    A step that was made before goes from one to the next without a look at anything else: what
    takes longest of such a step is to fetch what it looks at.

    Attributes:
        config: its number in the parser.
        steps: where tokens lead that were asked for and may come; stop tokens are none of them.
        forbidden: tokens that were asked for and may not come.
        mask: int32[n_words], its mask, while the engine keeps that.
    """

    __slots__ = ("config", "forbidden", "mask", "steps")

    def __init__(self, config: int, mask: NDArray[np.int32] | None = None) -> None:
        self.config = config
        self.steps: dict[int, Spot] = {}
        self.forbidden: Set[int] = _NOTHING
        self.mask = mask


class Spots:
    """The configurations of one parser that were asked about.

    Args:
        stop_mask: the mask once the text is finished.
        limit: steps to remember before all are forgotten.
    """

    def __init__(self, stop_mask: NDArray[np.int32], limit: int) -> None:
        self._known = {FINISHED: Spot(FINISHED, stop_mask)}
        self._limit = limit
        self._n_steps = 0
        self._lock = fork_safe(threading.Lock(), PARSER)

    def at(self, config: int) -> Spot:
        """What is known at a configuration."""
        found = self._known.get(config)
        return self._known.setdefault(config, Spot(config)) if found is None else found

    def link(self, spot: Spot, token: int, config: int) -> Spot | None:
        """Remembers where a token leads; 0: it may not come."""
        with self._lock:
            if self._n_steps >= self._limit:
                self._forget_steps()
            self._n_steps += 1
            if config:
                found = spot.steps[token] = self.at(config)
                return found
            if not isinstance(spot.forbidden, set):
                spot.forbidden = set()
            spot.forbidden.add(token)
            return None

    def _forget_steps(self) -> None:
        for spot in tuple(self._known.values()):
            spot.steps.clear()
            spot.forbidden = _NOTHING
        self._n_steps = 0

    def unlink(self) -> None:
        """Forgets all that would keep them, and the masks, alive once nobody else needs them."""
        self._forget_steps()
        for spot in self._known.values():
            spot.mask = None
