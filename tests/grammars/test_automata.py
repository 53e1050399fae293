"""The algebra of byte automata against sets of strings."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import (
    Dfa,
    byte_class,
    code_point_count,
    code_points,
    complement,
    concatenation,
    contains,
    empty,
    epsilon,
    intersects,
    literal,
    literals,
    union,
    utf8,
)

ALPHABET = b"ab\xc3"
LONGEST = 4
WORDS = [bytes(w) for n in range(LONGEST + 1) for w in itertools.product(ALPHABET, repeat=n)]
finite_languages = st.frozensets(
    st.lists(st.sampled_from(list(ALPHABET)), max_size=3).map(bytes), max_size=4
)


def language(dfa: Dfa) -> set[bytes]:
    return {word for word in WORDS if dfa.accepts(word)}


def regular_languages() -> st.SearchStrategy[Dfa]:
    """Automata with loops, built from small sets of literals."""

    def extend(children: st.SearchStrategy[Dfa]) -> st.SearchStrategy[Dfa]:
        return st.one_of(
            st.tuples(children, children).map(lambda pair: pair[0] | pair[1]),
            st.tuples(children, children).map(lambda pair: pair[0] + pair[1]),
            children.map(lambda dfa: dfa.repeat()),
            children.map(lambda dfa: dfa.repeat(1, 2)),
        )

    return st.recursive(finite_languages.map(literals), extend, max_leaves=3)


@given(finite_languages)
@settings(deadline=None, derandomize=True)
def test_literals_accept_exactly_the_given_strings(strings: frozenset[bytes]) -> None:
    dfa = literals(strings)
    assert language(dfa) == strings
    assert dfa.words(100) == sorted(strings, key=lambda word: (len(word), word))
    assert dfa.is_finite()
    assert dfa.longest_length() == (max(map(len, strings)) if strings else None)


@given(regular_languages(), regular_languages())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_boolean_operations_are_those_of_sets(a: Dfa, b: Dfa) -> None:
    assert language(a | b) == language(a) | language(b)
    assert language(a & b) == language(a) & language(b)
    assert language(a - b) == language(a) - language(b)
    assert intersects(a, b) == (not (a & b).is_empty())
    assert contains(a, b) == (b - a).is_empty()


@given(regular_languages(), regular_languages(), regular_languages())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_laws_hold_as_equality_of_automata(a: Dfa, b: Dfa, c: Dfa) -> None:
    everything = byte_class(range(256)).repeat()
    assert everything - (a | b) == (everything - a) & (everything - b)
    assert everything - (a & b) == (everything - a) | (everything - b)
    assert a - b == a & (everything - b)
    assert (a | b) + c == (a + c) | (b + c)
    assert (a + b) + c == concatenation([a, b, c])
    assert a | (b | c) == union([c, b, a])
    assert a.repeat().repeat() == a.repeat()
    assert epsilon() | a + a.repeat() == a.repeat()
    assert a.repeat(1, 3) == a | a + a | a + a + a
    assert hash(a | b) == hash(b | a)


@given(regular_languages())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_automata_are_trimmed_and_know_their_distances(dfa: Dfa) -> None:
    if dfa.is_empty():
        assert dfa == empty()
        return
    for state in range(dfa.n_states):
        reached = {state}
        steps = 0
        while not any(dfa.accepting[s] for s in reached):
            reached = {int(t) for s in reached for t in dfa.transitions[s] if t >= 0}
            steps += 1
        assert steps == dfa.distance[state]
    shortest = dfa.shortest()
    assert shortest is not None
    assert len(shortest) == dfa.distance[0]
    assert dfa.accepts(shortest)


@given(regular_languages())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_words_come_in_order_and_are_all_there(dfa: Dfa) -> None:
    words = [word for word in dfa.words(60) if len(word) <= LONGEST]
    expected = sorted(language(dfa), key=lambda word: (len(word), word))
    assert words == expected[: len(words)]
    assert len(words) == min(len(expected), 60)


def test_no_two_states_are_equivalent() -> None:
    dfa = literals([b"stop", b"top", b"stops", b"tops"])
    rows = {(bool(a), tuple(row)) for a, row in zip(dfa.accepting, dfa.transitions, strict=True)}
    assert len(rows) == dfa.n_states == 6


def test_byte_classes_are_merged_to_the_coarsest_partition() -> None:
    dfa = byte_class(b"abc") | byte_class(b"xyz")
    assert dfa.transitions.shape == (2, 2)
    assert dfa == byte_class(b"abcxyz")


def test_arrays_cannot_be_written() -> None:
    for dfa in (literal(b"x"), pickle.loads(pickle.dumps(literal(b"x")))):
        assert not dfa.transitions.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            dfa.accepting[0] = True


def test_pickling_keeps_the_language() -> None:
    dfa = literals([b"one", b"two"]).repeat(1)
    assert pickle.loads(pickle.dumps(dfa)) == dfa


def test_the_empty_language_has_one_state_of_distance_minus_one() -> None:
    assert empty().n_states == 1
    assert empty().distance[0] == -1
    assert empty().is_empty()
    assert empty().shortest() is None
    assert not epsilon().is_empty()
    assert epsilon().accepts_empty()
    assert epsilon().longest_length() == 0


def test_infinite_languages_have_no_longest_word() -> None:
    dfa = literal(b"ab").repeat(2)
    assert not dfa.is_finite()
    assert dfa.longest_length() is None
    assert dfa.words(2) == [b"abab", b"ababab"]


def test_zero_repetitions_are_the_empty_string() -> None:
    assert literal(b"ab").repeat(0, 0) == epsilon()
    assert empty().repeat() == epsilon()
    with pytest.raises(ValueError, match="repeat 3 to 2"):
        literal(b"ab").repeat(3, 2)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_utf8_accepts_what_python_decodes() -> None:
    edges = b"\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc1\xc2\xdf\xe0\xec\xed\xef\xf0\xf3\xf4\xf5\xff"
    for size in range(5):
        for word in itertools.product(edges, repeat=size) if size < 4 else ():
            assert utf8().accepts(bytes(word)) == is_utf8(bytes(word))
    for word in itertools.product(b"\xf0\xf1\xf4\xf5", edges, edges, b"\x7f\x80\xbf"):
        assert utf8().accepts(bytes(word)) == is_utf8(bytes(word))


@given(
    st.lists(st.tuples(st.integers(0, 0x10FFFF), st.integers(0, 0x3000)), max_size=5),
    st.lists(st.characters(exclude_categories=["Cs"]), min_size=20, max_size=20),
)
@settings(deadline=None, derandomize=True)
def test_code_points_accept_exactly_their_ranges(
    spans: list[tuple[int, int]], others: list[str]
) -> None:
    ranges = [(low, min(low + width, 0x10FFFF)) for low, width in spans]
    dfa = code_points(ranges)
    edges = [p + d for r in ranges for p in r for d in (-1, 0, 1)] + list(map(ord, others))
    for point in edges:
        if 0 <= point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
            expected = any(low <= point <= high for low, high in ranges)
            assert dfa.accepts(chr(point).encode()) == expected
    assert contains(utf8(), dfa)


def test_surrogates_are_no_code_points_of_utf8() -> None:
    assert code_points([(0xD800, 0xDFFF)]) == empty()
    assert code_points([(0xD7FF, 0xE000)]) == literals(["\ud7ff".encode(), "\ue000".encode()])
    with pytest.raises(ValueError, match="no code points"):
        code_points([(0, 0x110000)])


def test_code_point_count_counts_characters() -> None:
    dfa = code_point_count(2, 3)
    accepted = ["éa", "日本語", "🙂🙂"]
    assert all(dfa.accepts(text.encode()) for text in accepted)
    assert not dfa.accepts("🙂".encode())
    assert not dfa.accepts(b"abcd")
    assert dfa.longest_length() == 12
    assert code_point_count(0) == utf8()


def test_complement_is_taken_within_utf8() -> None:
    dfa = complement(literal(b"a"))
    assert dfa.accepts("é".encode())
    assert not dfa.accepts(b"a")
    assert not dfa.accepts(b"\xff")
    assert complement(dfa) == literal(b"a")


def test_equal_languages_built_differently_have_equal_keys() -> None:
    left = literals([b"ab", b"cb"])
    right = byte_class(b"ac") + literal(b"b")
    assert left.key == right.key
    assert {left: 1}[right] == 1
    assert left.key != literals([b"ab", b"cd"]).key


def test_a_hundred_thousand_literals_are_minimal() -> None:
    random = np.random.default_rng(0)
    letters = random.integers(97, 107, (100_000, 10), np.uint8)
    words = [row.tobytes() for row in letters]
    dfa = literals(words)
    assert all(dfa.accepts(word) for word in words[::1000])
    assert not dfa.accepts(b"a" * 9)
    assert dfa.longest_length() == 10
    assert Dfa(dfa.transitions, dfa.classes, dfa.accepting) == dfa


def test_too_many_states_are_refused_with_the_limit() -> None:
    bit = byte_class(b"ab")
    with pytest.raises(GrammarTooLargeError, match="50000 states"):
        concatenation([bit.repeat(), literal(b"a"), bit.repeat(40, 40)])
    with pytest.raises(GrammarTooLargeError, match="transitions"):
        bit.repeat(1000, 1000).repeat(10_000, 10_000)
    residues = [literal(b"a" * p).repeat() for p in (37, 41, 43)]
    with pytest.raises(GrammarTooLargeError, match="intersection"):
        residues[0] & residues[1] & residues[2]
