"""Moves the memo's hash tables to larger ones."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.memo_arrays import (
    ACCEPTING,
    BEGIN,
    END,
    ITEM_CONTEXT,
    ITEM_STATE,
    N_CONFIGS,
    N_SETS,
    mix,
)


@entry
def rehash_contexts(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the acyclic contexts (those that the old table holds)."""
    for i in range(len(memo.context_hash)):
        c = memo.context_hash[i]
        if c == 0:
            continue
        begin = memo.context[c, BEGIN]
        count = memo.context[c, END] - begin
        h = np.uint64(count)
        for k in range(count):
            h = mix(
                h,
                np.int64(memo.waiting[begin + k, ITEM_STATE]) << 32
                | np.int64(memo.waiting[begin + k, ITEM_CONTEXT]),
            )
        _place(table, h, c)


@entry
def rehash_sets(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the parse sets."""
    for e in range(1, memo.size[N_SETS]):
        h = np.uint64(memo.parse_set[e, END] - memo.parse_set[e, BEGIN])
        for k in range(memo.parse_set[e, BEGIN], memo.parse_set[e, END]):
            h = mix(h, memo.kernel[k])
        _place(table, h, e)


@entry
def rehash_configs(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the configurations."""
    for c in range(1, memo.size[N_CONFIGS]):
        begin = memo.config[c, BEGIN]
        end = memo.config[c, END]
        h = np.uint64((end - begin) * 2 + memo.config[c, ACCEPTING])
        for k in range(begin, end):
            h = mix(h, memo.thread[k])
        _place(table, h, c)


@inner
def _place(table, h, value):  # type: ignore[no-untyped-def]
    size = len(table)
    slot = np.int64(h & np.uint64(size - 1))
    while table[slot] != 0:
        slot = (slot + 1) & (size - 1)
    table[slot] = value
