"""Every cache is bounded, and tells how full it is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys

import guided.grammars
from guided.grammars.cache_report import cache_report
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary


def test_every_function_that_keeps_results_has_a_limit() -> None:
    for module in pkgutil.walk_packages(guided.grammars.__path__, "guided.grammars."):
        importlib.import_module(module.name)
    reported = {facts.name for facts in cache_report()}
    kept = 0
    for name, module in list(sys.modules.items()):
        if not name.startswith("guided.grammars"):
            continue
        for value in vars(module).values():
            if hasattr(value, "cache_info"):
                kept += 1
                assert f"{value.__module__}.{value.__qualname__}" in reported
                if value.cache_info().maxsize is None:
                    assert not inspect.signature(value).parameters, value
    assert kept > 20
    assert all(facts.held <= facts.limit for facts in cache_report())


def test_what_a_vocabulary_and_a_grammar_keep_is_told_in_bytes() -> None:
    tokens: list[bytes | None] = [bytes([byte]) for byte in range(256)]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [256])
    grammar = json_schema({"type": "string", "maxLength": 3})
    before = _held(vocabulary, grammar)
    assert list(before.values()) == [0]
    state = grammar.start(vocabulary)
    state.mask()
    after = state.advance(ord('"'))
    assert after is not None
    after.mask()
    held = _held(vocabulary, grammar)
    assert len(held) == 3
    assert all(held[name] > 0 for name in held)
    assert held[f"masks of {grammar}"] == 2 * 4 * vocabulary.n_words
    facts = cache_report(vocabulary, grammar)
    assert all(each.held <= each.limit for each in facts)


def _held(vocabulary: Vocabulary, grammar: Grammar) -> dict[str, int]:
    facts = cache_report(vocabulary, grammar)
    return {
        each.name: each.held
        for each in facts
        if each.unit == "bytes" and each.name != "masks on devices"
    }
