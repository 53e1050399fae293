"""A node of a search tree: a branch at rest, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from guided.decoding import Branch
from guided.rewards.scorer import Score

#: How a branch ends that has ended by itself.
ENDS = frozenset({"stop", "complete", "budget", "stop_string"})


@dataclass(slots=True, eq=False)
class Node:
    """A partial or complete text: the branch that spells it, and where it hangs in the tree.

    Attributes:
        id: counts from 0, the root, in the order in which nodes were made.
        start: tokens of the branch that were there before this node's own segment.
        round: the iteration that made it.
        score: what the reward says of the whole text; None: not asked.
        facts: further numbers of the method, for the trace.
        children: how many have been made.
    """

    branch: Branch
    parent: Node | None
    id: int
    start: int = 0
    round: int = 0
    score: Score | None = None
    facts: dict[str, float] = field(default_factory=dict)
    children: int = 0

    @property
    def depth(self) -> int:
        """Segments from the root."""
        depth, node = 0, self
        while node.parent is not None:
            depth, node = depth + 1, node.parent
        return depth

    @property
    def tokens(self) -> tuple[int, ...]:
        """All tokens after the prompt."""
        return tuple(self.branch.tokens)

    @property
    def segment(self) -> tuple[int, ...]:
        """The tokens of its own segment."""
        return tuple(self.branch.tokens[self.start :])

    @property
    def is_over(self) -> bool:
        """Whether it cannot grow, for whatever reason."""
        return self.branch.finish_reason is not None

    @property
    def is_complete(self) -> bool:
        """Whether the text has ended by itself, not at a limit of tokens."""
        return self.branch.finish_reason in ENDS

    @property
    def log_p(self) -> float:
        """The log-probability of all its tokens under the raw model."""
        return sum(self.branch.log_p)

    @property
    def log_q(self) -> float:
        """The log-probability of all its tokens under the laws that they were drawn from."""
        return sum(self.branch.log_q)

    def path(self) -> list[Node]:
        """From the root to this node."""
        nodes: list[Node] = [self]
        while nodes[-1].parent is not None:
            nodes.append(nodes[-1].parent)
        return nodes[::-1]
