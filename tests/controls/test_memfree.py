"""No protected n-gram is ever completed; the Bloom filter blocks little else."""

from __future__ import annotations

import random
from typing import Any

import pytest

import guided
from guided.controls import BanTokens, Context, MemFree
from guided.controls.ngram_sets import BloomNgrams, ExactNgrams, windows
from guided.errors import ControlError, DeadEndError
from guided.testing import check_control_laws, enumerate_sequences, table_model, tiny_model

MODEL = table_model(4, seed=1)
NGRAMS = [(1, 2, 3), (1, 1, 1), (2, 1, 2), (3, 3, 2)]


def has_ngram(tokens: tuple[int, ...]) -> bool:
    return any(tokens[at : at + 3] in NGRAMS for at in range(len(tokens)))


@pytest.mark.parametrize("rate", [None, 1e-9])
def test_exactly_the_texts_without_a_protected_ngram_are_left(rate: Any) -> None:
    law = enumerate_sequences(MODEL, (1,), [MemFree(NGRAMS, 3, false_positives=rate)], 6)
    plain = enumerate_sequences(MODEL, (1,), (), 6)
    assert sum(law.values()) == pytest.approx(1)
    assert set(law) == {tokens for tokens in plain if not has_ngram(tokens)}


def test_the_prompt_counts_if_it_is_to() -> None:
    for counts in (False, True):
        control = MemFree(NGRAMS, 3, prompt=counts)
        law = enumerate_sequences(MODEL, (3, 1, 2), [control], 2)
        assert any(tokens[0] == 3 for tokens in law) != counts


def test_it_obeys_the_laws_of_controls() -> None:
    sequences = [(1, 2, 1, 1, 2), (3, 3, 1)]
    check_control_laws(MemFree(NGRAMS, 3), MODEL.vocabulary, sequences)
    check_control_laws(MemFree(NGRAMS, 3, false_positives=0.01), MODEL.vocabulary, [(3, 1)])


def test_a_text_ends_where_all_else_is_blocked() -> None:
    control = MemFree([(2, 1), (2, 2), (2, 3)], 2)
    for result in guided.run(MODEL, "a", controls=[control], temperature=1, n=30):
        if 2 in result.tokens:
            assert result.tokens[result.tokens.index(2) + 1] == 0
            assert result.finish_reason == "stop"
    blocked = [control, BanTokens([0, 1, 3])]
    with pytest.raises(DeadEndError, match=r"at position 1.*MemFree"):
        guided.run(MODEL, "a", controls=blocked, temperature=1)


def test_texts_are_protected_by_the_models_tokens() -> None:
    model = tiny_model()
    text = "The quick brown fox jumps over the lazy dog."
    control = MemFree.of_texts([text], model, n=4)
    tokens = model.encode(text)
    state = control.begin(Context((1,), model.vocabulary))
    for token in tokens[:3]:
        state = control.step(state, token)
    assert state.blocked == {tokens[3]}
    assert not control.allows(state, tokens[3])


@pytest.mark.parametrize("rate", [0.2, 0.01])
def test_the_bloom_filter_misses_nothing_and_is_wrong_as_rarely_as_it_says(rate: float) -> None:
    rng = random.Random(3)
    texts = [[rng.randrange(50) for _ in range(400)] for _ in range(10)]
    known = windows(texts, 3)
    exact, bloom = ExactNgrams(known, 3), BloomNgrams(known, 3, rate)
    wrong = tried = 0
    for _ in range(400):
        before = (rng.randrange(50), rng.randrange(50))
        right = set(exact.completing(before, 50).tolist())
        found = set(bloom.completing(before, 50).tolist())
        assert right <= found
        wrong += len(found - right)
        tried += 50 - len(right)
    # Here most beginnings are known, so the rate is about the stated one.
    assert wrong / tried < 1.25 * rate
    assert wrong > 0
    assert bloom.n_bytes < 8 * len(known)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([(1, 2)], 3), "is no 3-gram"),
        (([(1, -2)], 2), "is no 2-gram"),
        (([], 3), "no n-grams to block"),
        (([(1,)], 0), "n must be at least 1"),
    ],
)
def test_what_is_no_set_of_ngrams_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ControlError, match=message):
        MemFree(*arguments)
    with pytest.raises(ControlError, match="false positives must be in"):
        MemFree([(1,)], 1, false_positives=1.0)
    with pytest.raises(ControlError, match="not one text"):
        MemFree.of_texts("some text", tiny_model())
