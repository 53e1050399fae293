"""What threads that share a memo write, one after the other.

Several threads may walk on one memo: steps that are known are read as they are; what is new is made
by one thread at a time, and its number is written down only when all of it is there. Whoever waits
too long (its holder may have lost the core) gets the status BUSY, and does something else.
"""

from __future__ import annotations

import numpy as np

from guided.kernels.atomics import exchange, pause, peek, release
from guided.kernels.compiling import folded, lean
from guided.kernels.configs import after_group, intern_config, make_step
from guided.kernels.memo_arrays import BUSY, FOLLOW, TURN, UNKNOWN

#: Looks at a turn that another thread has, before one gives up: some tens of microseconds.
_PATIENCE = 1 << 11


@folded
def _take(memo):  # type: ignore[no-untyped-def]
    """Waits for the turn; whether it came."""
    waited = 0
    while exchange(memo.size, TURN, 1) != 0:
        while peek(memo.size, TURN) != 0:
            pause()
            waited += 1
            if waited == _PATIENCE:
                return False
    return True


@lean
def shared_step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """The configuration after a step that was not known, 0 or a status, as of `make_step`."""
    if not _take(memo):
        return np.int64(BUSY)
    target = np.int64(memo.step[config, byte])
    if target == UNKNOWN:
        target = make_step(rules, memo, config, byte)
    elif target < 0:
        # Dead.
        target = np.int64(0)
    release(memo.size, TURN, 0)
    return target


@lean
def shared_after(rules, memo, group):  # type: ignore[no-untyped-def]
    """The configuration right after the terminal of `group`, or a status."""
    known = np.int64(memo.group[group, FOLLOW])
    if known > 0:
        return known
    if not _take(memo):
        return np.int64(BUSY)
    target = after_group(rules, memo, group)
    release(memo.size, TURN, 0)
    return target


@lean
def shared_config(rules, memo, thread):  # type: ignore[no-untyped-def]
    """The configuration of one thread that does not accept, or a status."""
    if not _take(memo):
        return np.int64(BUSY)
    memo.thread_room[0] = thread
    target = intern_config(rules, memo, memo.thread_room, np.int64(1), np.int64(0))
    release(memo.size, TURN, 0)
    return target
