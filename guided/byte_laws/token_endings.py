"""Guesses at coming bytes: the rest of the tokens that a model has begun, by its own law."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from guided.byte_laws.byte_places import BytePlace, Fate, Standing
from guided.byte_laws.fronts import Front, advanced
from guided.byte_laws.weighing import log_sum
from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import ROOT, Draft

#: Tokens that are looked at for each model.
_MOST = 16
#: The share of all mass below which a token is not looked at.
_FAINT = 0.01


class TokenEndings(Drafter):
    """Drafts the likeliest tokens that go on with the bytes so far, byte by byte, as a tree.

    A pass that has read a token's first byte knows the law of the whole token; what is left of it
    is guessed here, and costs no further pass where it comes true. Where controls bring models,
    their laws count as much. Works on branches of a `ByteModel`; silent on others.
    """

    name: ClassVar[str] = "endings"

    def propose(self, request: Request) -> list[Draft]:
        """A tree for each branch; where laws are to be kept, none."""
        return [
            self._guess(branch, room) if room and not request.keeps_laws else Draft()
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def _guess(self, branch: Branch, room: int) -> Draft:
        weights: dict[bytes, float] = {}
        for place in branch.places:
            if isinstance(place, BytePlace) and place.standing is not None:
                _endings(place.standing, branch, weights)
        return _tree(weights, len(branch.places), room, self.name)


def _endings(standing: Standing, branch: Branch, weights: dict[bytes, float]) -> None:
    """Adds to `weights`, by what is left of a token, its share of a model's mass."""
    text, canon = branch.text, standing.canon
    if standing.fate is not Fate.OPEN or standing.length > len(text):
        return
    front: Front = standing.front
    ended = -np.inf
    for byte in text[standing.length :]:
        front, new = advanced(canon, front, byte)
        for head in new:
            above = None if head.parent is None else standing.weighed.get(head.parent)
            if above is not None:
                weight = above.log_weight + above.log_p_of(canon, head.token)
                ended = float(np.logaddexp(ended, weight))
    spelling = canon.spelling
    parts: list[tuple[int, np.ndarray[tuple[int], np.dtype[np.float64]], int]] = []
    total = ended
    for head, some in front:
        one = standing.weighed.get(head)
        if one is None:
            continue
        low = spelling.longer(some)
        mass = one.logits[low : some.high] + (one.log_weight - one.log_total)
        total = float(np.logaddexp(total, log_sum(mass)))
        parts.append((low, mass, some.depth))
    if total == -np.inf:
        return
    for low, mass, depth in parts:
        shares = np.exp(mass - total)
        best = np.argpartition(shares, -_MOST)[-_MOST:] if len(shares) > _MOST else range(len(mass))
        for at in best:
            if shares[at] >= _FAINT:
                rest = spelling.bytes[int(spelling.ids[low + at])][depth:]
                weights[rest] = weights.get(rest, 0.0) + float(shares[at])


def _tree(weights: dict[bytes, float], models: int, room: int, source: str) -> Draft:
    """The likeliest endings as a tree of at most `room` bytes.

    Args:
        weights: shares of the mass, summed over so many models.
    """
    reached: dict[bytes, float] = {}
    for rest, weight in weights.items():
        for end in range(1, len(rest) + 1):
            reached[rest[:end]] = reached.get(rest[:end], 0.0) + weight / models
    draft = Draft()
    nodes: dict[bytes, int] = {b"": ROOT}
    # The likeliest first; of equals the shorter, so that no byte comes before its parent.
    order = sorted(reached, key=lambda rest: (-reached[rest], len(rest)))
    for rest in order[:room]:
        above = reached.get(rest[:-1], 1.0)
        chance = min(1.0, reached[rest] / above)
        nodes[rest] = draft.add(rest[-1], nodes[rest[:-1]], chance, source)
    return draft
