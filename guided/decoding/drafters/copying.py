"""The index behind prompt lookup: where the last few tokens of a sequence stood before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Bits of a token id within the key of an n-gram, which is exact.
_BITS = 32
#: Tokens up to which a match is followed backwards to see how long it is.
_LONGEST = 16
#: Places after a lost copy source at which the copy may go on.
_WINDOW = 8
#: A copy this long is worth going on with after one token differed.
_SETTLED = 3

#: Where an n-gram was last followed by some token, and before that by another one (-1: never).
Places = tuple[int, int]
_NOWHERE: Places = (-1, -1)


class CopyIndex:
    """Finds earlier places of the last tokens; each new token costs a few table entries.

    Args:
        known: tokens that come first, and `table`, their index (made by `index_of`): shared
            between all sequences that begin with them.
        n_max: longest n-gram in the tables.
    """

    def __init__(self, known: Sequence[int], table: Mapping[int, Places], n_max: int) -> None:
        self.tokens = list(known)
        self.n_max = n_max
        #: Where the copy at hand goes on, -1: there is none; and how long it has been.
        self.source = -1
        self.copied = 0
        self._shared = table
        self._own: dict[int, Places] = {}

    def copy(self) -> CopyIndex:
        """An index that goes on from here by itself."""
        twin = CopyIndex(self.tokens, self._shared, self.n_max)
        twin.source, twin.copied = self.source, self.copied
        twin._own = dict(self._own)
        return twin

    def extend(self, tokens: Sequence[int]) -> None:
        """Adds new tokens at the end and moves the copy source along."""
        for token in tokens:
            _insert(self.tokens, token, self.n_max, self._own)
            self.tokens.append(token)
            self._follow(token)

    def _follow(self, token: int) -> None:
        """Input-guided aggressive decoding: the source stays aligned across a correction."""
        if self.source < 0:
            return
        if self.tokens[self.source] == token:
            self.source += 1
            self.copied += 1
            return
        was_settled = self.copied >= _SETTLED
        begin, end = self.source + 1, min(self.source + 1 + _WINDOW, len(self.tokens) - 1)
        self.copied = 0
        if not was_settled:
            self.source = -1
            return
        # The source has something more than the copy, or else another token in this place.
        skipped = next((i for i in range(begin, end) if self.tokens[i] == token), begin - 1)
        self.source = skipped + 1 if skipped + 1 < len(self.tokens) else -1

    def candidates(self) -> list[tuple[int, int]]:
        """(matching tokens before it, place to copy from), the best first, each place once.

        Places follow the longest n-gram that stood somewhere before, the latest first. The copy at
        hand counts one more: after a token that differed it is worth as much as a single token.
        """
        found = {} if self.source < 0 else {self.source: self.matched(self.source) + 1}
        key = 0
        keys = []
        for n in range(1, min(self.n_max, len(self.tokens)) + 1):
            key = key << _BITS | (self.tokens[-n] + 1)
            keys.append(key)
        for key in reversed(keys):
            own, shared = self._own.get(key, _NOWHERE), self._shared.get(key, _NOWHERE)
            for place in (*own, *shared):
                if place >= 0 and place not in found:
                    found[place] = self.matched(place)
            if len(found) > 1:
                break
        return sorted(((n, place) for place, n in found.items()), key=lambda item: -item[0])

    def start(self, matched: int, place: int) -> None:
        """Makes the copy from `place` the one at hand."""
        self.copied = max(self.copied, matched) if place == self.source else matched
        self.source = place

    def matched(self, place: int) -> int:
        """How many tokens before `place` are those at the end."""
        tokens, end = self.tokens, len(self.tokens)
        longest = min(place, _LONGEST)
        for n in range(longest):
            if tokens[place - 1 - n] != tokens[end - 1 - n]:
                return n
        return longest


def index_of(tokens: Sequence[int], n_max: int) -> dict[int, Places]:
    """For the key of every n-gram of `tokens` that something follows, where that stands."""
    table: dict[int, Places] = {}
    before: list[int] = []
    for token in tokens:
        _insert(before, token, n_max, table)
        before.append(token)
    return table


def _insert(before: list[int], token: int, n_max: int, table: dict[int, Places]) -> None:
    """Notes that `token` follows each of the n-grams at the end of `before`."""
    at = len(before)
    key = 0
    for n in range(1, min(n_max, at) + 1):
        # Ids count from 1, so that n-grams of different lengths have different keys.
        key = key << _BITS | (before[-n] + 1)
        last, other = table.get(key, _NOWHERE)
        table[key] = (at, last if last >= 0 and before[last] != token else other)
