"""Small languages are read in one pass: the draws stay the same, and need no further one."""

from __future__ import annotations

from itertools import product

import pytest

from guided.controls import MeasuredMask
from guided.controls.protocol import Context
from guided.grammars.regex import regex
from guided.search import CARS, ASAp
from guided.search.aligned import drawing, reading_ahead
from guided.search.aligned.reading_ahead import prefixes
from guided.testing import table_model

PATTERN = "0{5}|1[01]{4}"
MODEL = table_model(tokens=[b"0", b"1"], seed=4, spread=2)
OPTIONS = {"regex": PATTERN, "max_new_tokens": 6, "heal": False}


def start(limit: int = 6):
    prompt = tuple(MODEL.encode("10"))
    return MeasuredMask(regex(PATTERN)).begin(Context(prompt, MODEL.vocabulary, limit))


def test_prefixes_are_those_of_the_language() -> None:
    found = prefixes(start(), frozenset(MODEL.vocabulary.stop_ids), 100)
    assert found is not None
    words = ["00000", *("1" + "".join(bits) for bits in product("01", repeat=4))]
    expected = {word[:length] for word in words for length in range(1, 6)}
    spelled = ["".join(MODEL.vocabulary.tokens[t].decode() for t in text) for text in found.texts]
    assert sorted(spelled) == sorted(expected)
    for token, parent, text in zip(*found, strict=True):
        assert text == ((*found.texts[parent], token) if parent >= 0 else (token,))


def test_a_language_with_more_prefixes_is_left_alone() -> None:
    stops = frozenset(MODEL.vocabulary.stop_ids)
    count = len(prefixes(start(), stops, 100).tokens)
    assert len(prefixes(start(), stops, count).tokens) == count
    assert prefixes(start(), stops, count - 1) is None


@pytest.mark.parametrize("method", [ASAp, CARS])
@pytest.mark.parametrize("draft", [None, "auto"])
def test_draws_and_certificates_stay_the_same(method, draft, monkeypatch) -> None:
    def run():
        return method(60).run(MODEL, "10", seed=3, draft=draft, **OPTIONS)

    def idle(*_args):
        yield from ()

    ahead = run()
    monkeypatch.setattr(drawing, "read_ahead", idle)
    plain = run()
    told = [[each.result.tokens for each in result.candidates] for result in (ahead, plain)]
    assert told[0] == told[1]
    chances = [[each.result.log_q for each in result.candidates] for result in (ahead, plain)]
    for one, other in zip(*chances, strict=True):
        assert one == pytest.approx(other, abs=1e-12)
    assert ahead.certificate.log_bound == pytest.approx(plain.certificate.log_bound, abs=1e-12)
    # One over the prompt, one over all prefixes.
    assert ahead.spent["passes"] == 2 < plain.spent["passes"]


def test_few_draws_read_nothing_ahead(monkeypatch) -> None:
    def refuse(*_args):
        raise AssertionError("nothing should be read ahead")

    monkeypatch.setattr(reading_ahead, "_read", refuse)
    ASAp(8).run(MODEL, "10", seed=3, **OPTIONS)


def test_an_interrupt_while_reading_ends_the_search_and_loses_nothing(monkeypatch) -> None:
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(reading_ahead, "_read", interrupt)
    result = ASAp(60).run(MODEL, "10", seed=3, **OPTIONS)
    assert result.stopped == "interrupt"
    assert not [each for each in result.candidates if each.weight]
