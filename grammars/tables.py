"""A grammar in the flat arrays that the parser kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import EmptyGrammarError
from guided.grammars.ir import GrammarSpec
from guided.grammars.lexeme_tables import lexeme_tables
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.liveness import relax_distances
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
    START,
    SYMBOL,
    TARGET,
    Rules,
)


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
    lexemes = lexeme_tables(builder.lexemes, alphabet)
    shortest = _shortest(lexemes)
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


def _shortest(lexemes: dict[str, NDArray[Any]]) -> NDArray[np.int32]:
    """Fewest bytes of each terminal."""
    lexeme, fact = lexemes["lexeme"], lexemes["fact"]
    nearest = fact[lexemes["dfa"][lexeme[:, DFA], FIRST], NEAREST]
    shortest: NDArray[np.int32] = nearest + np.maximum(lexeme[:, LEAST], 0)
    return shortest
