"""Owns the growing memo of one grammar and repeats kernel calls after making room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.grammars.any_order import AnyOrder
from guided.grammars.fork_safe import PARSER, fork_safe
from guided.grammars.marks import Marks
from guided.grammars.memo_room import room
from guided.grammars.once import once
from guided.kernels import memo_arrays, rehash
from guided.kernels.configs import NOWHERE, walk
from guided.kernels.handles import handle_of
from guided.kernels.memo_arrays import (
    ACCEPT,
    ACCEPTING,
    BUSY,
    COUNTED,
    DFA,
    EXPAND,
    FIRST,
    GROW,
    LEXEME,
    OFFSET,
    REST,
    STEP,
    WIDE,
    Memo,
    Rules,
)
from guided.kernels.wide_masks import MOST_STATES, write_residual

#: Bytes that the memo of one grammar may take before it is started afresh.
MEMO_LIMIT = 256 << 20

# Each growing array with the counter that fills it.
_GROWING: dict[str, int] = {
    "context": memo_arrays.N_CONTEXTS,
    "waiting": memo_arrays.N_WAITING,
    "parse_set": memo_arrays.N_SETS,
    "kernel": memo_arrays.N_KERNEL,
    "group": memo_arrays.N_GROUPS,
    "scan": memo_arrays.N_SCANS,
    "config": memo_arrays.N_CONFIGS,
    "live": memo_arrays.N_CONFIGS,
    "step": memo_arrays.N_CONFIGS,
    "thread": memo_arrays.N_THREADS,
}
# As all that is walked is: numba compiles for read-only arrays and for others by themselves.
_NOTHING = np.frombuffer(b"", np.uint8)
# Rows of the bytes that lead on from states that are looked at together.
_FOLD = 32
# A call must finish before the memo is started afresh; it may take this many times the limit.
_ROOM = 4


@lru_cache(maxsize=256)
def _bytes_of(bits: bytes) -> frozenset[int]:
    """The bytes whose bits are set."""
    marks = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return frozenset(np.flatnonzero(marks).tolist())


class Parser:
    """The memoised parser of one grammar. Thread-safe: one call at a time.

    Configurations are integers that stay valid for the life of this object. When the memo
    outgrows `limit` bytes, `full` turns true and the grammar starts a new parser.
    """

    def __init__(self, rules: Rules, marks: Marks, limit: int = MEMO_LIMIT) -> None:
        self.rules = rules
        self.limit = limit
        #: Whether the memo has outgrown its limit.
        self.full = False
        self.lock = fork_safe(threading.RLock(), PARSER)
        self._free_text = marks.free_text
        self._distinct = marks.distinct.union(marks.scarce)
        self._any_order = AnyOrder(marks.any_order, rules) if marks.any_order else None
        self._contents: dict[int, bytes] = {}
        memory = room()
        self.memo, handle = memory.memo(len(rules.rule))
        finalize(self, memory.give_back).atexit = False
        self._handle = np.concatenate((handle_of(rules), handle))
        #: Where the handle is, for kernels; until the memo grows.
        self.address = int(self._handle.ctypes.data)
        self.start = int(self._repeat(walk, NOWHERE, _NOTHING)[0])

    @property
    def n_bytes(self) -> int:
        """Bytes that the memo takes."""
        used = min(len(self.memo.config), len(self.memo.step)) * 1024
        others = sum(int(array.nbytes) for array in self.memo) - int(self.memo.step.nbytes)
        return others + used

    @property
    def n_configs(self) -> int:
        """Number that every configuration made so far is below."""
        return int(self.memo.size[memo_arrays.N_CONFIGS])

    def make_room(self) -> None:
        """Raises the limit if this text alone has filled the memo."""
        while self.full:
            self.limit *= 2
            self.full = self.n_bytes > self.limit

    @once
    def used_bytes(self) -> frozenset[int]:
        """Bytes that some terminal of the grammar uses."""
        # Many rows at a time first: numpy takes long over rows of four words.
        live = self.rules.live
        count = len(live) // _FOLD
        if count > 4:
            many = np.bitwise_or.reduce(live[: count * _FOLD].reshape(count, 4 * _FOLD), axis=0)
            live = np.concatenate((many.reshape(_FOLD, 4), live[count * _FOLD :]))
        return _bytes_of(np.bitwise_or.reduce(live, axis=0).tobytes())

    def walk(self, config: int, data: bytes) -> tuple[int, int]:
        """(configuration after `data`, bytes taken); configuration 0 where a byte is illegal."""
        with self.lock:
            config, taken = self._repeat(walk, config, np.frombuffer(data, np.uint8))
        return int(config), int(taken)

    def call(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `kernel(handle, *arguments)`; its (first) value is no status from here."""
        with self.lock:
            return self._repeat(kernel, *arguments)

    def fact_of(self, lex: int, state: int) -> int:
        """The row of `rules.fact` for an automaton state of terminal `lex`."""
        return int(self.rules.dfa[self.rules.lexeme[lex, DFA], FIRST]) + state

    def content(self, lex: int, state: int) -> tuple[bytes, bool]:
        """(key, whether it is of what may follow `state` of terminal `lex` inside of it).

        Small automata have equal keys wherever they are equal, whatever grammar they stand in. Of
        a large one, and for a `state` of -1, it is the key of the whole automaton.
        """
        if state >= 0:
            with self.lock:
                table = np.empty((MOST_STATES, 257), np.uint8)
                count = int(write_residual(self._handle, lex, state, table))
            if count > 0:
                return sha256(table[:count].data, usedforsecurity=False).digest(), True
        dfa = int(self.rules.lexeme[lex, DFA])
        key = self._contents.get(dfa)
        if key is None:
            columns, accepting, table = self.automaton(lex)
            digest = sha256(columns.tobytes(), usedforsecurity=False)
            digest.update(accepting.tobytes())
            digest.update(table.tobytes())
            key = self._contents[dfa] = digest.digest()
        return key, False

    def automaton(self, lex: int) -> tuple[NDArray[Any], ...]:
        """(columns of all bytes, which states accept, the table) of the automaton of a terminal."""
        rules, dfa = self.rules, int(self.rules.lexeme[lex, DFA])
        first, last = rules.dfa[dfa : dfa + 2, FIRST].tolist()
        begin, end = rules.dfa[dfa : dfa + 2, OFFSET].tolist()
        return rules.columns[dfa], rules.fact[first:last, ACCEPT], rules.trans[begin:end]

    def is_accepting(self, config: int) -> bool:
        """Whether the text that led here is a word of the grammar."""
        return bool(self.memo.config.item(config, ACCEPTING))

    def distance(self, config: int) -> int:
        """Fewest bytes that complete the text."""
        return int(self.memo.config[config, REST])

    def live_bytes(self, config: int) -> list[int]:
        """The bytes that may come next."""
        bits = np.unpackbits(self.memo.live[config].view(np.uint8), bitorder="little")
        found: list[int] = np.flatnonzero(bits).tolist()
        return found

    def in_free_text(self, config: int) -> bool:
        """Whether some reading of the text is inside of a free-text terminal."""
        if not self._free_text:
            return False
        begin, end = self.memo.config[config, :2]
        groups = self.memo.thread[begin:end] >> 32
        return not self._free_text.isdisjoint(self.memo.group[groups, LEXEME].tolist())

    def opens_distinct(self, config: int) -> bool:
        """Whether an array of distinct items may open with the next byte."""
        begin, end = self.memo.config[config, :2]
        threads = self.memo.thread[begin:end]
        # Before its first byte a terminal is in state 0.
        groups = threads[threads & 0xFFFFFFFF == 0] >> 32
        return not self._distinct.isdisjoint(self.memo.group[groups, LEXEME].tolist())

    def _repeat(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            result = kernel(self._handle, *arguments)
            status = result[0] if isinstance(result, tuple) else result
            if status >= 0 or status in (WIDE, COUNTED):
                return result
            if status == GROW:
                self._grow()
            elif status == STEP:
                config, byte = self.memo.scratch[1:3].tolist()
                self._repeat(walk, config, np.frombuffer(bytes([byte]), np.uint8))
            elif status == EXPAND and self._any_order is not None:
                self._any_order.expand(int(self.memo.scratch[0]))
                self._handle[:4] = self._any_order.handle
            else:
                raise GrammarTooLargeError("too many parallel readings of the grammar")

    def settle(self, status: int, asked: int, seen: int) -> None:
        """Does what a kernel asked for that has returned `status`, unless it was done since.

        Args:
            asked: the first number that the kernel left; `seen`: `address` as it was then.
        """
        with self.lock:
            if status == GROW:
                if self.address == seen:
                    self._grow()
            elif status == EXPAND and self._any_order is not None:
                if self._any_order.is_unexpanded(asked):
                    self._any_order.expand(asked)
                    self._handle[:4] = self._any_order.handle
            elif status != BUSY:
                raise GrammarTooLargeError("too many parallel readings of the grammar")

    def widen(self) -> None:
        """Makes room for twice as much, which else happens in the middle of a text."""
        with self.lock:
            self._grow(rehash_all=True)

    def _grow(self, *, rehash_all: bool = False) -> None:
        memo = self.memo
        if self.n_bytes > _ROOM * self.limit:
            raise GrammarTooLargeError(
                f"reading a single token needs more than {_ROOM * self.limit >> 20} MB of memo: "
                "the grammar is too ambiguous"
            )
        filling = [
            name
            for name, counter in _GROWING.items()
            if 2 * memo.size[counter] + 64 > len(getattr(memo, name))
        ]
        # A single wide parse set may need more room at once than a half-empty array has.
        names = filling or [*_GROWING, "thread_room", "kernel_room"]
        names = [n for n in names if n != "step" or len(memo.step) < 2 * len(memo.config)]
        wider = {
            name: _doubled(getattr(memo, name), int(memo.size[_GROWING[name]]))
            if name in _GROWING
            else _doubled(getattr(memo, name), 0)
            for name in names
        }
        memo = memo._replace(**wider)
        self.memo = _rehashed(memo, rehash_all)
        self._handle = handle_of((*self.rules, *self.memo))
        self.address = int(self._handle.ctypes.data)
        if self._any_order is not None:
            # Of the rules the states and the edges come first.
            self._handle[:4] = self._any_order.handle
        self.full = self.n_bytes > self.limit


def _doubled(array: NDArray[Any], filled: int) -> NDArray[Any]:
    # What is not filled yet stays untouched: new memory costs more than copying.
    wider = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    wider[:filled] = array[:filled]
    return wider


def _rehashed(memo: Memo, always: bool) -> Memo:
    """The memo with hash tables that are at most a quarter full."""
    changed: dict[str, NDArray[Any]] = {}
    for name, counter, fill in (
        ("context_hash", memo_arrays.N_CONTEXTS, rehash.rehash_contexts),
        ("set_hash", memo_arrays.N_SETS, rehash.rehash_sets),
        ("config_hash", memo_arrays.N_CONFIGS, rehash.rehash_configs),
    ):
        size = len(getattr(memo, name))
        if always or 4 * memo.size[counter] >= size:
            changed[name] = np.zeros(4 * size, np.int32)
            fill(memo, changed[name])
    return memo._replace(**changed)
