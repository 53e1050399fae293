"""Alternatives of strings that are counted together, against each of them by itself."""

from __future__ import annotations

import itertools
import re

import pytest

from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.readings import joined, written
from guided.grammars.json_schema.strings import Atom, StringShape, language


def shape(*patterns: str, least: int = 2, most: int | None = 4) -> StringShape:
    return StringShape(None, frozenset(Atom("pattern", p) for p in patterns), least, most)


@pytest.mark.parametrize(
    "patterns",
    [["a", "b"], ["^a", "^ab", "^(a|b)b$"], ["^[ab]*$", "^a*$", "c$"], ["^a$", "^bb", "^cccccc"]],
)
def test_alternatives_hold_what_each_of_them_holds(patterns: list[str]) -> None:
    branches = [{"pattern": pattern} for pattern in patterns]
    grammar = json_schema({"type": "string", "minLength": 2, "maxLength": 4, "anyOf": branches})
    for length in range(6):
        for letters in itertools.product("abc", repeat=length):
            word = "".join(letters)
            wanted = 2 <= length <= 4 and any(re.search(p, word) for p in patterns)
            assert grammar.accepts(f'"{word}"'.encode()) == wanted, word


def test_sets_in_others_are_left_out() -> None:
    wide, narrow = shape("a"), shape("a", "b")
    assert joined((narrow, wide)) == (wide,)
    # Here only the automata tell.
    inner, outer = shape("^ab"), shape("^a")
    assert joined((inner, outer)) == (outer,)


def test_sets_of_one_range_become_one_and_others_stay() -> None:
    found = joined((shape("^a"), shape("^b"), shape("^c", most=9), StringShape(words=("x",))))
    assert len(found) == 3
    (whole,) = (one for one in found if one.words is None and one.most == 4)
    assert written(whole) == written(shape("^(a|b)"))


def test_a_set_without_strings_hides_no_other() -> None:
    found = joined((shape("^x$"), shape("^yyyyyy")))
    assert all(language(one).is_empty() for one in found)
