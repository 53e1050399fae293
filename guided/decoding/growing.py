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
        kept: what the last pass has read and is right: positions in the pass.
        seen: the position in the pass that every token of this round was drawn at.
        number: which row of the logits at hand is its own.
        position: of its last token in the pass; `first`: where it stood before the draft.
    """

    branch: Branch
    pending: list[int] = field(default_factory=list)
    pausing: bool = False
    draft: Draft = field(default_factory=Draft)
    kept: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    number: int = 0
    position: int = 0
    first: int = 0
    _children: dict[int, list[int]] | None = None

    def feed(self) -> Feed:
        """What the model is to read: the pending tokens, then the draft."""
        draft, pending = self.draft, self.pending
        if len(pending) == 1:
            last = pending[0]
            return Feed.after(last, draft.nodes.numbers) if len(draft) else Feed.after(last)
        if not len(draft):
            return Feed.chain(pending)
        count = len(pending)
        parents = [*range(-1, count - 1), *[parent + count for parent in draft.parents]]
        # The root of the draft is the last pending token, at count - 1 = ROOT + count.
        return Feed([*pending, *draft.tokens], parents)

    def begin(self, draft: Draft | None = None) -> None:
        """Takes up a round's draft, or none."""
        self.draft, self._children = draft if draft is not None else Draft(), None
        self.kept = list(range(len(self.pending)))
        self.seen = []

    def stand(self, number: int) -> None:
        """Says which row of a pass's logits is its own; it stands at its last pending token."""
        self.number = number
        self.position = self.first = max(0, len(self.pending) - 1)

    def follow(self, token: int) -> bool:
        """Goes on by a token; False where it was not guessed."""
        draft = self.draft
        if not len(draft):
            return False
        # The root of the draft stands at `first`.
        at = self.position - self.first - 1
        tokens, parents = draft.tokens, draft.parents
        for node in range(at + 1, len(tokens)):
            if tokens[node] == token and parents[node] == at:
                self.position = node + self.first + 1
                return True
        return False

    @property
    def children(self) -> dict[int, list[int]]:
        """The nodes of the draft by their parents; made once for each draft."""
        found = self._children
        if found is None:
            found = self._children = {}
            for node, parent in enumerate(self.draft.parents):
                found.setdefault(parent, []).append(node)
        return found

    @property
    def stood(self) -> list[int]:
        """The nodes of the draft at which this round's tokens were drawn."""
        return [position - self.first - 1 for position in self.seen]
