"""How likely given bytes are, one by one, in a few passes for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Front, Head, advanced, certain, path
from guided.byte_laws.weighing import Normalize, Weighing, next_law, weighings
from guided.decoding.masks import Feed
from guided.decoding.stage import Stage
from guided.errors import InputError

#: Heads that one pass reads, about.
_CHUNK = 256


class _Moment(NamedTuple):
    """What covers the bytes before one of them."""

    byte: int
    front: Front


class Scorer:
    """Reads a text's heads as a tree: one pass for some hundred bytes.

    Args:
        stage: on which nothing stands.
        tokens: what stands before the text.
        front: at the beginning of the text.
    """

    def __init__(
        self,
        canon: Canon,
        stage: Stage,
        tokens: Sequence[int],
        front: Front,
        stop_ids: list[int],
        normalize: Normalize,
    ) -> None:
        self.canon, self.stage, self.front = canon, stage, front
        self.stop_ids, self.normalize = stop_ids, normalize
        ((self.base, _),) = front
        self._order: dict[Head, int] = {}
        reading = stage.read([tuple(tokens)])
        # A row whose place nobody holds would be given up.
        self.places = reading.places
        self.weighed = dict(
            zip([self.base], self._weighings([self.base], reading.logits), strict=True)
        )

    def score(self, data: bytes) -> Iterator[float]:
        """The log-probability of every byte, given those before."""
        at = 0
        while at < len(data):
            moments: list[_Moment] = []
            new: list[Head] = []
            while at < len(data) and (len(new) < _CHUNK or not moments):
                moments.append(_Moment(data[at], self.front))
                self.front, ended = advanced(self.canon, self.front, data[at])
                new += ended
                at += 1
                if not self.front:
                    raise InputError(f"no text of this tokenizer begins with {data[:at]!r}")
            self._read(new)
            yield from map(self._log_p, moments)
            self._settle()

    def _alive(self) -> list[Head]:
        """What the heads go back to, up to what the stage holds; parents first."""
        found: dict[Head, None] = {}
        for head, _ in self.front:
            found.update(dict.fromkeys(path(self.base, head)))
        return list(found)

    def _read(self, new: Sequence[Head]) -> None:
        """Weighs new heads by one pass over them and what they go back to."""
        again = [head for head in self.weighed if head is not self.base]
        self._order = {head: at for at, head in enumerate([*again, *new])}
        if not self._order:
            return
        parents = [
            self._order.get(head.parent, -1) if head.parent is not None else -1
            for head in self._order
        ]
        logits = self.stage.forward([Feed([head.token for head in self._order], parents)])[0]
        rows = logits[[self._order[head] for head in new]]
        for head, one in zip(new, self._weighings(new, rows), strict=True):
            if head.parent is None:
                raise ValueError("only the base has no parent")
            parent = self.weighed[head.parent]
            one.log_weight = parent.log_weight + parent.log_p_of(self.canon, head.token)
            self.weighed[head] = one

    def _weighings(self, heads: Sequence[Head], logits: Tensor) -> Iterator[Weighing]:
        return weighings(self.canon, heads, logits, self.stop_ids, self.normalize)

    def _log_p(self, moment: _Moment) -> float:
        law = next_law(self.canon, [(some, self.weighed[head]) for head, some in moment.front])
        return -np.inf if law is None else float(law[moment.byte])

    def _settle(self) -> None:
        """Keeps what is certain on the stage, and forgets all heads that have gone."""
        steps = certain(self.base, self.front)
        self.stage.commit(0, [self._order[head] for head in steps])
        self.base = [self.base, *steps][-1]
        alive = {self.base, *self._alive()}
        self.weighed = {head: one for head, one in self.weighed.items() if head in alive}
