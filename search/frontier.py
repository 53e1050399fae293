"""The open nodes of a best-first search, lowest key first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from itertools import count

from guided.search.node import Node

#: What nodes are ordered by: the first number, the next one where that is equal, ...
Key = tuple[float, ...]


class Frontier:
    """A priority queue of nodes; of equal keys the node that was pushed first comes first.

    Attributes:
        dropped: how many nodes `trim` has given up.
        lowest_dropped: the first number of the lowest key among them; infinite if there is none.
            What comes out with a lower one is what an unbounded frontier would have given.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Key, int, Node]] = []
        self._numbers = count()
        self.dropped = 0
        self.lowest_dropped = math.inf

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Node]:
        """All nodes, lowest key first."""
        return (node for _, _, node in sorted(self._heap, key=lambda entry: entry[:2]))

    def push(self, node: Node, key: Key) -> None:
        """Adds a node."""
        heapq.heappush(self._heap, (key, next(self._numbers), node))

    def pop(self) -> tuple[Node, Key]:
        """Takes the node with the lowest key out.

        Raises:
            IndexError: there is none.
        """
        key, _, node = heapq.heappop(self._heap)
        return node, key

    def trim(self, most: int) -> list[Node]:
        """Keeps the `most` nodes with the lowest keys; those given up, lowest key first."""
        if len(self._heap) <= most:
            return []
        # Sorted, it is a heap.
        self._heap.sort(key=lambda entry: entry[:2])
        over, self._heap = self._heap[most:], self._heap[:most]
        self.dropped += len(over)
        self.lowest_dropped = min(self.lowest_dropped, over[0][0][0])
        return [node for _, _, node in over]
