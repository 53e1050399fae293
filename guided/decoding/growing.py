"""A branch that is being grown: what the model is to read next, and what it was right about."""

from __future__ import annotations

from dataclasses import dataclass, field

from guided.decoding.branch import Branch
from guided.decoding.drafts import Draft
from guided.decoding.masks import Feed


@dataclass(slots=True, eq=False)
class Row:
    """A branch that is being grown.

    Attributes:
        pending: its tokens that the model has not read yet.
        pausing: whether it only waits for the logits after its last token.
        draft: what was guessed in this round.
        children: the nodes of the draft by their parents.
        kept: what the last pass has read and is right: positions in the pass.
        seen: the position in the pass that every token of this round was drawn at.
        number: which row of the logits at hand is its own.
        position: of its last token in the pass.
    """

    branch: Branch
    pending: list[int] = field(default_factory=list)
    pausing: bool = False
    draft: Draft = field(default_factory=Draft)
    children: dict[int, list[int]] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    number: int = 0
    position: int = 0

    def feed(self) -> Feed:
        """What the model is to read: the pending tokens, then the draft."""
        draft, count = self.draft, len(self.pending)
        if not len(draft):
            return Feed.chain(self.pending)
        parents = [*range(-1, count - 1), *[parent + count for parent in draft.parents]]
        # The root of the draft is the last pending token, at count - 1 = ROOT + count.
        return Feed([*self.pending, *draft.tokens], parents)

    def begin(self, draft: Draft | None = None) -> None:
        """Takes up a round's draft, or none."""
        self.draft = draft if draft is not None else Draft()
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(self.draft.parents):
            if parent in children:
                children[parent].append(node)
            else:
                children[parent] = [node]
        self.children = children
        self.kept = list(range(len(self.pending)))
        self.seen = []

    def stand(self, number: int) -> None:
        """Says which row of a pass's logits is its own; it stands at its last pending token."""
        self.number, self.position = number, max(0, len(self.pending) - 1)
