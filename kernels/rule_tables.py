"""The rules of a grammar in flat arrays, with the distances to their ends."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner, lean
from guided.kernels.memo_arrays import (
    BEGIN,
    DFA,
    DIST,
    END,
    EPSILON,
    FAR,
    FINAL,
    FIRST,
    LEAST,
    NEAREST,
    NULLABLE,
    START,
    SYMBOL,
    TARGET,
)


@entry
def link_rules(  # type: ignore[no-untyped-def]
    source, symbol, target, n_states, rule_start, rule_end, lexeme, dfa, fact
):
    """(states, edges, rules) of `Rules`, without the edges that are part of no finite derivation.

    Edge i leads from source[i] to target[i] by symbol[i].
    """
    state = np.zeros((n_states, 4), np.int32)
    for i in range(len(source)):
        state[source[i], END] += 1
    total = np.int32(0)
    for q in range(n_states):
        state[q, BEGIN] = total
        total += state[q, END]
        state[q, END] = state[q, BEGIN]
    edge = np.empty((len(source), 2), np.int32)
    for i in range(len(source)):
        at = state[source[i], END]
        edge[at, SYMBOL] = symbol[i]
        edge[at, TARGET] = target[i]
        state[source[i], END] = at + 1
    rule = np.zeros((len(rule_start), 2), np.int32)
    for i in range(len(rule_start)):
        rule[i, START] = rule_start[i]
        state[rule_end[i], FINAL] = 1
    shortest = np.empty(len(lexeme), np.int32)
    for i in range(len(lexeme)):
        nearest = fact[dfa[lexeme[i, DFA], FIRST], NEAREST]
        shortest[i] = nearest + max(np.int32(0), lexeme[i, LEAST])
    _relax(state, edge, rule, shortest, _last_first(state, edge, rule))
    return state, edge[: _drop_endless(state, edge, rule, shortest)], rule


@inner
def _last_first(state, edge, rule):  # type: ignore[no-untyped-def]
    """The rule states, each after those that it leads to or calls, as far as nothing leads back."""
    order = np.empty(len(state), np.int32)
    # Edges of each state that were followed, twice: to the callee and on; -1: not yet met.
    followed = np.full(len(state), -1, np.int32)
    way = np.empty(len(state), np.int32)
    count = np.int64(0)
    for begin in range(len(state)):
        depth = np.int64(0)
        if followed[begin] < 0:
            followed[begin] = 0
            way[0] = begin
            depth += 1
        while depth > 0:
            q = way[depth - 1]
            i = state[q, BEGIN] + (followed[q] >> 1)
            if i >= state[q, END]:
                order[count] = q
                count += 1
                depth -= 1
                continue
            is_onward = followed[q] & 1
            followed[q] += 1
            symbol = edge[i, SYMBOL]
            following = np.int32(-1)
            if is_onward:
                following = edge[i, TARGET]
            elif symbol < 0 and symbol != EPSILON:
                following = rule[-1 - symbol, START]
            if following >= 0 and followed[following] < 0:
                followed[following] = 0
                way[depth] = following
                depth += 1
    return order


@lean
def _weight(symbol, state, rule, shortest):  # type: ignore[no-untyped-def]
    """Fewest bytes of one edge."""
    if symbol == EPSILON:
        return np.int32(0)
    if symbol >= 0:
        return shortest[symbol]
    return state[rule[-1 - symbol, START], DIST]


@lean
def _relax(state, edge, rule, shortest, order):  # type: ignore[no-untyped-def]
    """Fills DIST of rule states (fewest bytes to the end of the rule) and NULLABLE of rules.

    Knuth's generalisation of shortest paths to grammars, by relaxation in `order`, as often as
    something changes: once and once more where nothing leads back.
    """
    for q in range(len(state)):
        state[q, DIST] = 0 if state[q, FINAL] else FAR
    changed = True
    while changed:
        changed = False
        for k in range(len(order)):
            q = order[k]
            for i in range(state[q, BEGIN], state[q, END]):
                weight = _weight(edge[i, SYMBOL], state, rule, shortest)
                onward = state[edge[i, TARGET], DIST]
                if weight >= FAR or onward >= FAR:
                    continue
                through = min(weight + onward, FAR - 1)
                if through < state[q, DIST]:
                    state[q, DIST] = through
                    changed = True
    # No bytes from the start is exactly nullability: every terminal takes at least one byte.
    for i in range(len(rule)):
        rule[i, NULLABLE] = state[rule[i, START], DIST] == 0


@lean
def _drop_endless(state, edge, rule, shortest):  # type: ignore[no-untyped-def]
    """Moves the edges that lead to an end together; returns their number."""
    kept = np.int32(0)
    for q in range(len(state)):
        begin = kept
        for i in range(state[q, BEGIN], state[q, END]):
            weight = np.int32(0)
            if edge[i, SYMBOL] < 0:
                weight = _weight(edge[i, SYMBOL], state, rule, shortest)
            if weight < FAR and state[edge[i, TARGET], DIST] < FAR:
                edge[kept, SYMBOL] = edge[i, SYMBOL]
                edge[kept, TARGET] = edge[i, TARGET]
                kept += 1
        state[q, BEGIN] = begin
        state[q, END] = kept
    return kept
