"""Guessed continuations of one branch, as a tree of tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

#: The parent of a draft's first nodes: the branch's last token.
ROOT = -1

#: The names of all drafters that were seen, and the number of each.
_NAMES: list[str] = []
_NUMBERS: dict[str, int] = {}
_NAMING = threading.Lock()


def source_number(name: str) -> int:
    """The number by which kernels know a drafter; a new name gets one."""
    found = _NUMBERS.get(name)
    if found is None:
        with _NAMING:
            found = _NUMBERS.get(name)
            if found is None:
                _NAMES.append(name)
                found = _NUMBERS[name] = len(_NAMES) - 1
    return found


def source_count() -> int:
    """How many numbers `source_number` has given out."""
    return len(_NAMES)


_Lists = tuple[list[int], list[int], list[float], list[str]]


class Nodes(NamedTuple):
    """A draft's nodes as kernels read them.

    Attributes:
        numbers: int64 `[n, 3]`: tokens, parents, and the numbers of the sources.
        chances: float64 `[n]`.
    """

    numbers: NDArray[np.int64]
    chances: NDArray[np.float64]


class Draft:
    """A tree of guessed tokens after the last token of a branch.

    Node i is the token `tokens[i]` after node `parents[i]` (`ROOT`: after the branch's last
    token). Parents come before their children; siblings have different tokens.

    Attributes:
        laws: log-probabilities `[nodes, V]`; row i is the law, everything that the drafter looked
            at considered, from which node i was drawn at random. None where the tokens were not
            drawn but chosen. Only a chain can have laws.
    """

    __slots__ = ("_lists", "_nodes", "laws")

    def __init__(
        self,
        tokens: list[int] | None = None,
        parents: list[int] | None = None,
        chances: list[float] | None = None,
        sources: list[str] | None = None,
        laws: Tensor | None = None,
    ) -> None:
        # Most drafts go from kernel to kernel: their lists are made when somebody asks for them.
        self._lists: _Lists | None = (
            [] if tokens is None else tokens,
            [] if parents is None else parents,
            [] if chances is None else chances,
            [] if sources is None else sources,
        )
        self._nodes: Nodes | None = None
        self.laws = laws

    @classmethod
    def of(cls, numbers: NDArray[np.int64], chances: NDArray[np.float64]) -> Draft:
        """The draft of such `Nodes`, which are not changed any more."""
        found = cls.__new__(cls)
        found._lists, found._nodes, found.laws = None, Nodes(numbers, chances), None
        return found

    @property
    def tokens(self) -> list[int]:
        """The token of every node."""
        return (self._lists or self._listed())[0]

    @property
    def parents(self) -> list[int]:
        """The node before every node."""
        return (self._lists or self._listed())[1]

    @property
    def chances(self) -> list[float]:
        """For every node the drafter's estimate in [0, 1] that its token is drawn, given that its
        parent's was. Calibrated later: only its order within one drafter matters.
        """
        return (self._lists or self._listed())[2]

    @property
    def sources(self) -> list[str]:
        """Which drafter each node comes from."""
        return (self._lists or self._listed())[3]

    def _listed(self) -> _Lists:
        if self._nodes is None:
            raise AssertionError("a draft of neither lists nor arrays")
        numbers, chances = self._nodes
        tokens, parents, sources = numbers.T.tolist()
        names = [_NAMES[number] for number in sources]
        found = self._lists = tokens, parents, chances.tolist(), names
        return found

    def __len__(self) -> int:
        if self._lists is None and self._nodes is not None:
            return len(self._nodes.chances)
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Draft):
            return NotImplemented
        mine, others = self._lists or self._listed(), other._lists or other._listed()
        return (*mine, self.laws) == (*others, other.laws)

    def __repr__(self) -> str:
        tokens, parents, chances, sources = self._lists or self._listed()
        return f"Draft({tokens}, {parents}, {chances}, {sources}, laws={self.laws})"

    @property
    def nodes(self) -> Nodes:
        """The nodes in arrays; asked for when nothing but `add` changes the draft any more."""
        found, lists = self._nodes, self._lists
        if lists is None and found is not None:
            return found
        tokens, parents, chances, names = lists or self._listed()
        if found is None or len(found.chances) != len(tokens):
            numbers = np.empty((len(tokens), 3), np.int64)
            numbers.T[:] = tokens, parents, [source_number(name) for name in names]
            found = self._nodes = Nodes(numbers, np.array(chances, np.float64))
        return found

    def add(self, token: int, parent: int, chance: float, source: str) -> int:
        """Adds a node and returns its index."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.chances.append(chance)
        self.sources.append(source)
        return len(self.tokens) - 1

    @classmethod
    def chain(
        cls,
        tokens: Sequence[int],
        chances: Sequence[float] | float,
        source: str,
        laws: Tensor | None = None,
    ) -> Draft:
        """One token after the other; `chances` for each, or one for all."""
        each = [chances] * len(tokens) if isinstance(chances, int | float) else list(chances)
        parents = list(range(ROOT, len(tokens) - 1))
        return cls(list(tokens), parents, each, [source] * len(tokens), laws)

    @property
    def is_chain(self) -> bool:
        """Whether every node follows the one before it."""
        return self.parents == list(range(ROOT, len(self) - 1))

    def depths(self) -> list[int]:
        """How many drafted tokens stand before each node."""
        found: list[int] = []
        for parent in self.parents:
            found.append(0 if parent == ROOT else found[parent] + 1)
        return found

    def reached(self, chances: Sequence[float] | None = None) -> list[float]:
        """The chance that each node and all before it come true; `chances` instead of its own."""
        found: list[float] = []
        for parent, chance in zip(self.parents, chances or self.chances, strict=True):
            found.append(chance if parent == ROOT else found[parent] * chance)
        return found

    def children(self) -> dict[tuple[int, int], int]:
        """The nodes by (parent, token)."""
        return {
            (parent, token): node
            for node, (parent, token) in enumerate(zip(self.parents, self.tokens, strict=True))
        }

    def path(self, node: int) -> list[int]:
        """The nodes from the first to `node`."""
        nodes: list[int] = []
        while node != ROOT:
            nodes.append(node)
            node = self.parents[node]
        return nodes[::-1]

    def keep(self, nodes: Iterable[int]) -> Draft:
        """The draft of some nodes (in this order), among which are the parents of all."""
        chosen = list(nodes)
        place = {node: index for index, node in enumerate(chosen)}
        place[ROOT] = ROOT
        tokens, parents, chances, sources = self.tokens, self.parents, self.chances, self.sources
        return Draft(
            [tokens[node] for node in chosen],
            [place[parents[node]] for node in chosen],
            [chances[node] for node in chosen],
            [sources[node] for node in chosen],
            None if self.laws is None else self.laws[chosen],
        )
