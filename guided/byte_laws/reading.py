"""One text and guesses at its next bytes, as the tree of tokens that a model reads for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from guided.byte_laws.byte_places import Fate, Law, Standing
from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Front, Head, advanced, begun, certain, path
from guided.byte_laws.spelling import END, N_SYMBOLS
from guided.byte_laws.weighing import Normalize, Weighing, next_law, weighings
from guided.decoding.masks import Feed

#: The logit of the end where a model cannot say the bytes so far at all.
SILENT = -1e30


class Weigher:
    """Makes weighings and laws for one model."""

    def __init__(self, canon: Canon, stop_ids: list[int], normalize: Normalize) -> None:
        self.canon, self.stop_ids, self.normalize = canon, stop_ids, normalize

    def weighings(self, heads: Sequence[Head], logits: Tensor) -> Iterator[Weighing]:
        """The laws of the next token after some heads, from logits `[n, V]`."""
        return weighings(self.canon, heads, logits, self.stop_ids, self.normalize)

    def law(self, front: Front, weighed: Mapping[Head, Weighing]) -> Law | None:
        """The log law `[257]` of the next symbol; None where nothing can follow."""
        heads = [(some, weighed[head]) for head, some in front if head in weighed]
        return next_law(self.canon, heads)

    def first(self, state: int, token: int, logits: Tensor, length: int) -> Standing:
        """Where a text begins, after a beginning of the canon with these logits `[V]`."""
        front = begun(self.canon, state, token)
        ((head, _),) = front
        (one,) = self.weighings([head], logits[None])
        weighed = {head: one}
        law, fate = self.law(front, weighed), Fate.OPEN
        if law is None:
            law, fate = closed(Fate.DEAD_END), Fate.DEAD_END
        return Standing(length, head, front, weighed, law, self.canon, fate)


class ByteReading:
    """What a pass has to find out about one text and a tree of bytes after it.

    Args:
        feed: bytes after what stands.

    Attributes:
        new: the heads that end with one of the bytes, which are to be weighed.
    """

    def __init__(self, weigher: Weigher, standing: Standing, feed: Feed) -> None:
        self._weigher, self._before, self._bytes = weigher, standing, feed
        self._fronts: list[Front] = []
        self.new: list[Head] = []
        for byte, parent in zip(feed.tokens, feed.parents, strict=True):
            front = standing.front if parent < 0 else self._fronts[parent]
            new: list[Head] = []
            if byte == END:
                front = ()
            else:
                front, new = advanced(weigher.canon, front, byte)
            self._fronts.append(front)
            self.new += new
        #: The tokens that the pass reads, by their place in it: new ones and those before them.
        self._places: dict[Head, int] = {}
        for head in self.new:
            for each in path(standing.base, head):
                self._places.setdefault(each, len(self._places))
        self._laws: list[Law | None] = []
        self._fates: list[Fate] = []
        self._weighed: dict[Head, Weighing] = dict(standing.weighed)

    def feed(self) -> Feed:
        """The tree of tokens that the model is to read; empty where nothing new ends."""
        parents = [
            -1 if head.parent is None else self._places.get(head.parent, -1)
            for head in self._places
        ]
        return Feed([head.token for head in self._places], parents)

    def new_places(self) -> list[int]:
        """Where the new heads stand among the tokens of the pass."""
        return [self._places[head] for head in self.new]

    def take(self, weighed: Iterable[Weighing]) -> Sequence[Law]:
        """The log laws `[257]` after each of the bytes, from weighings of the new heads."""
        canon = self._weigher.canon
        for head, one in zip(self.new, weighed, strict=True):
            above = None if head.parent is None else self._weighed.get(head.parent)
            if above is None:
                continue
            one.log_weight = above.log_weight + above.log_p_of(canon, head.token)
            if one.log_weight > -np.inf:
                self._weighed[head] = one
        found: list[Law] = []
        for node, (byte, parent) in enumerate(
            zip(self._bytes.tokens, self._bytes.parents, strict=True)
        ):
            before = self._before.law if parent < 0 else found[parent]
            fate = self._before.fate if parent < 0 else self._fates[parent]
            law = None
            if fate is Fate.OPEN:
                law = self._weigher.law(self._fronts[node], self._weighed)
                if before[byte] == -np.inf:
                    law, fate = None, Fate.IMPOSSIBLE
                elif law is None:
                    fate = Fate.DEAD_END
            self._fates.append(fate)
            found.append(closed(fate) if law is None else law)
        self._laws = list(found)
        return found

    def standing(self, kept: Sequence[int]) -> tuple[Standing, list[int]]:
        """Where the text stands after some of the bytes; the tokens of the pass that are certain.

        Args:
            kept: the bytes, each the child of the one before.
        """
        last, before = kept[-1], self._before
        length, law, fate = before.length + len(kept), self._laws[last], self._fates[last]
        if law is None:
            raise ValueError("the pass has not been read")
        if fate is not Fate.OPEN:
            return replace(before, length=length, front=(), weighed={}, law=law, fate=fate), []
        spelling = self._weigher.canon.spelling
        front = tuple(
            (head, some)
            for head, some in self._fronts[last]
            if head in self._weighed and self._weighed[head].goes_on(spelling, some)
        )
        weighed = {head: self._weighed[head].by_itself() for head, _ in front}
        steps = certain(before.base, front)
        read = [self._places[head] for head in steps if head in self._places]
        # A token that was read in an earlier pass stands in no slot now: it is read once more.
        whole = next((n for n, head in enumerate(steps) if head not in self._places), len(steps))
        base = steps[whole - 1] if whole else before.base
        return Standing(length, base, front, weighed, law, before.canon, fate), read[:whole]


def closed(fate: Fate) -> Law:
    """The law `[257]` where nothing can follow: only the end, told apart by its logit `SILENT`;
    no numbers where bytes that were possible have led there.
    """
    if fate is Fate.DEAD_END:
        return np.full(N_SYMBOLS, np.nan)
    law = np.full(N_SYMBOLS, -np.inf)
    law[END] = SILENT
    return law
