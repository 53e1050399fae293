"""The arrays of the any-order engine: a grammar, sets of lexer states, positions.

*Positions* of a canvas are the boundaries between its slots, those between the bytes of fixed
tokens, and the places inside of a masked slot at which a rule may begin or end (*mids*). A set of
positions is a row of bits.

The left table holds for a rule state q at position i the positions at which its rule may have
begun (an Earley item with the set of its origins), and the terminals in progress. The right table
holds for q at i the positions at which the rule can end. A token may stand in a slot if some item
before it, advanced by its bytes, meets an end after it for which the callers have a continuation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from guided.kernels.compiling import folded, lean

OK = 0
#: Some array has no room.
FULL = -9

#: What follows a main position.
LAST, BYTE, MASK = 0, 1, 2
#: A transition that was not asked for yet, and one that leads nowhere.
UNKNOWN = -2
DEAD = -1

# Fields of Sets.size.
N_SETS, N_MEMBERS, N_FOLLOWERS, N_SIDES = range(4)
#: First field of Left.size and Right.size.
N_ROWS = 0


class Net(NamedTuple):
    """A grammar without empty edges."""

    #: int32[Q + 1], int32[...], int32[...]: terminal edges by source.
    scan_begin: Any
    scan_lexeme: Any
    scan_target: Any
    #: int32[Q + 1], int32[...], int32[...]: calls of rules by source.
    call_begin: Any
    call_rule: Any
    call_target: Any
    #: uint8[Q], int32[Q]: whether the rule may end, the rule.
    final: Any
    rule_of: Any
    #: int32[R]: first state of every rule. Rule 0 is the start.
    start_of: Any
    #: int32[R + 1], int32[...], int32[...]: (state, state after the call) by called rule.
    caller_begin: Any
    caller_state: Any
    caller_target: Any
    #: int32[Q]: every state after the first states of the rules that it calls, cycles aside.
    order: Any
    #: uint64[Q, 4]: the bytes with which a text from a state may begin.
    begins: Any


class Sets(NamedTuple):
    """Sets of states of one terminal, interned, with the steps between them."""

    #: int64[4]: how much is filled.
    size: Any
    #: int32[S], int32[S + 1], uint8[S]: terminal, first member, whether a member accepts.
    lexeme: Any
    begin: Any
    accepts: Any
    #: int32[...]: the members, sorted.
    member: Any
    #: int32[hash size]: open addressing, -1 is free.
    table: Any
    #: int32[S, 256], int32[S], int32[S]: the set after a byte, one token, any text.
    step: Any
    after_token: Any
    after_text: Any
    #: int32[S, 2], int32[...]: mids at which a member accepts (begin -1: not asked for yet).
    side: Any
    side_mid: Any
    #: int32[L]: the set of the first state of every terminal.
    first: Any
    #: int64[L]: number of a terminal's state 0 among all states.
    base: Any
    #: int32[states, 2], int32[...]: states after one token from a state (begin -1: not asked).
    followers: Any
    follower: Any
    #: uint8[1]: set to 1 where tokens were left out.
    truncated: Any


class Mids(NamedTuple):
    """The tokens that may hold a boundary between rules, as a tree in preorder without its root."""

    #: int32[N, 4]: BYTE, DEPTH, whether a token ends (END), number of the mid or -1 (MID).
    node: Any
    #: int32[N]: index after the subtree.
    skip: Any
    #: int32[V]: node of every mid.
    node_of: Any
    #: int32[V, L, 3], int32[...]: mids at which terminal l that begins there ends (begin, end), and
    #: the set in which it leaves the token (-1: none).
    run: Any
    run_mid: Any


# Fields of Lattice.used.
HIGH, N_FREE, N_INNER, MOST_INNER, LEFT_OUT, WANTS = range(6)


class Lattice(NamedTuple):
    """The positions of a canvas.

    *Main* positions are in order: the boundaries between units (tokens and masks), and those
    between the bytes of fixed tokens. Mids lie inside of masks. Every position has a number that
    it keeps while tokens are fixed elsewhere: boundaries are 0 to U, all others from U + 1 on.
    """

    #: uint8[M], uint8[M], uint8[M]: what follows (LAST, BYTE, MASK), the byte, whether a gap. There
    #: is room for more of these.
    kind: Any
    byte: Any
    loop: Any
    #: int32[M], int32[M]: number of every main position, and the unit that follows.
    id: Any
    unit: Any
    #: int32[U + 1]: main position of every boundary.
    main: Any
    #: uint8[U], int32[U, V]: whether a unit is a mask with mids; their numbers, -1 until the left
    #: table reaches them.
    may_mid: Any
    mid: Any
    #: int32[...]: numbers that are free again.
    free: Any
    #: int64[6]: numbers ever used (HIGH), how many are free, how many mids there are and may be,
    #: whether some mid was left out, whether more numbers are wanted (WANTS).
    used: Any
    #: uint64[W]: positions at which the text may end.
    accepting: Any


class Rows(NamedTuple):
    """What of a table it takes to merge its rows: a call passes every field of a tuple."""

    size: Any
    rows: Any


@njit(inline="always")
def bit_set(rows, row, position):  # type: ignore[no-untyped-def]
    rows[np.uint64(row), np.uint64(position >> 6)] |= np.uint64(1) << np.uint64(position & 63)


@njit(inline="always")
def bit_test(rows, row, position):  # type: ignore[no-untyped-def]
    word = rows[np.uint64(row), np.uint64(position >> 6)]
    return (word >> np.uint64(position & 63)) & np.uint64(1) != 0


@njit(inline="always")
def trailing_zeros(word):  # type: ignore[no-untyped-def]
    """Number of zero bits below the lowest set bit of a word that is not zero."""
    low = word & (~word + np.uint64(1))
    count = np.int64(0)
    if low & np.uint64(0xFFFFFFFF00000000):
        count += 32
    if low & np.uint64(0xFFFF0000FFFF0000):
        count += 16
    if low & np.uint64(0xFF00FF00FF00FF00):
        count += 8
    if low & np.uint64(0xF0F0F0F0F0F0F0F0):
        count += 4
    if low & np.uint64(0xCCCCCCCCCCCCCCCC):
        count += 2
    if low & np.uint64(0xAAAAAAAAAAAAAAAA):
        count += 1
    return count


@njit(inline="always")
def leading_bit(word):  # type: ignore[no-untyped-def]
    """Number of the highest set bit of a word that is not zero."""
    count = np.int64(0)
    for shift in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(shift):
            word >>= np.uint64(shift)
            count += shift
    return count


@folded
def may_go_on(net, q, byte):  # type: ignore[no-untyped-def]
    """Whether state q may end its rule, or begin with `byte` (-1: any)."""
    if byte < 0 or net.final[q] != 0:
        return True
    return (net.begins[q, byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1) != 0


@folded
def new_row(table):  # type: ignore[no-untyped-def]
    """An empty row, FULL without room."""
    row = table.size[N_ROWS]
    if row >= len(table.rows):
        return np.int64(FULL)
    for word in range(np.uint64(table.rows.shape[1])):
        table.rows[np.uint64(row), word] = 0
    table.size[N_ROWS] = row + 1
    return row


@lean
def merge(rows, into, source, other, begin, end):  # type: ignore[no-untyped-def]
    """Adds words `begin` to `end` of row `other` of `source` to row `into`; whether it changed."""
    # Numbers that may be below zero count from the end: loops over them are not vectorised.
    to, of = np.uint64(into), np.uint64(other)
    fresh = np.uint64(0)
    for word in range(np.uint64(begin), np.uint64(end)):
        value = source[of, word]
        before = rows[to, word]
        fresh |= value & ~before
        rows[to, word] = before | value
    return fresh != 0
