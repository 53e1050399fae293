"""Measures of copying: by hand, against brute force, and at their ends."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Sequence

import pytest

from guided.copying import (
    SIX,
    MinHash,
    Run,
    accumulated_length,
    as_characters,
    common_runs,
    edit_similarity,
    jaccard,
    lcs_length,
    longest_run,
    measure,
    normalised_reduction,
    rouge_1,
    rouge_l,
    shingles,
    words_of,
)
from guided.errors import InputError, MissingPackageError

#: Of one shingle under two permutations, written down once: signatures may be kept.
SIGNATURE = [1221032846, 783300136]
THE_CAT = ["the", "cat", "sat", "on", "the", "mat"]
A_CAT = ["a", "cat", "on", "the", "warm", "mat", "sat"]
PAIRS = [
    ([rng.choice("abc") for _ in range(size)], [rng.choice("abcd") for _ in range(other)])
    for seed in range(12)
    for rng in [random.Random(seed)]
    for size, other in [(rng.randrange(9), rng.randrange(9))]
]


def test_words_are_case_folded_runs_of_letters_and_digits() -> None:
    assert words_of('"Straße 7B," said_he – naïve?') == ["strasse", "7b", "said", "he", "naïve"]
    assert words_of("Привет, 世界!") == ["привет", "世界"]
    assert words_of("  —  ") == []
    assert words_of("one two three", limit=2) == ["one", "two"]
    assert words_of("cats ran", stem=lambda word: word.rstrip("s")) == ["cat", "ran"]
    assert as_characters(["a", "bc"]) == "a bc"
    with pytest.raises(InputError, match="limit=0"):
        words_of("a", limit=0)


def test_rouge_by_hand() -> None:
    # In common: cat, on, the (once), mat, sat.
    assert rouge_1(THE_CAT, A_CAT) == pytest.approx(2 * 5 / (6 + 7))
    # "cat on the mat" is the longest common subsequence.
    assert rouge_l(THE_CAT, A_CAT) == pytest.approx(2 * 4 / (6 + 7))
    assert lcs_length(THE_CAT, A_CAT) == 4


def test_runs_by_hand() -> None:
    assert longest_run(THE_CAT, A_CAT) == Run(3, 2, 2)  # "on the"
    assert common_runs(THE_CAT, A_CAT) == [Run(3, 2, 2), Run(1, 1, 1), Run(2, 6, 1), Run(5, 5, 1)]
    assert accumulated_length(THE_CAT, A_CAT, shortest=1) == 5
    assert accumulated_length(THE_CAT, A_CAT, shortest=2) == 2
    assert accumulated_length(THE_CAT, A_CAT) == 0
    assert longest_run("xabcy", "zabcabc") == Run(1, 1, 3)


def test_a_run_counts_once_where_the_reference_repeats_it() -> None:
    assert accumulated_length("abcabc", "abc", shortest=1) == 3
    assert accumulated_length("abc", "abcabc", shortest=1) == 3
    assert common_runs("abcxabc", "abcyabc", 2) == [Run(0, 0, 3), Run(4, 4, 3)]


def test_shingles_by_hand() -> None:
    words = ["a", "b", "c", "d"]
    assert shingles(words) == {("a", "b", "c"), ("b", "c", "d")}
    assert shingles(["a", "b"]) == {("a", "b")}
    assert shingles([]) == frozenset()
    assert jaccard(shingles(words, 1), shingles(["c", "d", "e"], 1)) == pytest.approx(2 / 5)


def test_edit_similarity_by_hand() -> None:
    assert edit_similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert edit_similarity(["a", "b"], ["a"]) == pytest.approx(1 / 2)


def test_words_are_compared_as_wholes() -> None:
    assert lcs_length(["ab", "c"], ["a", "bc"]) == 0
    assert longest_run(["ab", "c"], ["a", "bc"]).length == 0


def subsequences(text: Sequence[str]) -> set[tuple[str, ...]]:
    kept = itertools.product((False, True), repeat=len(text))
    return {tuple(itertools.compress(text, mask)) for mask in kept}


def substrings(text: Sequence[str]) -> set[tuple[str, ...]]:
    ends = itertools.combinations(range(len(text) + 1), 2)
    return {tuple(text[i:j]) for i, j in ends} | {()}


@pytest.mark.parametrize(("text", "other"), PAIRS)
def test_lengths_agree_with_enumeration(text: list[str], other: list[str]) -> None:
    assert lcs_length(text, other) == max(map(len, subsequences(text) & subsequences(other)))
    run = longest_run(text, other)
    assert run.length == max(map(len, substrings(text) & substrings(other)))
    same = other[run.reference_start : run.reference_start + run.length]
    assert text[run.start : run.start + run.length] == same


@pytest.mark.parametrize(("text", "other"), PAIRS)
def test_runs_overlap_nowhere_and_leave_nothing(text: list[str], other: list[str]) -> None:
    runs = common_runs(text, other)
    assert [run.length for run in runs] == sorted((run.length for run in runs), reverse=True)
    left, right = list(text), list(other)
    for start, other_start, length in runs:
        assert text[start : start + length] == other[other_start : other_start + length]
        assert "*" not in left[start : start + length] + right[other_start : other_start + length]
        left[start : start + length] = "*" * length
        right[other_start : other_start + length] = "*" * length
    assert not (set(left) & set(right)) - {"*"}


@pytest.mark.parametrize("text", ["The cat sat on the mat, and Zoë (7) laughed.", "世界 和 平"])
def test_an_identical_text_is_copied_in_full(text: str) -> None:
    found, words = measure(text, text), words_of(text)
    assert (found.rouge_1, found.rouge_l, found.minhash, found.jaccard, found.edit) == (1,) * 5
    assert found.acs == found.lcs_words == found.run_words == len(words)
    assert found.lcs_characters == found.run_characters == len(" ".join(words))


def test_a_disjoint_text_copies_nothing() -> None:
    assert set(measure("abc", "xyz").as_dict().values()) == {0}
    several = measure("ab ba ab", "xy yx xy").as_dict()
    characters = {"lcs_characters", "run_characters", "edit"}  # the spaces
    assert all(not value for name, value in several.items() if name not in characters)


def test_empty_texts() -> None:
    assert set(measure("", "abc").as_dict().values()) == {0}
    assert set(measure("abc", " – ").as_dict().values()) == {0}
    both = measure("", "")
    assert (both.rouge_1, both.rouge_l, both.minhash, both.jaccard, both.edit) == (1,) * 5
    assert both.acs == both.lcs_words == both.run_characters == 0
    assert common_runs("", "") == []


def test_only_the_first_words_are_compared() -> None:
    assert measure("a b c x", "a b c y", limit=3).rouge_1 == 1
    assert measure("a b c x", "a b c y", limit=None).rouge_1 == pytest.approx(3 / 4)
    assert measure(" ".join("ab" for _ in range(60)), "ab").rouge_1 == pytest.approx(2 / 51)


def test_minhash_estimates_the_jaccard_similarity_within_its_noise() -> None:
    rng, estimator = random.Random(0), MinHash(permutations=2048)
    for shared in (0, 20, 50, 100):
        common = [(f"c{rng.random()}",) for _ in range(shared)]
        one = [*common, *((f"a{i}",) for i in range(100 - shared))]
        other = [*common, *((f"b{i}",) for i in range(100 - shared))]
        exact = jaccard(one, other)
        noise = (exact * (1 - exact) / 2048) ** 0.5
        assert abs(estimator.similarity(one, other) - exact) <= 4 * noise


def test_signatures_are_the_same_for_a_seed_and_ignore_order() -> None:
    items = [("a", "b"), ("c",), ("ünï", "🙂")]
    first = MinHash(16, seed=3).signature(items)
    assert first.tolist() == MinHash(16, seed=3).signature(items[::-1]).tolist()
    assert first.tolist() != MinHash(16, seed=4).signature(items).tolist()
    assert MinHash(2).signature([("a", "b", "c")]).tolist() == SIGNATURE


def test_reduction_is_100_for_the_safe_model_and_0_for_the_risky_one() -> None:
    risky = measure("a b c d e f", "a b c d e f").as_dict()
    safe = measure("a x c y e z", "a b c d e f").as_dict()
    assert normalised_reduction(safe, risky, safe) == pytest.approx(100)
    assert normalised_reduction(risky, risky, safe) == pytest.approx(0)
    half = {name: (risky[name] + safe[name]) / 2 for name in SIX}
    assert normalised_reduction(half, risky, safe) == pytest.approx(50)


def test_reduction_is_the_mean_over_metrics_of_their_own_gaps() -> None:
    risky, safe, method = {"a": 10, "b": 1.0}, {"a": 0, "b": 0.5}, {"a": 5, "b": 0.5}
    assert normalised_reduction(method, risky, safe, ["a", "b"]) == pytest.approx((50 + 100) / 2)


def test_a_reduction_without_a_gap_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="by b:"):
        normalised_reduction({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 1}, ["a", "b"])
    with pytest.raises(InputError, match="safe lacks b"):
        normalised_reduction({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1}, ["a", "b"])
    with pytest.raises(InputError, match="empty"):
        normalised_reduction({}, {}, {}, [])


@pytest.mark.parametrize("bad", [lambda: common_runs("a", "a", 0), lambda: shingles(["a"], 0)])
def test_lengths_below_one_are_refused(bad) -> None:
    with pytest.raises(InputError, match="at least one"):
        bad()
    with pytest.raises(InputError, match="permutations=0"):
        MinHash(0)


@pytest.mark.parametrize("measured", [lcs_length, edit_similarity])
def test_without_rapidfuzz_the_error_says_what_to_install(measured, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingPackageError, match=r"pip install \"guided\[metrics\]\""):
        measured("a", "b")
    assert issubclass(MissingPackageError, ImportError)
