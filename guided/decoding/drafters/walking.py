"""Reading others' guesses with a draft model, and going along with those it would have drawn."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from guided.decoding.drafts import ROOT, Draft
from guided.decoding.masks import Feed


def likely(draft: Draft, least: float, most: int) -> Draft:
    """The likeliest nodes of a draft: at most `most`, each reached with at least `least`."""
    reached = draft.reached()
    order = sorted(range(len(draft)), key=lambda node: -reached[node])[:most]
    return draft.keep(sorted(node for node in order if reached[node] >= least))


def grown(tokens: Sequence[int], draft: Draft) -> Feed:
    """What a pass reads: one token after the other, then a draft after the last of them."""
    count = len(tokens)
    parents = [*range(-1, count - 1), *(parent + count for parent in draft.parents)]
    return Feed([*tokens, *draft.tokens], parents)


class Walk:
    """A way down the guesses that a pass has read.

    Attributes:
        kept: the positions of the pass that are on the way.
        tokens: the tokens there.
    """

    def __init__(self, raw: Tensor, tokens: Sequence[int], draft: Draft) -> None:
        self._raw = raw
        self._first = len(tokens)
        self._children = draft.children()
        self._node = ROOT
        self.kept = list(range(len(tokens)))
        self.tokens = list(tokens)

    @property
    def logits(self) -> Tensor:
        """The logits `[V]` at the end of the way."""
        return self._raw[self._first + self._node]

    def follow(self, token: int) -> bool:
        """Goes on by a token; False where it was not among the guesses."""
        node = self._children.get((self._node, token))
        if node is None:
            return False
        self._node = node
        self.kept.append(self._first + node)
        self.tokens.append(token)
        return True
