"""A grammar in the flat arrays that the parser kernels read."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from guided.errors import EmptyGrammarError
from guided.grammars.automata import Dfa
from guided.grammars.counted import string_automaton
from guided.grammars.ir import GrammarSpec
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.liveness import FAR, fill_live, fill_survival, relax_distances
from guided.kernels.masking import REACH
from guided.kernels.parsing import EPSILON, PLAIN, Rules


class Automaton:
    """Tables of one terminal's automaton, ready to be pooled."""

    __slots__ = ("accepting", "classes", "distance", "transitions")

    def __init__(
        self,
        transitions: NDArray[np.int32],
        classes: NDArray[np.uint8],
        accepting: NDArray[np.bool_],
        distance: NDArray[np.int32],
    ) -> None:
        self.transitions = transitions
        self.classes = classes
        self.accepting = accepting
        self.distance = distance


@cache
def _string_tables() -> Automaton:
    dense, accepting, distance = string_automaton()
    columns, classes = np.unique(dense, axis=1, return_inverse=True)
    return Automaton(
        np.ascontiguousarray(columns), classes.reshape(-1).astype(np.uint8), accepting, distance
    )


def _tables_of(dfa: Dfa | None) -> Automaton:
    """The automaton of a terminal; it does not accept the empty string (rules take care of that)."""
    if dfa is None:
        return _string_tables()
    if not dfa.accepting[0]:
        return Automaton(dfa.transitions, dfa.classes, dfa.accepting, dfa.distance)
    first = dfa.transitions[0]
    shifted = np.where(dfa.transitions >= 0, dfa.transitions + 1, -1).astype(np.int32)
    row = np.where(first >= 0, first + 1, -1).astype(np.int32)
    onward = dfa.distance[first[first >= 0]]
    nearest = int(onward.min()) + 1 if len(onward) else FAR
    return Automaton(
        np.vstack([row[None], shifted]),
        dfa.classes,
        np.concatenate([[False], dfa.accepting]),
        np.concatenate([[nearest], dfa.distance]).astype(np.int32),
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


def compile_tables(spec: GrammarSpec) -> tuple[Rules, RuleBuilder]:
    """The flat form of `spec`, rules that cannot end left out.

    Raises:
        EmptyGrammarError: the start rule derives no text.
        GrammarError, GrammarTooLargeError: see RuleBuilder.
    """
    builder = RuleBuilder(spec)
    builder.build()
    automata = [_tables_of(dfa) for dfa, _, _ in builder.lexemes]
    lexemes = _lexeme_arrays(builder, automata)
    shortest = _shortest(builder, automata)
    q_begin, q_end, symbol, target = _edges_by_source(builder)
    q_final = np.zeros(builder.n_states, np.uint8)
    q_final[builder.rule_end] = 1
    rule_start = np.array(builder.rule_start, np.int32)
    nullable = np.zeros(len(rule_start), np.uint8)
    q_dist = np.zeros(builder.n_states, np.int32)
    relax_distances(
        q_begin, q_end, q_final, symbol, target, rule_start, shortest, EPSILON, q_dist, nullable
    )
    if q_dist[rule_start[0]] >= FAR:
        raise EmptyGrammarError(f"rule {spec.start!r} derives no text: every way on is endless")
    q_begin, q_end, symbol, target = _live_edges(
        q_begin, q_end, symbol, target, q_dist, rule_start, shortest
    )
    q_begin[list(builder.any_order)] = -1
    rules = Rules(
        q_begin, q_end, q_final, q_dist, symbol, target, rule_start, nullable, **lexemes
    )
    return rules, builder


def _edges_by_source(
    builder: RuleBuilder,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    source = np.array(builder.source, np.int32)
    order = np.argsort(source, kind="stable")
    counts = np.bincount(source, minlength=builder.n_states)
    end = np.cumsum(counts).astype(np.int32)
    begin = (end - counts).astype(np.int32)
    symbol = np.array(builder.symbol, np.int32)[order]
    target = np.array(builder.target, np.int32)[order]
    return begin, end, symbol, target


def _live_edges(
    q_begin: NDArray[np.int32],
    q_end: NDArray[np.int32],
    symbol: NDArray[np.int32],
    target: NDArray[np.int32],
    q_dist: NDArray[np.int32],
    rule_start: NDArray[np.int32],
    shortest: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The edges that can be part of a finite derivation."""
    keep = q_dist[target] < FAR
    calls = (symbol < 0) & (symbol != EPSILON)
    keep[calls] &= q_dist[rule_start[-1 - symbol[calls]]] < FAR
    if keep.all():
        return q_begin, q_end, symbol, target
    kept = np.concatenate([[0], np.cumsum(keep)]).astype(np.int32)
    return kept[q_begin], kept[q_end], symbol[keep], target[keep]


def _shortest(builder: RuleBuilder, automata: list[Automaton]) -> NDArray[np.int32]:
    """Fewest bytes of each terminal."""
    shortest = [int(a.distance[0]) for a in automata]
    for i, (_, least, _) in enumerate(builder.lexemes):
        if least != PLAIN:
            shortest[i] += max(0, least)
    return np.array(shortest, np.int32)


def _lexeme_arrays(builder: RuleBuilder, automata: list[Automaton]) -> dict[str, NDArray]:
    pool: dict[int, int] = {}
    distinct: list[Automaton] = []
    lex_dfa = np.zeros(len(automata), np.int32)
    for i, automaton in enumerate(automata):
        if id(automaton) not in pool:
            pool[id(automaton)] = len(distinct)
            distinct.append(automaton)
        lex_dfa[i] = pool[id(automaton)]
    sizes = [len(a.accepting) for a in distinct]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    widths = np.array([a.transitions.shape[1] for a in distinct], np.int32)
    offset = np.concatenate([[0], np.cumsum(sizes * widths)])[:-1].astype(np.int64)
    empty = np.zeros(0, np.int32)
    trans = np.concatenate([empty, *(a.transitions.reshape(-1) for a in distinct)])
    classes = np.array([a.classes for a in distinct], np.uint8).reshape(-1, 256)
    accepting = np.concatenate([empty, *(a.accepting for a in distinct)]).astype(np.uint8)
    distance = np.concatenate([empty, *(a.distance for a in distinct)]).astype(np.int32)
    live = np.zeros((len(accepting), 4), np.uint64)
    survive = np.zeros((len(accepting), 3), np.int32)
    fill_live(first, offset, widths, classes, trans, live)
    fill_survival(first, offset, widths, classes, trans, _charsets(), REACH, survive)
    farthest = np.array([int(a.distance.max()) for a in distinct], np.int64)
    least = np.array([x for _, x, _ in builder.lexemes], np.int32)
    most = np.array([x for _, _, x in builder.lexemes], np.int32)
    far = farthest[lex_dfa] + np.maximum(least, 0) if len(lex_dfa) else least
    return {
        "lex_dfa": lex_dfa,
        "lex_least": least,
        "lex_most": most,
        "dfa_first": first,
        "dfa_offset": offset,
        "dfa_width": widths,
        "dfa_class": classes,
        "trans": trans.astype(np.int32),
        "st_accept": accepting,
        "st_dist": distance,
        "st_live": live,
        "st_survive": survive,
        "lex_far": far.astype(np.int32),
    }
