"""Which tokens a byte-pair encoder puts side by side, told from how it merges, not by encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from guided.errors import VocabularyError

#: A rule is (left part, right part, result).
Rule = tuple[int, int, int]
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
    have a rule whose rank comes before the rules that make x and y parts of longer ones. Of equal
    ranks the left one is applied first.

    Args:
        size: number of token ids.
        symbols: tokens that text consists of before any merge.
        rules: in the order of their ranks.

    Raises:
        VocabularyError: a rule comes before one that makes its parts.
    """

    def __init__(self, size: int, symbols: Iterable[int], rules: Sequence[Rule]) -> None:
        self.size = size
        self._rank = {(left, right): rank for rank, (left, right, _) in enumerate(rules)}
        self._check_order(rules)
        self.reachable: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.reachable[list(symbols)] = True
        #: How a token was made: its parts (-1: it is a symbol) and the rank.
        self._left, self._right, self._birth = [-1] * size, [-1] * size, [_NEVER] * size
        for rank, (left, right, made) in enumerate(rules):
            if (
                not self.reachable[made]
                and self.reachable[left]
                and self.reachable[right]
                and self._meet(left, right)
            ):
                self.reachable[made] = True
                self._left[made], self._right[made], self._birth[made] = left, right, rank
        self._by_left = _grouped(rules, size)
        self._begins = self._beginnings()
        self.following = lru_cache(4096)(self._following)

    def _check_order(self, rules: Sequence[Rule]) -> None:
        last: dict[int, int] = {}
        for rank, (_, _, made) in enumerate(rules):
            last[made] = rank
        for rank, (left, right, _) in enumerate(rules):
            if max(last.get(left, -1), last.get(right, -1)) >= rank:
                raise VocabularyError(
                    f"merge {rank} of the tokenizer joins tokens {left} and {right}, one of which "
                    "only a later merge makes; byte laws need merges in the order of training"
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
                if rank < x_grows and rank <= y_grows and (x != left or y != right):
                    return False
                y, y_grows = self._left[y], self._birth[y]
            x, x_grows = self._right[x], self._birth[x]
        return True

    def _beginnings(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """(beginning, its token, rank at which it grows) for all beginnings of reachable tokens."""
        found: list[tuple[int, int, int]] = []
        for token in np.flatnonzero(self.reachable).tolist():
            part, grows = token, _NEVER
            while part >= 0:
                found.append((part, token, grows))
                part, grows = self._left[part], self._birth[part]
        table = np.array(found, np.int32).reshape(-1, 3)
        return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()

    def _following(self, left: int) -> NDArray[np.bool_]:
        """Bool `[size]`: the reachable tokens r with `adjacent(left, r)`; read-only, kept."""
        best = np.full(self.size, _NEVER, np.int32)
        x, x_grows = left, _NEVER
        while x >= 0:
            rights, ranks = self._by_left.get(x, _NO_RULES)
            live = ranks < x_grows
            np.minimum.at(best, rights[live], ranks[live])
            x, x_grows = self._right[x], self._birth[x]
        parts, tokens, grows = self._begins
        mask = self.reachable.copy()
        merging = (best[parts] <= grows) & (best[parts] < _NEVER)
        mask[tokens[merging]] = False
        mask.flags.writeable = False
        return mask


_NO_RULES = (np.zeros(0, np.int32), np.zeros(0, np.int32))


def _grouped(
    rules: Sequence[Rule], size: int
) -> dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """(right parts, ranks) of the rules with each left part."""
    if not rules:
        return {}
    table = np.array(rules, np.int32)
    order = np.argsort(table[:, 0], kind="stable").astype(np.int32)
    lefts, starts = np.unique(table[order, 0], return_index=True)
    groups = np.split(order, starts[1:])
    return {int(left): (table[group, 1], group) for left, group in zip(lefts, groups, strict=True)}
