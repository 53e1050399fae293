"""Suffix decoding: how texts went on that ended alike, those of other branches too."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.sequence_pool import Place, SequencePool
from guided.decoding.drafts import ROOT, Draft
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary

#: Tokens before an output, and before a fork, that its sequence begins with.
_CONTEXT = 16
#: Prompts that are remembered to be in the pool.
_PROMPTS = 256
#: Path probability below which a continuation is not drafted.
_LEAST = 0.1


class _Own(NamedTuple):
    """A branch's sequence in the pool, and how many of its tokens are there."""

    number: int
    taken: int


class Suffix(Drafter):
    """Drafts the most frequent continuations of the longest end that stood somewhere before.

    Looks in one pool for all branches: their prompts and whatever was said so far, finished or
    not. Right for many answers to one prompt, and for requests that resemble earlier ones (after
    SuffixDecoding, Oliaro et al. 2024, arXiv 2411.04975).

    Args:
        vocabulary: of the model.
        capacity: tokens in the pool, up to half a kilobyte each; the oldest sequences are dropped.
        factor: most tokens of a draft for each token that matches,
        offset: and on top of these.
    """

    name: ClassVar[str] = "suffix"

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
        self.factor = factor
        self.offset = offset
        self.pool = SequencePool(capacity)
        self._stop_ids = vocabulary.stop_ids
        self._own: WeakKeyDictionary[Branch, _Own] = WeakKeyDictionary()
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
        """Adds the new tokens to the pool, the last ones of finished branches among them."""
        for seen in observations:
            self._take_in(seen.branch)

    def fork(self, branch: Branch, child: Branch) -> None:
        self._take_in(branch)
        self._own[child] = _Own(self.pool.open(_end(child)), len(child.tokens))

    def _take_in(self, branch: Branch) -> None:
        own = self._own.get(branch)
        if own is None:
            self._take_in_prompt(branch.prompt)
            own = _Own(self.pool.open(branch.prompt[-_CONTEXT:]), 0)
        elif own.number not in self.pool:
            own = _Own(self.pool.open(_end(branch, own.taken)), own.taken)
        new = branch.tokens[own.taken :]
        self._own[branch] = _Own(own.number, len(branch.tokens))
        if new:
            ended = new[-1] in self._stop_ids
            self.pool.extend(own.number, new[:-1] if ended else new)

    def _take_in_prompt(self, prompt: tuple[int, ...]) -> None:
        if self._prompts.get(prompt, -1) in self.pool:
            return
        number = self._prompts[prompt] = self.pool.open(())
        # No more than fits, or the prompt would drop itself.
        self.pool.extend(number, prompt[-self.pool.capacity :])
        if len(self._prompts) > _PROMPTS:
            self._prompts.popitem(last=False)

    def _guess(self, branch: Branch, room: int, is_chain: bool) -> Draft:
        draft = Draft()
        matched, places = self.pool.after(_end(branch, wanted=2 * _CONTEXT)) if room else (0, [])
        deepest = int(self.factor * matched) + self.offset
        queue: list[tuple[float, int, int, int, list[Place]]] = [(-1.0, 0, ROOT, 0, places)]
        order = 1
        while queue and len(draft) < room:
            weight, _, parent, depth, places = heapq.heappop(queue)
            for token, share, following in self._continuations(places):
                # The longer the match with what is drafted, the surer.
                chance = share * (matched + depth + 0.5) / (matched + depth + 1.0)
                likely = -weight * share
                if likely < _LEAST or len(draft) >= room:
                    break
                node = draft.add(token, parent, chance, self.name)
                if depth + 1 < deepest:
                    heapq.heappush(queue, (-likely, order, node, depth + 1, following))
                    order += 1
                if is_chain:
                    break
        return draft

    def _continuations(self, places: list[Place]) -> list[tuple[int, float, list[Place]]]:
        """(token, its share, places after it), the most frequent first."""
        tokens = [self.pool.token(place) for place in places]
        counts = Counter(token for token in tokens if token >= 0)
        total = sum(counts.values())
        return [
            (
                token,
                number / total,
                [(p, at + 1) for (p, at), t in zip(places, tokens, strict=True) if t == token],
            )
            for token, number in counts.most_common()
        ]


def _end(branch: Branch, until: int | None = None, wanted: int = _CONTEXT) -> list[int]:
    """The last tokens of a branch, prompt included, up to its `until`-th own token."""
    count = len(branch.tokens) if until is None else until
    tokens = branch.tokens[max(0, count - wanted) : count]
    missing = wanted - len(tokens)
    return [*branch.prompt[-missing:], *tokens] if missing else tokens
