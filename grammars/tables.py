"""A grammar in the flat arrays that the parser kernels read."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import EmptyGrammarError
from guided.grammars.ir import GrammarSpec
from guided.grammars.rule_builder import RuleBuilder
from guided.grammars.terminal_tables import Automaton, restricted, terminal_tables
from guided.kernels.liveness import fill_live, fill_survival, relax_distances
from guided.kernels.masking import REACH
from guided.kernels.memo_arrays import (
    ACCEPT,
    BEGIN,
    DFA,
    DIST,
    END,
    EPSILON,
    FAR,
    FARTHEST,
    FINAL,
    FIRST,
    LEAST,
    MOST,
    NEAREST,
    OFFSET,
    ONWARD,
    PLAIN,
    START,
    SURVIVE,
    SYMBOL,
    TARGET,
    WIDTH,
    Rules,
)


@cache
def _charsets() -> NDArray[np.uint8]:
    """Single-byte charsets of the slices: word characters, plain JSON string characters."""
    marks = np.zeros((2, 256), np.uint8)
    for byte in range(0x20, 0x7F):
        word = chr(byte).isalnum() or byte == ord("_")
        marks[0, byte] = word
        marks[1, byte] = byte not in (ord('"'), ord("\\"))
    return marks


def build_rules(spec: GrammarSpec) -> RuleBuilder:
    """The rule automata of `spec`; raises what RuleBuilder raises."""
    builder = RuleBuilder(spec)
    builder.build()
    return builder


def compile_tables(builder: RuleBuilder, alphabet: frozenset[int] | None = None) -> Rules:
    """The flat form of a grammar, rules that cannot end left out.

    With an `alphabet` only the texts over these bytes are kept.

    Raises:
        EmptyGrammarError: the start rule derives no text.
    """
    automata = [terminal_tables(dfa) for dfa, _, _ in builder.lexemes]
    if alphabet is not None:
        automata = [restricted(automaton, alphabet) for automaton in automata]
    lexemes = _lexeme_arrays(builder, automata)
    shortest = _shortest(builder, automata)
    state, edge = _edges_by_source(builder)
    rule = np.zeros((len(builder.rule_start), 2), np.int32)
    rule[:, START] = builder.rule_start
    relax_distances(state, edge, rule, shortest)
    if state[rule[0, START], DIST] >= FAR:
        start = builder.rule_names[0]
        raise EmptyGrammarError(f"rule {start!r} derives no text: every way on is endless")
    edge = _drop_endless(state, edge, rule, shortest)
    state[list(builder.any_order), BEGIN] = -1
    return Rules(state, edge, rule, **lexemes)


def _edges_by_source(builder: RuleBuilder) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    source = np.array(builder.source, np.int32)
    order = np.argsort(source, kind="stable")
    counts = np.bincount(source, minlength=builder.n_states)
    state = np.zeros((builder.n_states, 4), np.int32)
    state[:, END] = np.cumsum(counts)
    state[:, BEGIN] = state[:, END] - counts
    state[builder.rule_end, FINAL] = 1
    edge = np.empty((len(source), 2), np.int32)
    edge[:, SYMBOL] = np.array(builder.symbol, np.int32)[order]
    edge[:, TARGET] = np.array(builder.target, np.int32)[order]
    return state, edge


def _drop_endless(
    state: NDArray[np.int32],
    edge: NDArray[np.int32],
    rule: NDArray[np.int32],
    shortest: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Leaves out the edges that are part of no finite derivation; adjusts `state` in place."""
    symbol = edge[:, SYMBOL]
    keep = state[edge[:, TARGET], DIST] < FAR
    calls = (symbol < 0) & (symbol != EPSILON)
    keep[calls] &= state[rule[-1 - symbol[calls], START], DIST] < FAR
    if keep.all():
        return edge
    kept = np.concatenate([[0], np.cumsum(keep)]).astype(np.int32)
    state[:, BEGIN] = kept[state[:, BEGIN]]
    state[:, END] = kept[state[:, END]]
    kept_edges: NDArray[np.int32] = edge[keep]
    return kept_edges


def _shortest(builder: RuleBuilder, automata: list[Automaton]) -> NDArray[np.int32]:
    """Fewest bytes of each terminal."""
    shortest = [int(a.distance[0]) for a in automata]
    for i, (_, least, _) in enumerate(builder.lexemes):
        if least != PLAIN:
            shortest[i] += max(0, least)
    return np.array(shortest, np.int32)


def _lexeme_arrays(builder: RuleBuilder, automata: list[Automaton]) -> dict[str, NDArray[Any]]:
    pool: dict[int, int] = {}
    distinct: list[Automaton] = []
    lex_dfa = np.zeros(len(automata), np.int32)
    for i, automaton in enumerate(automata):
        if id(automaton) not in pool:
            pool[id(automaton)] = len(distinct)
            distinct.append(automaton)
        lex_dfa[i] = pool[id(automaton)]
    sizes = [len(a.accepting) for a in distinct]
    widths = [a.transitions.shape[1] for a in distinct]
    dfa = np.zeros((len(distinct) + 1, 3), np.int64)
    dfa[1:, FIRST] = np.cumsum(sizes)
    dfa[1:, OFFSET] = np.cumsum(np.multiply(sizes, widths))
    dfa[:-1, WIDTH] = widths
    nothing = np.zeros(0, np.int32)
    trans = np.concatenate([nothing, *(a.transitions.reshape(-1) for a in distinct)])
    columns = np.array([a.classes for a in distinct], np.uint8).reshape(-1, 256)
    fact = np.zeros((sum(sizes), 6), np.int32)
    fact[:, ACCEPT] = np.concatenate([nothing, *(a.accepting for a in distinct)])
    fact[:, NEAREST] = np.concatenate([nothing, *(a.distance for a in distinct)])
    live = np.zeros((len(fact), 4), np.uint64)
    fill_live(dfa, columns, trans, live)
    fact[:, ONWARD] = live.any(axis=1)
    fill_survival(dfa, columns, trans, _charsets(), REACH, fact[:, SURVIVE:])
    lexeme = np.zeros((len(automata), 4), np.int32)
    lexeme[:, DFA] = lex_dfa
    lexeme[:, LEAST] = [least for _, least, _ in builder.lexemes]
    lexeme[:, MOST] = [most for _, _, most in builder.lexemes]
    farthest = np.array([int(a.distance.max()) for a in distinct], np.int64)
    lexeme[:, FARTHEST] = farthest[lex_dfa] + np.maximum(lexeme[:, LEAST], 0)
    return {
        "lexeme": lexeme,
        "dfa": dfa,
        "columns": columns,
        "trans": trans.astype(np.int32, copy=False),
        "fact": fact,
        "live": live,
    }
