"""Which tokens a byte-pair encoder puts side by side, told from how it merges, not by encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from guided.errors import VocabularyError

#: A rule is (left part, right part, result).
Rule = tuple[int, int, int]
#: Most bytes of masks that are kept.
_KEPT_BYTES = 1 << 26
_NEVER = np.iinfo(np.int32).max


class Merges:
    """The merge rules of a tokenizer, best first, and the history of every token under them.

    A token is *reachable* where the encoder turns its spelling into it alone. Inside one piece of
    text a sequence of tokens is what the encoder produces exactly where its tokens are reachable
    and every two neighbours are `adjacent`.

    Why neighbours suffice, and how they are told: left of and right of the boundary between `l`
    and `r` the encoder works by itself until it merges across. What touches the boundary is
    first the last symbol of `l`, then ever longer ends of it, each made at the rank of its rule;
    likewise the beginnings of `r`. So `l`, `r` stay apart unless some end x and some beginning y
    stand there at the same time, and have a rule whose rank comes before those of the rules that
    make x and y parts of longer ones. Of equal ranks the left one is applied first.

    Args:
        size: number of token ids.
        symbols: tokens that text consists of before any merge.
        rules: in the order of their ranks.

    Raises:
        VocabularyError: a token that is made by a rule which comes before those that make its
            parts. (There may be such rules: converted tokenizers list all ways to cut a token.)
    """

    def __init__(self, size: int, symbols: Iterable[int], rules: Sequence[Rule]) -> None:
        self.size = size
        self._rank = {(left, right): rank for rank, (left, right, _) in enumerate(rules)}
        self.reachable: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.reachable[list(symbols)] = True
        #: How a token was made: its parts (-1: it is a symbol) and the rank.
        self._left, self._right, self._born = [-1] * size, [-1] * size, [-1] * size
        late: list[tuple[int, Rule]] = []
        for rank, (left, right, made) in enumerate(rules):
            if self.reachable[made]:
                continue
            if not (self.reachable[left] and self.reachable[right]):
                late.append((rank, (left, right, made)))
            elif self._meet(left, right):
                self.reachable[made] = True
                self._left[made], self._right[made], self._born[made] = left, right, rank
        self._check_late(late)
        self._by_left = _grouped(rules)
        self._begins = self._beginnings()
        self.following = lru_cache(max(64, _KEPT_BYTES // size))(self._following)

    def _check_late(self, late: Iterable[tuple[int, Rule]]) -> None:
        for rank, (left, right, made) in late:
            reachable = self.reachable[left] and self.reachable[right]
            if not self.reachable[made] and reachable and self._meet(left, right):
                raise VocabularyError(
                    f"merge {rank} of the tokenizer makes token {made} of {left} and {right}, one "
                    "of which only a later merge makes; byte laws need the order of training"
                )

    def adjacent(self, left: int, right: int) -> bool:
        """Whether encoding the text of both gives `[left, right]`; both must be reachable."""
        return (left, right) not in self._rank and self._meet(left, right)

    def _meet(self, left: int, right: int) -> bool:
        """Whether no part of `left` merges with a part of `right` before both are complete."""
        x, x_grows = left, _NEVER
        while x >= 0:
            y, y_grows = right, _NEVER
            while y >= 0:
                rank = self._rank.get((x, y), _NEVER)
                if (
                    rank < x_grows
                    and rank <= y_grows
                    and self._born[y] < x_grows
                    and self._born[x] <= y_grows
                    and (x != left or y != right)
                ):
                    return False
                y, y_grows = self._left[y], self._born[y]
            x, x_grows = self._right[x], self._born[x]
        return True

    def _beginnings(self) -> NDArray[np.int32]:
        """Of all beginnings of reachable tokens: itself, the token, when born, when it grows."""
        found: list[tuple[int, int, int, int]] = []
        for token in np.flatnonzero(self.reachable).tolist():
            part, grows = token, _NEVER
            while part >= 0:
                found.append((part, token, self._born[part], grows))
                part, grows = self._left[part], self._born[part]
        return np.array(found, np.int32).reshape(-1, 4).T.copy()

    def _following(self, left: int) -> NDArray[np.bool_]:
        """Bool `[size]`: the reachable tokens r with `adjacent(left, r)`; read-only, kept."""
        parts, tokens, born, grows = self._begins
        mask = self.reachable.copy()
        x, x_grows = left, _NEVER
        while x >= 0:
            rights, ranks = self._by_left.get(x, _NO_RULES)
            live = ranks < x_grows
            rank_of = np.full(self.size, _NEVER, np.int32)
            rank_of[rights[live]] = ranks[live]
            some = np.flatnonzero(rank_of[parts] < _NEVER)
            merging = (
                (rank_of[parts[some]] <= grows[some])
                & (born[some] < x_grows)
                & (self._born[x] <= grows[some])
            )
            mask[tokens[some[merging]]] = False
            x, x_grows = self._right[x], self._born[x]
        mask.flags.writeable = False
        return mask


_NO_RULES = (np.zeros(0, np.int32), np.zeros(0, np.int32))


def _grouped(
    rules: Sequence[Rule],
) -> dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """(right parts, ranks) of the rules with each left part."""
    if not rules:
        return {}
    table = np.array(rules, np.int32)
    order = np.argsort(table[:, 0], kind="stable").astype(np.int32)
    lefts, starts = np.unique(table[order, 0], return_index=True)
    groups = np.split(order, starts[1:])
    return {int(left): (table[group, 1], group) for left, group in zip(lefts, groups, strict=True)}
