"""A grammar without empty edges, for the any-order engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from guided.kernels.canvas_arrays import Net
from guided.kernels.memo_arrays import (
    BEGIN,
    DFA,
    END,
    EPSILON,
    FINAL,
    FIRST,
    NULLABLE,
    START,
    SYMBOL,
    TARGET,
    Rules,
)

Edge = tuple[int, int]


def compact(rules: Rules) -> tuple[Net, bool]:
    """(the grammar, whether some rule may begin with itself).

    Rules that may be empty are stepped over, and states of one rule that allow the same are one.
    All rule states of `rules` must be expanded.
    """
    edges = _edges(rules)
    starts = [int(start) for start in rules.rule[:, START]]
    rule_of, roots = _reached(edges, starts)
    closures = {q: _closure(edges, rules, q) for q in roots}
    final = {q: any(rules.state[c, FINAL] for c in closures[q]) for q in roots}
    onward = {q: {e for c in closures[q] for e in edges[c] if e[0] != EPSILON} for q in roots}
    place = _classes(roots, rule_of, final, onward)
    number = _numbered(place, rule_of, final, onward)
    chosen = {number[place[q]]: q for q in roots}
    compacted = [
        sorted({(symbol, number[place[t]]) for symbol, t in onward[chosen[n]]})
        for n in range(len(chosen))
    ]
    first = [number[place[start]] for start in starts]
    order, cyclic = _order(compacted, first)
    states = range(len(compacted))
    net = _arrays(
        compacted,
        [final[chosen[n]] for n in states],
        [rule_of[chosen[n]] for n in states],
        first,
        order,
    )
    return net._replace(begins=_beginnings(net, rules)), cyclic


def _edges(rules: Rules) -> list[list[Edge]]:
    table = rules.edge.tolist()
    bounds = rules.state[:, [BEGIN, END]].tolist()
    return [[(table[e][SYMBOL], table[e][TARGET]) for e in range(b, e_)] for b, e_ in bounds]


def _reached(edges: list[list[Edge]], starts: list[int]) -> tuple[dict[int, int], list[int]]:
    """(rule of every state, the states that begin a rule or follow a symbol)."""
    rule_of: dict[int, int] = {}
    roots = dict.fromkeys(starts)
    for rule, start in enumerate(starts):
        stack = [start]
        rule_of[start] = rule
        while stack:
            for symbol, target in edges[stack.pop()]:
                if symbol != EPSILON:
                    roots[target] = None
                if target not in rule_of:
                    rule_of[target] = rule
                    stack.append(target)
    # What follows a rule that may be empty follows a symbol: it is there already.
    return rule_of, list(roots)


def _closure(edges: list[list[Edge]], rules: Rules, q: int) -> set[int]:
    seen = {q}
    stack = [q]
    while stack:
        for symbol, target in edges[stack.pop()]:
            empty = symbol == EPSILON or (symbol < 0 and rules.rule[-1 - symbol, NULLABLE])
            if empty and target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


def _classes(
    roots: list[int],
    rule_of: dict[int, int],
    final: dict[int, bool],
    onward: dict[int, set[Edge]],
) -> dict[int, int]:
    """The class of every state: states of a class are of one rule and allow the same."""
    place = dict.fromkeys(roots, 0)
    count = 0
    while True:
        known: dict[object, int] = {}
        refined = {}
        for q in roots:
            moves = frozenset((symbol, place[target]) for symbol, target in onward[q])
            signature = (rule_of[q], final[q], moves, place[q])
            refined[q] = known.setdefault(signature, len(known))
        place = refined
        if len(known) == count:
            return place
        count = len(known)


def _numbered(
    place: dict[int, int],
    rule_of: dict[int, int],
    final: dict[int, bool],
    onward: dict[int, set[Edge]],
) -> dict[int, int]:
    """Numbers for the classes: where a rule may end come before what follows it, cycles aside.

    The left table looks at states in this order, so that at a position each rule mostly ends once.
    """
    chosen = {place[q]: q for q in place}
    follow: dict[int, set[int]] = defaultdict(set)
    for q in chosen.values():
        for symbol, target in onward[q]:
            if symbol < 0:
                follow[-1 - symbol].add(place[target])

    def behind(cls: int) -> Iterator[int]:
        q = chosen[cls]
        return iter(sorted(follow[rule_of[q]]) if final[q] else ())

    order: list[int] = []
    seen: set[int] = set()
    for root in chosen:
        stack = [] if root in seen else [(root, behind(root))]
        seen.add(root)
        while stack:
            cls, onward_of = stack[-1]
            after = next((each for each in onward_of if each not in seen), None)
            if after is None:
                order.append(cls)
                stack.pop()
            else:
                seen.add(after)
                stack.append((after, behind(after)))
    return {cls: n for n, cls in enumerate(reversed(order))}


def _order(edges: list[list[Edge]], first: list[int]) -> tuple[list[int], bool]:
    """(states, first ones of rules after those that they call; whether calls are cyclic)."""
    order: list[int] = []
    state: dict[int, int] = {}
    cyclic = False
    for root in dict.fromkeys(first):
        stack = [(root, iter(edges[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            q, calls = stack[-1]
            for symbol, _ in calls:
                if symbol >= 0:
                    continue
                called = first[-1 - symbol]
                if called not in state:
                    state[called] = 1
                    stack.append((called, iter(edges[called])))
                    break
                cyclic |= state[called] == 1
            else:
                state[q] = 2
                order.append(q)
                stack.pop()
    rest = [q for q in range(len(edges)) if q not in state]
    return order + rest, cyclic


def _arrays(
    edges: list[list[Edge]],
    final: list[bool],
    rule_of: list[int],
    first: list[int],
    order: list[int],
) -> Net:
    scans = [[(s, t) for s, t in moves if s >= 0] for moves in edges]
    calls = [[(-1 - s, t) for s, t in moves if s < 0] for moves in edges]
    callers: dict[int, list[Edge]] = defaultdict(list)
    for q, moves in enumerate(calls):
        for rule, target in moves:
            callers[rule].append((q, target))
    scan_begin, scan_table = _csr(scans)
    call_begin, call_table = _csr(calls)
    caller_begin, caller_table = _csr([callers[rule] for rule in range(len(first))])
    return Net(
        scan_begin=scan_begin,
        scan_lexeme=scan_table[:, 0].copy(),
        scan_target=scan_table[:, 1].copy(),
        call_begin=call_begin,
        call_rule=call_table[:, 0].copy(),
        call_target=call_table[:, 1].copy(),
        final=np.array(final, np.uint8),
        rule_of=np.array(rule_of, np.int32),
        start_of=np.array(first, np.int32),
        caller_begin=caller_begin,
        caller_state=caller_table[:, 0].copy(),
        caller_target=caller_table[:, 1].copy(),
        order=np.array(order, np.int32),
        begins=np.zeros((len(final), 4), np.uint64),
    )


def _beginnings(net: Net, rules: Rules) -> NDArray[np.uint64]:
    """uint64[Q, 4]: the bytes with which a text from a state may begin."""
    lexemes = rules.live[rules.dfa[rules.lexeme[:, DFA], FIRST]]
    states = np.arange(len(net.final))
    begins = np.zeros((len(states), 4), np.uint64)
    scanning = np.repeat(states, np.diff(net.scan_begin))
    np.bitwise_or.at(begins, scanning, lexemes[net.scan_lexeme])
    calling, called = np.repeat(states, np.diff(net.call_begin)), net.start_of[net.call_rule]
    while True:
        before = begins.copy()
        np.bitwise_or.at(begins, calling, before[called])
        if (begins == before).all():
            return begins


def _csr(lists: list[list[Edge]]) -> tuple[np.ndarray, np.ndarray]:
    begin = np.zeros(len(lists) + 1, np.int32)
    begin[1:] = np.cumsum([len(part) for part in lists])
    table = np.array([pair for part in lists for pair in part], np.int32).reshape(-1, 2)
    return begin, table
