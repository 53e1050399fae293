"""Automata from strings, byte sets and code points."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from guided.grammars.automata import program
from guided.grammars.automata.dfa import Dfa, concatenate, from_program
from guided.grammars.automata.finite import Others, Words
from guided.kernels import automata_sets as kernels

_SURROGATES = (0xD800, 0xDFFF)


@lru_cache(1)
def empty() -> Dfa:
    """The language without a word."""
    return Dfa(np.full((1, 1), -1, np.int32), np.zeros(256, np.uint8), np.zeros(1, np.bool_))


@lru_cache(1)
def epsilon() -> Dfa:
    """The language of the empty string alone."""
    return literal(b"")


@lru_cache(4096)
def literal(data: bytes) -> Dfa:
    """The language of `data` alone."""
    return literals([data])


def literals(strings: Iterable[bytes]) -> Dfa:
    """The language of the given strings; the time is linear in their total length.

    Its tables are made when they are first asked for, which raises GrammarTooLargeError where they
    would exceed `finite.MAX_TABLE_ENTRIES`.
    """
    ordered = sorted(set(strings))
    return Words(tuple(ordered)) if ordered else empty()


def without(dfa: Dfa, strings: Iterable[bytes]) -> Dfa:
    """The words of `dfa` but the given strings; made late where `dfa` is infinite."""
    ordered = sorted(set(strings))
    if not ordered:
        return dfa
    return dfa - Words(tuple(ordered)) if dfa.is_finite() else Others(dfa, tuple(ordered))


def byte_class(members: Iterable[int]) -> Dfa:
    """The language of the single bytes in `members`."""
    chosen = list(members)
    if not chosen:
        return empty()
    classes = np.zeros(256, np.uint8)
    classes[chosen] = 1
    table = np.array([[-1, 1], [-1, -1]], np.int32)
    return Dfa(table, classes, np.array([False, True]))


def code_points(ranges: Iterable[tuple[int, int]]) -> Dfa:
    """The language of one code point, in UTF-8, from inclusive `ranges`; surrogates drop out."""
    return _code_points(tuple(normal_ranges(ranges)))


@lru_cache(512)
def _code_points(ranges: tuple[tuple[int, int], ...]) -> Dfa:
    if not ranges:
        return empty()
    table = kernels.code_point_table(np.array(ranges, np.int64))
    accepting = np.zeros(len(table), np.bool_)
    accepting[1] = True
    return Dfa(table, np.arange(256, dtype=np.uint8), accepting, is_minimal=True)


def normal_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same code points as sorted ranges that neither touch nor hold surrogates."""
    normal: list[tuple[int, int]] = []
    for low, high in sorted(_without_surrogates(ranges)):
        if normal and low <= normal[-1][1] + 1:
            normal[-1] = (normal[-1][0], max(high, normal[-1][1]))
        else:
            normal.append((low, high))
    return normal


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    first, last = _SURROGATES
    for low, high in ranges:
        if low < 0 or high > 0x10FFFF:
            raise ValueError(f"no code points: {low:#x} to {high:#x}")
        for part in ((low, min(high, first - 1)), (max(low, last + 1), high)):
            if part[0] <= part[1]:
                yield part


@lru_cache(1)
def any_code_point() -> Dfa:
    """Every code point, in UTF-8."""
    return code_points([(0, 0x10FFFF)])


@lru_cache(1)
def utf8() -> Dfa:
    """Every valid UTF-8 string."""
    return any_code_point().repeat()


@lru_cache(64)
def code_point_count(least: int, most: int | None = None) -> Dfa:
    """The UTF-8 strings of `least` to `most` code points (`most` None: no end)."""
    return any_code_point().repeat(least, most)


def complement(dfa: Dfa) -> Dfa:
    """The valid UTF-8 strings that are not in `dfa`."""
    return utf8() - dfa


def union(dfas: Iterable[Dfa]) -> Dfa:
    """The words of all the given languages, in one construction."""
    parts = program.Program()
    count = 0
    for dfa in dfas:
        parts.atom(dfa)
        count += 1
    parts.choice(count)
    return from_program(parts, "union")


def concatenation(dfas: Iterable[Dfa]) -> Dfa:
    """One word of each of the given languages, in order, in one construction."""
    return concatenate(list(dfas))
