"""Suffix decoding: how texts went on that ended alike, those of other branches too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.sequence_pool import NOTHING, SequencePool
from guided.decoding.drafts import Draft, source_number
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary

#: Tokens before an output, and before a fork, that its sequence begins with.
_CONTEXT = 16
#: Prompts that are remembered to be in the pool.
_PROMPTS = 256
#: Path probability below which a continuation is not drafted.
_LEAST = 0.1


@dataclass(slots=True)
class Own:
    """The last token of a branch's sequence in the pool, and how many of its tokens are there."""

    last: int
    taken: int


class Suffix(Drafter):
    """Drafts the most frequent continuations of the longest end that stood somewhere before.

    Looks in one pool for all branches: their prompts and whatever was said so far, finished or
    not. Right for many answers to one prompt, and for requests that resemble earlier ones (after
    SuffixDecoding, Oliaro et al. 2024, arXiv 2411.04975).

    Args:
        vocabulary: of the model.
        capacity: tokens in the pool, about 100 bytes each; the oldest are dropped.
        factor: most tokens of a draft for each token that matches,
        offset: and on top of these.
    """

    name: ClassVar[str] = "suffix"
    #: Tokens at the end of a text that are looked for, and how likely a path has to be.
    looks: ClassVar[int] = 2 * _CONTEXT
    least: ClassVar[float] = _LEAST

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        capacity: int = 1 << 17,
        factor: float = 2.0,
        offset: int = 1,
    ) -> None:
        if capacity < 1 or factor < 0 or offset < 0:
            raise InputError(
                f"capacity={capacity} must be at least 1, factor={factor} and offset={offset} "
                "not negative"
            )
        self.factor = float(factor)
        self.offset = offset
        self.pool = SequencePool(capacity)
        self.source = source_number(self.name)
        self._stop_ids = vocabulary.stop_ids
        self._prompts: OrderedDict[tuple[int, ...], int] = OrderedDict()

    def propose(self, request: Request) -> list[Draft]:
        """A tree; where laws are to be kept, the likeliest path."""
        for branch in request.branches:
            self._take_in(branch)
        return [
            self._guess(branch, room, request.keeps_laws)
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Adds new tokens to the pool where `propose` will not do so: the last ones of a branch."""
        for seen in observations:
            branch = seen.branch
            if branch.finish_reason is not None or self not in branch.notes:
                self._take_in(branch)

    def fork(self, branch: Branch, child: Branch) -> None:
        self._take_in(branch)
        child.notes[self] = Own(self._opened(_end(child)), len(child.tokens))

    def own(self, branch: Branch) -> Own:
        """The branch's sequence, which may lack its last tokens."""
        own: Own | None = branch.notes.get(self)
        if own is None:
            self._take_in_prompt(branch.prompt)
            own = branch.notes[self] = Own(self._opened(branch.prompt[-_CONTEXT:]), 0)
        elif own.last not in self.pool:
            own.last = self._opened(_end(branch, own.taken))
        return own

    def took(self, branch: Branch, count: int) -> None:
        """Says that a kernel has added the last `count` tokens of a branch to the pool."""
        own: Own = branch.notes[self]
        if count:
            own.last = self.pool.grew(count)
            own.taken += count

    def _take_in(self, branch: Branch) -> None:
        known: Own | None = branch.notes.get(self)
        if known is not None and known.taken == len(branch.tokens):
            return
        own = self.own(branch)
        new = branch.tokens[own.taken :]
        if new and new[-1] in self._stop_ids:
            new = new[:-1]
        own.last, own.taken = self.pool.extend(own.last, new), len(branch.tokens)

    def _opened(self, context: Sequence[int]) -> int:
        """A sequence that goes on from `context`, which is found elsewhere."""
        return self.pool.extend(NOTHING, context[-self.pool.capacity :], indexed=False)

    def _take_in_prompt(self, prompt: tuple[int, ...]) -> None:
        if self._prompts.get(prompt, NOTHING) in self.pool:
            return
        self._prompts[prompt] = self.pool.extend(NOTHING, prompt[-self.pool.capacity :])
        if len(self._prompts) > _PROMPTS:
            self._prompts.popitem(last=False)

    def _guess(self, branch: Branch, room: int, is_chain: bool) -> Draft:
        if room < 1:
            return Draft()
        return self.pool.guess(
            _end(branch, wanted=self.looks),
            room,
            self.name,
            factor=self.factor,
            offset=self.offset,
            least=self.least,
            is_chain=is_chain,
        )


def _end(branch: Branch, until: int | None = None, wanted: int = _CONTEXT) -> list[int]:
    """The last tokens of a branch, prompt included, up to its `until`-th own token."""
    count = len(branch.tokens) if until is None else until
    tokens = branch.tokens[max(0, count - wanted) : count]
    missing = wanted - len(tokens)
    return [*branch.prompt[-missing:], *tokens] if missing else tokens
