"""What a model remembers of token sequences: their common beginnings are kept once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from guided.rewards.step_model import Layers


class Stretch:
    """Tokens that follow each other in the tree without a branching.

    Attributes:
        layers: keys and values of its tokens; None where they are not known.
        scores: of some of its tokens, by their offset.
        used: when it was last asked for.
    """

    __slots__ = ("children", "layers", "parent", "scores", "tokens", "used")

    def __init__(self, tokens: tuple[int, ...], parent: Stretch | None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: dict[int, Stretch] = {}
        self.layers: Layers | None = None
        self.scores: dict[int, float] = {}
        self.used = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def bytes(self) -> int:
        """Size of its keys and values."""
        return 0 if self.layers is None else self.layers.nbytes

    @property
    def ancestors(self) -> list[Stretch]:
        """What comes before it, from the root on, which is left out."""
        found, node = list[Stretch](), self.parent
        while node is not None and node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


class PrefixTree:
    """A radix tree of token sequences.

    Attributes:
        bytes: size of all keys and values in it.
    """

    def __init__(self) -> None:
        self.root = Stretch((), None)
        self.bytes = 0
        self._clock = 0

    def add(self, tokens: Sequence[int]) -> None:
        """Makes room for a sequence; stretches are cut where it leaves them or ends in them."""
        node, at = self.root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                node.children[tokens[at]] = Stretch(tuple(tokens[at:]), node)
                return
            same = _common(child.tokens, tokens[at : at + len(child)])
            node = child if same == len(child) else self._cut(child, same)
            at += same

    def path(self, tokens: Sequence[int]) -> list[Stretch]:
        """The stretches that a sequence, which has been added, is made of."""
        self._clock += 1
        node, at, found = self.root, 0, list[Stretch]()
        while at < len(tokens):
            node = node.children[tokens[at]]
            node.used = self._clock
            found.append(node)
            at += len(node)
        return found

    def _cut(self, child: Stretch, at: int) -> Stretch:
        """Cuts a stretch in two; the first part."""
        first = Stretch(child.tokens[:at], child.parent)
        first.used = child.used
        if child.layers is not None:
            layers = child.layers
            # Copies, so that each part can be given up by itself.
            first.layers, child.layers = layers[:, :, :at].clone(), layers[:, :, at:].clone()
        first.scores = {place: score for place, score in child.scores.items() if place < at}
        child.scores = {p - at: score for p, score in child.scores.items() if p >= at}
        if child.parent is not None:
            child.parent.children[child.tokens[0]] = first
        child.tokens = child.tokens[at:]
        child.parent = first
        first.children[child.tokens[0]] = child
        return first

    def fill(self, node: Stretch, layers: Layers | None) -> None:
        """Keeps keys and values of a stretch, or forgets them."""
        self.bytes -= node.bytes
        node.layers = layers
        self.bytes += node.bytes

    def shrink(self, limit: int) -> None:
        """Gives up ends of sequences, those unused for longest first, down to `limit` bytes."""
        if self.bytes <= limit:
            return
        ends = [(node.used, id(node), node) for node in self._all() if not node.children]
        heapq.heapify(ends)
        while ends and self.bytes > limit:
            _, _, node = heapq.heappop(ends)
            parent = node.parent
            if parent is None:
                return
            self.bytes -= node.bytes
            del parent.children[node.tokens[0]]
            if not parent.children and parent.parent is not None:
                heapq.heappush(ends, (parent.used, id(parent), parent))

    def _all(self) -> Iterator[Stretch]:
        waiting = list(self.root.children.values())
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.children.values()


def _common(some: Sequence[int], other: Sequence[int]) -> int:
    if tuple(some) == tuple(other):
        return len(some)
    pairs = zip(some, other, strict=False)
    return next(
        (at for at, (a, b) in enumerate(pairs) if a != b),
        min(len(some), len(other)),
    )
