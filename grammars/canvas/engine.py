"""A grammar over one vocabulary, ready for canvases."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.crossing import candidates, followers, pruned, token_tree, with_mids
from guided.grammars.canvas.net import compact
from guided.grammars.canvas.plain import PlainRules
from guided.grammars.canvas.unions import United
from guided.grammars.once import once
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import (
    FULL,
    N_FOLLOWERS,
    N_MEMBERS,
    N_SETS,
    N_SIDES,
    UNKNOWN,
    Mids,
    Sets,
)
from guided.kernels.canvas_sets import ends_at, fill_runs, first_set, rehash_sets
from guided.kernels.first_use import CANVASES, announce
from guided.kernels.memo_arrays import DFA, FIRST, LEAST, MOST, PLAIN, Rules

#: Nodes of the token trie that are visited for the tokens of more than three bytes.
LONG_VISITS = 30_000
#: Mids of a mask where a vocabulary is large.
MOST_MIDS = 96


@dataclass
class Taken:
    """Room that tables took, for which the next ones begin.

    Attributes:
        left: rows of the left table for each main position.
        right: the same of the right table.
        tails: its terminals in progress for each main position.
        pairs: its pairs of a state and a set.
        inner: numbers of positions inside of masks.
    """

    left: int = 8
    right: int = 8
    tails: int = 256
    pairs: int = 1024
    inner: int = 64


class CanvasEngine:
    """What canvases of one grammar and vocabulary share. Thread-safe: take `lock` for a call.

    Attributes:
        alphabet: uint8[256], the bytes that gaps may hold: those that are tokens by themselves.
        closed: whether gaps leave no text out.
        loose: whether this is the engine of a wider question, in which gaps hold any bytes and
            there are no masks. What it calls impossible is impossible.
    """

    def __init__(self, plain: PlainRules, vocabulary: Vocabulary, *, loose: bool = False) -> None:
        _announce()
        self.rules = plain.rules
        self.vocabulary = vocabulary
        self.lock = threading.RLock()
        self.net, self.cyclic = compact(plain.rules)
        self.callers, self.targets = United.callers(self.net), United.targets(self.net)
        self.sets = _new_sets(plain.rules)
        self.token_nodes = vocabulary.whole_trie.node
        self.most_visits = np.int64(1 << 40 if len(self.token_nodes) < 1 << 15 else LONG_VISITS)
        self.alphabet = np.zeros(256, np.uint8)
        self.alphabet[list(range(256)) if loose else sorted(vocabulary.single_bytes - {0xFF})] = 1
        for lex in range(len(plain.rules.lexeme)):
            self.sets.first[lex] = self.repeat(
                lambda lex=lex: first_set(self.rules, self.sets, lex)
            )
        self.complete = plain.complete
        #: What tables with mids have taken, and those without.
        self.taken = {True: Taken(), False: Taken()}
        self.final = np.flatnonzero((self.net.rule_of == 0) & (self.net.final != 0))
        #: The first boundary with which the text of the last canvas could end.
        self.first_end = 0
        self.closed = vocabulary.is_closed and not _has_specials(plain.rules)
        self.mids, self._all_tokens = (self._mids_of(()), True) if loose else self._find_mids()

    @property
    def tries_all_tokens(self) -> bool:
        """Whether no token was left out so far (given mids in all masks)."""
        return self._all_tokens and not self.sets.truncated[0]

    @once
    def classes(self) -> bytes:
        """For every byte the number of its class: no terminal tells apart bytes of one class."""
        _, inverse = np.unique(self.rules.columns, axis=1, return_inverse=True)
        classes = inverse.reshape(-1)
        # The quote, which ends counted strings, has a column of its own in them.
        return bytes(classes.astype(np.uint8).tolist())

    @once
    def representatives(self) -> list[tuple[int, bytes]]:
        """(token, bytes) of one token for each class that no terminal tells apart, short first."""
        kinds: dict[bytes, tuple[int, bytes]] = {}
        for data, token in self.vocabulary.spellings.items():
            kinds.setdefault(data.translate(self.classes), (token, data))
        return sorted(kinds.values(), key=lambda pair: (len(pair[1]), pair[1]))

    def repeat(self, call: Any) -> Any:
        """The result of `call()`, which is tried again with more room for sets while it is FULL."""
        while True:
            result = call()
            if result != FULL:
                return result
            self.grow()

    @property
    def nearly_full(self) -> bool:
        """Whether some array of the sets is at least half full."""
        sets = self.sets
        return any(
            2 * sets.size[counter] >= len(array)
            for counter, array in (
                (N_SETS, sets.lexeme),
                (N_MEMBERS, sets.member),
                (N_FOLLOWERS, sets.follower),
                (N_SIDES, sets.side_mid),
            )
        )

    def grow(self) -> None:
        """Makes room for sets: doubles what is nearly full, and the small arrays where none is."""
        self.sets = _grown(self.sets)

    def _find_mids(self) -> tuple[Mids, bool]:
        for longest in (None, 3, 2):
            texts, complete = candidates(self.vocabulary, self.classes, longest)
            mids = self._mids_of(texts)
            if complete or len(mids.node_of) <= MOST_MIDS:
                return mids, complete
        return mids, False

    def _mids_of(self, texts: tuple[bytes, ...]) -> Mids:
        lexemes = len(self.rules.lexeme)
        node, skip = token_tree(texts)
        inner = np.flatnonzero(skip - np.arange(len(skip)) > 1)
        trial = with_mids(node, skip, inner.tolist(), lexemes)
        follow = followers(self.net, lexemes)
        wanted = np.zeros((len(inner), lexemes), np.uint8)
        for lex in range(lexemes):
            wanted[self._ends(trial, lex) > 0] |= follow[lex].astype(np.uint8)
        trial = self._with_all_runs(trial, wanted, follow)
        goes_on = (trial.run[:, :, 2] >= 0) | (trial.run[:, :, 1] > trial.run[:, :, 0])
        useful = np.zeros(len(node), np.bool_)
        useful[inner] = goes_on.any(axis=1)
        node, skip, chosen = pruned(node, skip, useful)
        mids = with_mids(node, skip, chosen.tolist(), lexemes)
        self._reset_sides()
        return self._with_runs(mids, np.ones((len(chosen), lexemes), np.uint8))

    def _ends(self, mids: Mids, lex: int) -> NDArray[np.uint8]:
        """Marks of the mids at which a terminal may end that was in progress before the token."""
        found = np.zeros(len(mids.node_of), np.uint8)
        states = np.arange(_n_states(self.rules, lex), dtype=np.int64)
        self._reset_sides()
        self.repeat(lambda: ends_at(self.rules, self.sets, mids, lex, states, found))
        return found

    def _with_all_runs(
        self, mids: Mids, wanted: NDArray[np.uint8], follow: NDArray[np.bool_]
    ) -> Mids:
        """With the runs of the wanted terminals, and of those that may come after these."""
        while True:
            mids = self._with_runs(mids, wanted)
            before = int(wanted.sum())
            for mid, lex in zip(*np.nonzero(wanted), strict=True):
                begin, end, _ = mids.run[mid, lex]
                wanted[mids.run_mid[begin:end]] |= follow[lex].astype(np.uint8)
            if int(wanted.sum()) == before:
                return mids

    def _with_runs(self, mids: Mids, wanted: NDArray[np.uint8]) -> Mids:
        while True:
            used = fill_runs(self.rules, self.sets, mids, wanted, mids.run, mids.run_mid)
            if used != FULL:
                return mids
            mids = mids._replace(run_mid=np.zeros(2 * len(mids.run_mid), np.int32))
            self.grow()

    def _reset_sides(self) -> None:
        self.sets.side[:] = -1
        self.sets.size[N_SIDES] = 0


@cache
def _announce() -> None:
    """Says once that kernels are compiled, where they are."""
    announce(CANVASES, "what fills in texts")


def _n_states(rules: Rules, lex: int) -> int:
    dfa = rules.lexeme[lex, DFA]
    states = int(rules.dfa[dfa + 1, FIRST] - rules.dfa[dfa, FIRST])
    if rules.lexeme[lex, LEAST] == PLAIN:
        return states
    return states * (int(max(rules.lexeme[lex, LEAST], rules.lexeme[lex, MOST], 0)) + 1)


def _has_specials(rules: Rules) -> bool:
    return bool((rules.live[:, 3] >> np.uint64(63)).any())


def _new_sets(rules: Rules) -> Sets:
    lexemes = len(rules.lexeme)
    base = np.zeros(lexemes + 1, np.int64)
    base[1:] = np.cumsum([_n_states(rules, lex) for lex in range(lexemes)])
    room = 256
    return Sets(
        size=np.zeros(4, np.int64),
        lexeme=np.zeros(room, np.int32),
        begin=np.zeros(room + 1, np.int32),
        accepts=np.zeros(room, np.uint8),
        member=np.zeros(1024, np.int32),
        table=np.full(4 * room, -1, np.int32),
        step=np.full((room, 256), UNKNOWN, np.int32),
        after_token=np.full(room, UNKNOWN, np.int32),
        after_text=np.full(room, UNKNOWN, np.int32),
        side=np.full((room, 2), -1, np.int32),
        side_mid=np.zeros(1024, np.int32),
        first=np.zeros(lexemes, np.int32),
        base=base,
        followers=np.full((int(base[-1]), 2), -1, np.int32),
        follower=np.zeros(1024, np.int32),
        truncated=np.zeros(1, np.uint8),
    )


def _grown(sets: Sets) -> Sets:
    counts = {
        "lexeme": N_SETS,
        "begin": N_SETS,
        "accepts": N_SETS,
        "step": N_SETS,
        "after_token": N_SETS,
        "after_text": N_SETS,
        "side": N_SETS,
        "member": N_MEMBERS,
        "follower": N_FOLLOWERS,
        "side_mid": N_SIDES,
    }
    full = {
        counter
        for name, counter in counts.items()
        if 2 * sets.size[counter] >= len(getattr(sets, name))
    }
    wider = {
        name: _doubled(getattr(sets, name))
        for name, counter in counts.items()
        if counter in full or (not full and counter != N_SETS)
    }
    sets = sets._replace(**wider)
    if 4 * len(sets.lexeme) > len(sets.table):
        table = np.full(4 * len(sets.lexeme), -1, np.int32)
        sets = sets._replace(table=table)
        rehash_sets(sets)
    return sets


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)])
