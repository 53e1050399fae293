"""The arrays that hold a grammar and the memo of its parser.

Three kinds of values are interned to integers, each built from the ones before:

* a *context* is what waits for a rule to end: a set of (rule state, outer context). Left recursion
  makes contexts cyclic; tail calls are resolved when they are made, so that right recursion and
  loops come back to the same context.
* a *parse set* is the closure of items (rule state, context) at one place between two terminals
  (an Earley set whose origins are contexts instead of positions).
* a *configuration* is a set of threads (terminal of a parse set in progress, automaton state) after
  some byte, with a flag that tells whether the text so far is a word of the language.

Equal situations get equal integers wherever they occur, so the step (configuration, byte) ->
configuration is a lazily filled automaton, and masks can be kept per configuration.

Kernels return a status below zero where nothing was committed: GROW (make room and call again),
EXPAND (give the rule state in `scratch[0]` its edges and call again), STEP (make the step from
the configuration in `scratch[1]` for the byte in `scratch[2]` and call again: each kernel that
makes steps by itself is compiled together with all that a step takes), WIDE and COUNTED (give the
state in `scratch[0]` of the terminal in `scratch[1]`, or the counted string in `scratch[1]`, its
tokens, see kernels.wide_masks, and call again), BUSY (another thread was writing: call again).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from guided.kernels.compiling import inner, lean

OK = 0
GROW = -1
EXPAND = -2
STEP = -3
WIDE = -4
COUNTED = -5
BUSY = -6

#: Edge symbols: terminal l is l, a call of rule A is -1 - A, EPSILON consumes nothing.
EPSILON = -(1 << 30)
#: The rule state of the item that stands for the end of the text.
ROOT = -1
#: A terminal whose characters are not counted.
PLAIN = -2
#: The counted JSON string: its automaton's state inside of the quotes, and the quote.
BODY = 1
QUOTE = 34
#: A distance that no text has.
FAR = 1 << 28

# Columns of the arrays of Rules and Memo.
BEGIN, END = 0, 1
FINAL, DIST = 2, 3
SYMBOL, TARGET = 0, 1
START, NULLABLE = 0, 1
DFA, LEAST, MOST, FARTHEST = 0, 1, 2, 3
FIRST, OFFSET, WIDTH = 0, 1, 2
ACCEPT, NEAREST, ONWARD, SURVIVE = 0, 1, 2, 3
WAIT = 2
ITEM_STATE, ITEM_CONTEXT = 0, 1
ACCEPTING, GROUP, GROUP_END = 2, 3, 4
LEXEME, SCAN, SCAN_END, TAIL, FOLLOW = 0, 1, 2, 3, 4
REST, OPENED = 3, 4

#: Characters up to which survival is known (the longest slice).
REACH = 64
#: Bytes of the longest token that a walk can follow.
MAX_DEPTH = 4096
#: Entries of the step table where the step was never made, and where no step leads on.
UNKNOWN = 0
DEAD = -9

# Fields of Memo.size.
N_CONTEXTS, N_WAITING, N_SETS, N_KERNEL, N_GROUPS, N_SCANS, N_CONFIGS, N_THREADS = range(8)
#: Whether a thread is writing (kernels.memo_turns), on a cache line of its own.
TURN = 16
N_SIZES = 24


class Rules(NamedTuple):
    """A grammar in flat arrays (made by grammars.tables)."""

    #: int32[Q, 4] of rule states: BEGIN and END of the edges (BEGIN -1: not yet expanded), whether
    #: the rule may end (FINAL), fewest bytes to its end (DIST).
    state: Any
    #: int32[E, 2]: SYMBOL, TARGET.
    edge: Any
    #: int32[A, 2]: START, NULLABLE.
    rule: Any
    #: int32[L, 4] of terminals: DFA, LEAST (PLAIN: nothing counted), MOST (-1: no bound), FARTHEST,
    #: an upper bound of the distance to its end.
    lexeme: Any
    #: int64[D + 1, 3] of automata: FIRST state in `fact`, OFFSET in `trans`, WIDTH of the table.
    dfa: Any
    #: uint8[D, 256]: table column of each byte.
    columns: Any
    #: int32[...]: the tables, -1 for dead.
    trans: Any
    #: int32[S, 6] of automaton states: ACCEPT, NEAREST (fewest bytes to acceptance), ONWARD (some
    #: byte leads on) and, from SURVIVE on, how many characters of each charset may follow
    #: whatever they are.
    fact: Any
    #: uint64[S, 4]: bytes that lead on.
    live: Any


class Memo(NamedTuple):
    """Interned values of one grammar and the steps between its configurations."""

    #: int64[N_SIZES]: how much of each array is filled, and TURN.
    size: Any
    #: int32[C, 3]: BEGIN and END in `waiting`, fewest bytes to the end of the text (WAIT).
    context: Any
    #: int32[..., 2]: ITEM_STATE, ITEM_CONTEXT.
    waiting: Any
    #: int32[E, 5]: BEGIN and END in `kernel`, ACCEPTING, GROUP, GROUP_END.
    parse_set: Any
    #: int64[...]: rule state << 32 | context.
    kernel: Any
    #: int32[G, 5] terminals of a parse set: LEXEME, SCAN, SCAN_END, fewest bytes after it (TAIL),
    #: the configuration right after it (FOLLOW, 0: not made yet).
    group: Any
    #: int32[..., 2] items after a terminal: ITEM_STATE, ITEM_CONTEXT.
    scan: Any
    #: int32[C, 5]: BEGIN and END in `thread`, ACCEPTING, fewest bytes to the end (REST), whether
    #: some step from here was made (OPENED).
    config: Any
    #: uint64[C, 4]: bytes that may follow a configuration.
    live: Any
    #: int64[...]: group << 32 | automaton state.
    thread: Any
    # Hash tables by open addressing; 0 is a free slot.
    context_hash: Any
    set_hash: Any
    config_hash: Any
    #: int32[C, 256]: the configuration after each byte, DEAD or UNKNOWN.
    step: Any
    scratch: Any
    thread_room: Any
    kernel_room: Any
    #: int64[7, MAX_DEPTH + 1]: room of walks over tries, mostly by depth.
    path: Any
    #: int32[A]: 1 + local number of a rule predicted in the closure at hand.
    stamp: Any


@njit(inline="always")
def mix(h, value):  # type: ignore[no-untyped-def]
    """One round of hashing `value` into `h` (both 64 bits)."""
    h = (h ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@inner
def grown(array):  # type: ignore[no-untyped-def]
    """A copy with twice the room."""
    wider = np.empty(2 * len(array), array.dtype)
    # An assignment of slices would bring code for the text of its error message.
    for i in range(len(array)):
        wider[i] = array[i]
    return wider


@inner
def grown_pairs(array):  # type: ignore[no-untyped-def]
    """A copy of int64[n, 2] with twice the room."""
    wider = np.empty((2 * len(array), 2), array.dtype)
    for i in range(len(array)):
        wider[i, 0] = array[i, 0]
        wider[i, 1] = array[i, 1]
    return wider


@lean
def sort_unique(items, count):  # type: ignore[no-untyped-def]
    """Sorts items[:count] in place (they come nearly sorted) and drops doubles."""
    # Shell (1959): numba's own sort takes a second and a half to compile.
    gap = np.int64(1) if count <= 64 else count // 3
    while gap > 0:
        for i in range(gap, count):
            value = items[i]
            j = i - gap
            while j >= 0 and items[j] > value:
                items[j + gap] = items[j]
                j -= gap
            items[j + gap] = value
        gap = gap * 4 // 9 if gap > 2 else gap - 1
    kept = min(count, 1)
    for i in range(1, count):
        if items[i] != items[kept - 1]:
            items[kept] = items[i]
            kept += 1
    return kept
