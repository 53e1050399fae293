"""Steps and facts of one terminal, counted or not."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import folded
from guided.kernels.memo_arrays import (
    BODY,
    DFA,
    FIRST,
    LEAST,
    MOST,
    NEAREST,
    OFFSET,
    PLAIN,
    QUOTE,
    WIDTH,
)


@folded
def lexeme_step(rules, lex, state, byte):  # type: ignore[no-untyped-def]
    """State of terminal `lex` after `byte`, -1 if there is none."""
    dfa = rules.lexeme[lex, DFA]
    width = rules.dfa[dfa, WIDTH]
    column = rules.columns[dfa, byte]
    least = rules.lexeme[lex, LEAST]
    if least == PLAIN:
        return rules.trans[rules.dfa[dfa, OFFSET] + state * width + column]
    states = rules.dfa[dfa + 1, FIRST] - rules.dfa[dfa, FIRST]
    count = state // states
    base = state - count * states
    target = rules.trans[rules.dfa[dfa, OFFSET] + base * width + column]
    if target < 0:
        return -1
    if base == BODY:
        most = rules.lexeme[lex, MOST]
        if byte == QUOTE:
            if count < least:
                return -1
        elif most >= 0:
            if count >= most:
                return -1
            count += 1
        elif count < least:
            count += 1
    return count * states + target


@folded
def only_byte(rules, lex, state):  # type: ignore[no-untyped-def]
    """The one byte that leads on from `state`, -1 if there are several."""
    found = np.int64(-1)
    for word in range(4):
        bits = lexeme_live(rules, lex, state, word)
        if bits == 0:
            continue
        if found >= 0 or bits & (bits - np.uint64(1)) != 0:
            return np.int64(-1)
        found = np.int64(word * 64)
        for shift in (32, 16, 8, 4, 2, 1):
            if bits >> np.uint64(shift) != 0:
                bits >>= np.uint64(shift)
                found += shift
    return found


@folded
def count_bits(bits):  # type: ignore[no-untyped-def]
    """How many of 64 bits are set."""
    # Warren, Hacker's Delight, 5-1.
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + (
        (bits >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@folded
def n_live(rules, lex, state):  # type: ignore[no-untyped-def]
    """How many bytes lead on from `state`."""
    count = np.int64(0)
    for word in range(4):
        count += count_bits(lexeme_live(rules, lex, state, word))
    return count


@folded
def lexeme_distance(rules, lex, state):  # type: ignore[no-untyped-def]
    """Fewest bytes to the end of terminal `lex`."""
    dfa = rules.lexeme[lex, DFA]
    first = rules.dfa[dfa, FIRST]
    if rules.lexeme[lex, LEAST] == PLAIN:
        return rules.fact[first + state, NEAREST]
    states = rules.dfa[dfa + 1, FIRST] - first
    count = state // states
    distance = rules.fact[first + state - count * states, NEAREST]
    if distance > 0:
        distance += max(0, rules.lexeme[lex, LEAST] - count)
    return distance


@folded
def lexeme_fact(rules, lex, state):  # type: ignore[no-untyped-def]
    """Row of `rules.fact` for `state` of terminal `lex`."""
    dfa = rules.lexeme[lex, DFA]
    first = rules.dfa[dfa, FIRST]
    if rules.lexeme[lex, LEAST] == PLAIN:
        return first + state
    return first + state % (rules.dfa[dfa + 1, FIRST] - first)


@folded
def lexeme_live(rules, lex, state, word):  # type: ignore[no-untyped-def]
    """64 bits of the bytes that lead on from `state`."""
    dfa = rules.lexeme[lex, DFA]
    first = rules.dfa[dfa, FIRST]
    least = rules.lexeme[lex, LEAST]
    if least == PLAIN:
        return rules.live[first + state, word]
    states = rules.dfa[dfa + 1, FIRST] - first
    count = state // states
    base = state - count * states
    live = rules.live[first + base, word]
    if base == BODY:
        quote = np.uint64(1) << np.uint64(QUOTE) if word == 0 else np.uint64(0)
        most = rules.lexeme[lex, MOST]
        if most >= 0 and count >= most:
            live &= quote
        if count < least:
            live &= ~quote
    return live
