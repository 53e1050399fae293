"""Limits and speed of compiling regular expressions, and a second oracle."""

from __future__ import annotations

import itertools
import time

import interegular
import pytest

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import code_point_count, literals
from guided.grammars.regex import compile_regex

TEXTS = ["".join(t) for n in range(6) for t in itertools.product("ab0-", repeat=n)]


@pytest.mark.parametrize(
    "pattern",
    ["a(b|0)*", "[a-b]{2,3}-?", "(a|b0?)+", "[^a]*", "(ab|a)(b|-)*", r"\d+(-\d+)*", "a{0,3}b{2,}"],
)
def test_interegular_agrees(pattern: str) -> None:
    machine = interegular.parse_pattern(pattern).to_fsm()
    dfa = compile_regex(pattern)
    assert [t for t in TEXTS if machine.accepts(t) != dfa.accepts(t.encode())] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(a{1000}){1000}",
        "((a{0,100}){0,100}){0,100}",
        "(((((a{99}){99}){99}){99}){99}){99}",
        "a{4000000000}",
        "(a|aa|b)*b(a|b){40}",
        "(.*a.{60}|.*b.{61})",
        r"(\w{1,500}){1,500}",
    ],
)
def test_bombs_are_refused_within_a_second(pattern: str) -> None:
    compile_regex("warm")
    begin = time.thread_time()
    with pytest.raises(GrammarTooLargeError, match="regular expression needs more than"):
        compile_regex(pattern)
    assert time.thread_time() - begin < 1.5


def test_large_counts_compile() -> None:
    assert compile_regex("(?s).{0,2000}") == code_point_count(0, 2000)
    assert compile_regex("[a-z]{1,10000}").longest_length() == 10_000


def test_many_alternatives_are_one_automaton() -> None:
    words = [f"word{i}" for i in range(3000)]
    assert compile_regex("|".join(words)) == literals(word.encode() for word in words)
    assert compile_regex("x+|" + "|".join(words)).accepts(b"word2999")


def test_the_same_pattern_is_compiled_once() -> None:
    assert compile_regex("[0-9]+x") is compile_regex("[0-9]+x")
    assert compile_regex(r"\d", "ecma") is not compile_regex(r"\d", "python")


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from guided.grammars.regex import compile as module

    cache = module._Cache()
    monkeypatch.setattr(module, "CACHE_BYTES", 5000)
    dfas = [compile_regex(f"a{{{n}}}") for n in range(1, 20)]
    for n, dfa in enumerate(dfas):
        cache.put((str(n), "python", 0), dfa)
    assert cache.get(("0", "python", 0)) is None
    assert cache.get(("18", "python", 0)) is dfas[-1]
