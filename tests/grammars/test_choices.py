"""Choices as a grammar."""

from __future__ import annotations

from typing import Any

import pytest

from guided.errors import GrammarError
from guided.grammars.choices import choices


def test_choices_accept_exactly_the_given_texts() -> None:
    grammar = choices(["red", "green", "", "grün"])
    for text in ("red", "green", "", "grün"):
        assert grammar.accepts(text.encode())
    for text in ("re", "redgreen", "Red"):
        assert not grammar.accepts(text.encode())


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "at least one"),
        (["a", "b", "a"], "choice 2 repeats choice 0"),
        (["a", 5], "choice 1 is 5, a int"),
        ([None], "must be strings"),
        ("red", "not the one string"),
        (["\ud800"], "lone surrogate"),
    ],
)
def test_choices_that_cannot_be_are_refused(texts: Any, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        choices(texts)


def test_ten_thousand_choices_compile() -> None:
    assert choices([f"item {i}" for i in range(10_000)]).accepts(b"item 9999")
