"""Branches that have come to the end of their step, and go on while others are on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from guided.decoding import Branch, Decoder
from guided.decoding.loop import Loop
from guided.search.laws import Laws

#: Rows of a pass up to which branches run ahead.
MOST_ROWS = 8


class Runners:
    """Copies of branches that pause, drawn on by the very same random numbers.

    A search goes on when the last of its branches has paused. Until then a pass costs about as
    much with a row more, so that those who were quick say what they will say in their next step,
    if it comes to that. What the model has shown them is kept, and the next step finds it known;
    nothing else is left of them.

    Args:
        laws: of every branch that may run ahead, where what is seen is kept.
    """

    def __init__(self, decoder: Decoder, loop: Loop, laws: Mapping[Branch, Laws]) -> None:
        self.decoder = decoder
        self.loop = loop
        self.laws = laws
        #: whom each runs ahead of.
        self._of: dict[Branch, Branch] = {}
        self._waiting: list[Branch] = []
        self._places: set[tuple[int, ...]] = set()

    def __contains__(self, branch: Branch) -> bool:
        return branch in self._of

    def keep(self, runner: Branch, logits: Sequence[Tensor]) -> None:
        """Keeps the logits `[V]` of all networks after a runner's tokens."""
        self.laws[self._of[runner]].keep(runner.tokens, logits)

    def pauses(self, branch: Branch) -> None:
        """Says that a branch has come to the end of its step; of equal ones the first counts."""
        place = tuple(branch.tokens)
        # What other controls leave may be nothing, which is an error if it comes to that only.
        if branch in self.laws and branch.pipeline.plain is not None and place not in self._places:
            self._places.add(place)
            self._waiting.append(branch)

    def go_on(self) -> None:
        """Lets branches that have been read run ahead, while others grow; else ends all runners."""
        growing = {row.branch for row in self.loop.rows}
        if growing <= self._of.keys():
            self.loop.dismiss(list(growing))
            return
        new, still = list[Branch](), list[Branch]()
        for branch in self._waiting:
            if branch.finish_reason is not None:
                continue
            if branch.logits is None or branch in growing:
                still.append(branch)
            elif len(growing) + len(new) < MOST_ROWS:
                (runner,) = self.decoder.fork(branch, rows=[branch.row])
                self._of[runner] = branch
                new.append(runner)
        self._waiting = still
        if new:
            self.decoder.run(self.loop, new, steps=0)

    def close(self) -> None:
        """Counts what runners have said as discarded, and what they have cost."""
        usage = self.decoder.usage
        for runner, branch in self._of.items():
            said = len(runner.tokens) - len(branch.tokens)
            usage.tokens -= said
            usage.discarded += said
            usage.forced -= runner.forced - branch.forced
            branch.positions += runner.positions - branch.positions
        self._of.clear()
