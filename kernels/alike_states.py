"""Whether any token tells two states of an automaton apart.

States that count how often something was repeated differ, but only in what long words may follow.
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import lean, lean_entry
from guided.kernels.handles import opened, opened_tokens
from guided.kernels.memo_arrays import ACCEPT, DFA, FIRST, OFFSET, ONWARD, WIDTH
from guided.kernels.trie import BYTE, DEPTH, SKIP

# Pairs of states after equally many bytes that are followed.
_PAIRS = 32


@lean
def _differ(rules, first, one, other):  # type: ignore[no-untyped-def]
    """Whether two states (-1: dead) are told apart at once."""
    if one < 0 or other < 0:
        return one >= 0 or other >= 0
    one, other = first + one, first + other
    if rules.fact[one, ACCEPT] != rules.fact[other, ACCEPT]:
        return True
    return rules.fact[one, ONWARD] != rules.fact[other, ONWARD]


@lean
def _agreement(rules, memo, dfa, one, other, longest):  # type: ignore[no-untyped-def]
    """A length up to which no word tells the states apart, at most `longest`."""
    offset, width = rules.dfa[dfa, OFFSET], rules.dfa[dfa, WIDTH]
    first = rules.dfa[dfa, FIRST]
    now, then = memo.path[2], memo.path[3]
    now[0], now[1] = one, other
    count = np.int64(1)
    for length in range(longest):
        found = np.int64(0)
        for i in range(count):
            for column in range(width):
                a = np.int64(rules.trans[offset + now[2 * i] * width + column])
                b = np.int64(rules.trans[offset + now[2 * i + 1] * width + column])
                if a == b:
                    continue
                if _differ(rules, first, a, b):
                    return np.int64(length)
                known = False
                for k in range(found):
                    known |= then[2 * k] == a and then[2 * k + 1] == b
                if known:
                    continue
                if found == _PAIRS:
                    return np.int64(length)
                then[2 * found], then[2 * found + 1] = a, b
                found += 1
        for i in range(2 * found):
            now[i] = then[i]
        count = found
    return np.int64(longest)


@lean_entry
def are_alike(  # type: ignore[no-untyped-def]
    handle, trie, deepest, longest, lex, one, other, root
):
    """Whether the same tokens, ending alike, may follow both states of an uncounted terminal.

    Args:
        deepest: what `fill_subtrees` made of the trie of all tokens.
        longest: bytes of the longest token.
        root: the node that the states stand at, -1 before the first byte.
    """
    rules, memo = opened(handle)
    tokens = opened_tokens(trie, np.int64(1))
    dfa = rules.lexeme[lex, DFA]
    same = _agreement(rules, memo, dfa, one, other, longest)
    first, offset, width = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET], rules.dfa[dfa, WIDTH]
    column = rules.columns[dfa]
    node = tokens.node
    last = len(tokens.first) - 1
    begin, end, above = np.int64(tokens.first[last - 1]), np.int64(tokens.first[last]), np.int64(0)
    at = begin
    if root >= 0:
        at, end, above = root + 1, np.int64(node[root, SKIP]), np.int64(node[root, DEPTH])
    ones, others = memo.path[0], memo.path[1]
    ones[above], others[above] = one, other
    while at < end:
        after = np.int64(node[at, SKIP])
        depth = np.int64(node[at, DEPTH])
        if deepest[at - begin] - above <= same:
            at = after
            continue
        place = column[node[at, BYTE]]
        a = np.int64(rules.trans[offset + ones[depth - 1] * width + place])
        b = np.int64(rules.trans[offset + others[depth - 1] * width + place])
        if a != b and _differ(rules, first, a, b):
            return False
        ones[depth], others[depth] = a, b
        at = after if a == b else at + 1
    return True
