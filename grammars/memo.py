"""Owns the growing memo of one grammar and repeats kernel calls after making room."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.grammars.any_order import AnyOrder
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels import parsing
from guided.kernels.parsing import EXPAND, GROW, Memo, Rules

#: Bytes that the memo of one grammar may take before it is started afresh.
MEMO_LIMIT = 256 << 20

# Rows of each growing table: the counter that fills it and the arrays that share it.
_TABLES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (parsing.N_CONTEXTS, ("ctx_begin", "ctx_end", "ctx_dist")),
    (parsing.N_CONTEXT_ITEMS, ("ctx_q", "ctx_outer")),
    (parsing.N_SETS, ("set_begin", "set_end", "set_accepting", "set_group", "set_group_end")),
    (parsing.N_KERNEL, ("kernel_item",)),
    (parsing.N_GROUPS, ("grp_lex", "grp_begin", "grp_end", "grp_dist")),
    (parsing.N_SCANS, ("scan_q", "scan_ctx")),
    (
        parsing.N_CONFIGS,
        ("cfg_begin", "cfg_end", "cfg_accepting", "cfg_dist", "cfg_live"),
    ),
    (parsing.N_THREADS, ("thread",)),
)
_WIDE = {"kernel_item": np.int64, "thread": np.int64}
_FIRST_ROOM = 512


def _new_memo(rules: Rules) -> Memo:
    arrays: dict[str, NDArray[Any]] = {}
    for _, names in _TABLES:
        for name in names:
            if name == "cfg_live":
                arrays[name] = np.zeros((_FIRST_ROOM, 4), np.uint64)
            else:
                arrays[name] = np.zeros(_FIRST_ROOM, _WIDE.get(name, np.int32))
    size = np.zeros(parsing.N_SIZES, np.int64)
    # Number 0 is the free slot of the hash tables and the dead configuration.
    for counter in (parsing.N_CONTEXTS, parsing.N_SETS, parsing.N_CONFIGS):
        size[counter] = 1
    return Memo(
        size=size,
        hash_ctx=np.zeros(2 * _FIRST_ROOM, np.int32),
        hash_set=np.zeros(2 * _FIRST_ROOM, np.int32),
        hash_cfg=np.zeros(2 * _FIRST_ROOM, np.int32),
        step_key=np.full(8 * _FIRST_ROOM, -1, np.int64),
        step_to=np.zeros(8 * _FIRST_ROOM, np.int32),
        scratch=np.zeros(16, np.int64),
        stamp=np.zeros(len(rules.rule_start) + 1, np.int32),
        **arrays,
    )


class Parser:
    """The memoised parser of one grammar. Thread-safe: one call at a time.

    Configurations are integers that stay valid for the life of this object. When the memo
    outgrows `limit` bytes, `full` turns true and the grammar starts a new parser.
    """

    def __init__(self, rules: Rules, builder: RuleBuilder, limit: int = MEMO_LIMIT) -> None:
        self.rules = rules
        self.limit = limit
        self.lock = threading.Lock()
        self._any_order = AnyOrder(builder) if builder.any_order else None
        self.memo = _new_memo(rules)
        self._repeat(parsing.open_memo)
        self.start = int(self._repeat(parsing.start_config, 0))

    @property
    def n_bytes(self) -> int:
        """Bytes that the memo takes."""
        return sum(array.nbytes for array in self.memo)

    @property
    def full(self) -> bool:
        """Whether the memo has outgrown its limit."""
        return bool(self.n_bytes > self.limit)

    def walk(self, config: int, data: bytes) -> tuple[int, int]:
        """(configuration after `data`, bytes taken); configuration 0 where a byte is illegal."""
        with self.lock:
            target, taken = self._repeat(
                parsing.walk_bytes, config, np.frombuffer(data, np.uint8)
            )
        return int(target), int(taken)

    def call(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `kernel(rules, memo, *arguments)`; its (first) value is never a status."""
        with self.lock:
            return self._repeat(kernel, *arguments)

    def is_accepting(self, config: int) -> bool:
        """Whether the text that led here is a word of the grammar."""
        return bool(self.memo.cfg_accepting[config])

    def distance(self, config: int) -> int:
        """Fewest bytes that complete the text."""
        return int(self.memo.cfg_dist[config])

    def live_bytes(self, config: int) -> NDArray[np.uint64]:
        """256 bits: the bytes that may follow."""
        return self.memo.cfg_live[config]  # type: ignore[no-any-return]

    def _repeat(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            result = kernel(self.rules, self.memo, *arguments)
            status = result[0] if isinstance(result, tuple) else result
            if status >= 0:
                return result
            if status == GROW:
                self._grow()
            elif status == EXPAND and self._any_order is not None:
                self.rules = self._any_order.expand(self.rules, int(self.memo.scratch[0]))
            else:
                raise GrammarTooLargeError("too many parallel readings of the grammar")

    def _grow(self) -> None:
        memo = self.memo
        changed: dict[str, NDArray[Any]] = {}
        for counter, names in _TABLES:
            room = len(getattr(memo, names[0]))
            if 2 * memo.size[counter] + 64 > room:
                for name in names:
                    changed[name] = _doubled(getattr(memo, name))
        # Scans are reserved in blocks: a single wide set may need more than is left.
        if not changed:
            for name in ("grp_lex", "grp_begin", "grp_end", "grp_dist", "scan_q", "scan_ctx",
                         "kernel_item", "thread", "ctx_q", "ctx_outer"):
                changed[name] = _doubled(getattr(memo, name))
        memo = memo._replace(**changed)
        self.memo = _rehashed(memo)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    wider = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    wider[: len(array)] = array
    return wider


def _rehashed(memo: Memo) -> Memo:
    """The memo with hash tables that are at most a quarter full."""
    changed: dict[str, NDArray[Any]] = {}
    for name, counter, fill in (
        ("hash_ctx", parsing.N_CONTEXTS, parsing.rehash_contexts),
        ("hash_set", parsing.N_SETS, parsing.rehash_sets),
        ("hash_cfg", parsing.N_CONFIGS, parsing.rehash_configs),
    ):
        size = len(getattr(memo, name))
        if 4 * memo.size[counter] >= size:
            table = np.zeros(4 * size, np.int32)
            fill(memo, table)
            changed[name] = table
    if 4 * memo.size[parsing.N_STEPS] >= len(memo.step_key):
        keys = np.full(4 * len(memo.step_key), -1, np.int64)
        targets = np.zeros(len(keys), np.int32)
        parsing.rehash_steps(memo, keys, targets)
        changed["step_key"] = keys
        changed["step_to"] = targets
    return memo._replace(**changed)
