"""A bounded pool of token sequences in which the ends of other sequences are looked up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guided.decoding.drafts import Draft, source_number
from guided.kernels import suffix_pool
from guided.kernels.direct_calls import Direct

_append, _guess = Direct(suffix_pool.append), Direct(suffix_pool.guess)
#: The last token of a sequence that has none.
NOTHING = -1


class SequencePool:
    """Growing sequences; the last `capacity` tokens of all together are known.

    A sequence is named by the number of its last token, which changes as it grows.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.ring = suffix_pool.ring(capacity)
        self.total = 0

    @property
    def n_tokens(self) -> int:
        """Tokens that are known."""
        return min(self.total, self.capacity)

    @property
    def n_bytes(self) -> int:
        """Bytes of the pool, which do not change."""
        return sum(array.nbytes for array in self.ring)

    def __contains__(self, last: int) -> bool:
        """Whether the sequence that ends with this token can go on."""
        return last >= max(0, self.total - self.capacity)

    def extend(self, last: int, tokens: Sequence[int], *, indexed: bool = True) -> int:
        """The new name of the sequence `last` (`NOTHING`: a new one) with more tokens.

        Args:
            indexed: whether they are to be found; otherwise they only stand before others.
        """
        if not tokens:
            return last
        _append(self.ring, self.total, last, np.array(tokens, np.int32), indexed)
        self.total += len(tokens)
        return self.total - 1

    def grew(self, count: int) -> int:
        """The name of a sequence to which a kernel has added so many tokens, as `extend` does."""
        self.total += count
        return self.total - 1

    def guess(
        self,
        said: Sequence[int],
        room: int,
        source: str,
        *,
        factor: float,
        offset: int,
        least: float,
        is_chain: bool = False,
    ) -> Draft:
        """How texts went on that ended like `said`; see `suffix_pool.guess`."""
        nodes, chances = np.empty((room, 3), np.int64), np.empty(room)
        count = _guess(
            self.ring, self.total, np.array(said, np.int32), float(factor), offset, float(least),
            is_chain, source_number(source), nodes, chances,
        )  # fmt: skip
        return Draft.of(nodes[:count], chances[:count])
