"""A few draws of every part of the fuzz run."""

import numpy as np
import pytest

pytest.importorskip("jsonschema")

from harness import models
from harness.fuzzing import generations, subjects, walks

from guided.grammars.vocabulary import Vocabulary

DIGITS, WORDS = subjects.of_regex(r"\d{3}-\d{4}"), subjects.of_regex("[a-z]+")
NESTED = subjects.of_grammar("nested", 'start: item+\nitem: "(" start ")" | "x"')
SUBJECTS = (DIGITS, WORDS, NESTED)


def test_random_walks_find_no_fault():
    vocabulary = Vocabulary.from_tokenizer(models.small_tokenizer())
    for number, subject in enumerate(SUBJECTS):
        text, faults = walks.walk(subject, number, vocabulary, seed=1, checks=0.5)
        assert not faults
        assert text is not None
        assert subject.fault(text) is None


def test_walks_notice_a_mask_that_allows_too_much():
    vocabulary = Vocabulary.from_tokenizer(models.small_tokenizer())
    found = walks.mask_faults(
        WORDS.grammar.start(vocabulary),
        DIGITS.grammar.start(walks.BYTES),
        np.random.default_rng(0),
        20,
    )
    assert found


def test_generations_satisfy_their_judges_and_do_not_depend_on_the_batch():
    sources = generations.Sources(seed=1, exact=True)
    drawn = list(generations.draws(SUBJECTS, 8, seed=1))
    for batch in sources.batches(drawn, 4):
        for draw, together, alone in sources.together_and_alone(batch):
            assert together == alone, draw
    for draw, result in sources.generate([d for d in drawn if d.subject.kind == "regex"][:1]):
        assert not isinstance(result, Exception), draw
        assert draw.subject.fault(result.text) is None
