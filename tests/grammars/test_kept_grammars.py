"""Compiled grammars on disk: what one process has compiled the next one reads."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guided.errors import GuidedError, SchemaError, UnsupportedSchemaError, VocabularyError
from guided.grammars import disk_cache, kept_grammars
from guided.grammars.canvas import Verdict
from guided.grammars.gbnf import gbnf
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.report import UnsupportedKeywordWarning
from guided.grammars.lark import lark
from guided.grammars.record_store import hash_of_code
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary

from .trust_subjects import FRONT_ENDS, SCHEMA, vocabulary, walk

KEPT = sorted(set(FRONT_ENDS) - {"choices", "both"})
DISTINCT = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 2}
OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
    "required": ["b"],
    "additionalProperties": False,
}
DROPPED = {"type": "array", "items": {"pattern": "(a)\\1"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path))
    kept_grammars._store.cache_clear()
    return tmp_path


def new_process() -> None:
    """From here on nothing is known but what was written."""
    kept_grammars.flush()
    kept_grammars._store.cache_clear()


def is_from_disk(grammar: Grammar) -> bool:
    return grammar._is_read


def again(make: Any) -> tuple[Grammar, Grammar]:
    """A grammar as it was compiled, and as the next process reads it."""
    first = make()
    new_process()
    second = make()
    assert not is_from_disk(first)
    assert is_from_disk(second)
    return first, second


@pytest.mark.parametrize("name", KEPT)
def test_what_is_read_has_the_masks_of_what_was_compiled(name: str) -> None:
    first, second = again(FRONT_ENDS[name])
    tokens = vocabulary()
    for seed in range(4):
        masks = walk(first, tokens, seed)
        assert masks == walk(second, tokens, seed)
        assert len(masks) > 1
    # Nothing of that has needed the rules.
    assert second._spec is None


@pytest.mark.parametrize(
    "schema",
    [
        DISTINCT,
        {**DISTINCT, "items": {"enum": [1, 2, 3]}, "minItems": 3},
        {**DISTINCT, "items": {"anyOf": [{"enum": [1, 2]}, {"type": "string"}]}},
        {**OBJECT, "maxProperties": 1, "additionalProperties": {"type": "null"}},
        {"type": "string", "minLength": 2, "maxLength": 70},
        True,
        {"enum": ["x", 10**30, 0.5, None, [True, {}]]},
    ],
    ids=repr,
)
@pytest.mark.parametrize("order", ["schema", "any"])
def test_marks_and_tables_come_back(schema: Any, order: Any) -> None:
    first, second = again(lambda: json_schema(schema, property_order=order))
    assert second.marks == first.marks
    for one, other in zip(first.rules, second.rules, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert (one == other).all()
        assert other.flags.writeable or not one.flags.writeable
    tokens = vocabulary()
    assert all(walk(first, tokens, seed) == walk(second, tokens, seed) for seed in range(3))


def test_items_are_kept_apart_by_what_is_read() -> None:
    _, second = again(lambda: json_schema(DISTINCT))
    assert second.has_distinct_items
    assert second.accepts(b"[1, 2]")
    assert not second.accepts(b"[1, 1]")


def test_the_rules_of_what_is_read_are_made_when_asked_for() -> None:
    schema = copy.deepcopy(OBJECT)
    first, second = again(lambda: json_schema(schema, property_order="any"))
    # What happens to the caller's schema meanwhile does not matter.
    schema["properties"]["a"] = {"type": "string"}
    assert second == first
    assert hash(second) == hash(first)
    assert second.with_prefix(b"# ").accepts(b'# {"b": true, "a": 1}')
    copied = pickle.loads(pickle.dumps(second))
    assert copied.accepts(b'{"b": true}')
    assert not copied.accepts(b'{"b": true, "a": "x"}')
    in_order = json_schema({**OBJECT}, whitespace="compact")
    new_process()
    short = json_schema({**OBJECT}, whitespace="compact") & regex(r".{0,10}")
    assert short.accepts(b'{"b":true}')
    assert not short.accepts(b'{"b":false}')
    assert in_order.accepts(b'{"b":false}')


def test_a_canvas_over_what_is_read_is_filled_as_ever() -> None:
    tokens = Vocabulary.from_tokens([bytes([b]) for b in range(255)] + [None], [255])
    made = again(lambda: json_schema(OBJECT, property_order="any", whitespace="compact"))
    text = b'{"a":12,"b":true}'
    for grammar in made:
        canvas = grammar.canvas(tokens, len(text))
        assert canvas.verdict is Verdict.YES
        filled = canvas.fix({place: byte for place, byte in enumerate(text) if place != 6})
        assert filled is not None
        digits = [byte for byte in range(255) if filled.check(6, byte) is Verdict.YES]
        assert digits == sorted(b"0123456789")


def test_a_vocabulary_without_some_bytes_gets_its_own_tables() -> None:
    _, second = again(lambda: json_schema({"enum": ["ab", "cd"]}))
    letters = Vocabulary.from_tokens([b'"', b"a", b"b", None], [3])
    state = second.start(letters)
    for token in (0, 1, 2, 0):
        following = state.advance(token)
        assert following is not None
        state = following
    with pytest.raises(VocabularyError):
        second.start(Vocabulary.from_tokens([b'"', b"a", None], [2]))


def test_another_process_with_another_order_of_sets_reads_the_same(folder: Path) -> None:
    schema = {**OBJECT, "patternProperties": {"^x": {"type": "null"}}, "minProperties": 2}
    schema["additionalProperties"] = {"enum": ["p", "q"]}
    code = (
        "from guided.grammars import kept_grammars\n"
        "from guided.grammars.json_schema import json_schema\n"
        f"json_schema({schema!r}, property_order='any')\n"
        "kept_grammars.flush()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=_env(folder, "3"))
    grammar = json_schema(schema, property_order="any")  # type: ignore[arg-type]
    assert is_from_disk(grammar)
    fresh = Grammar(grammar.spec)
    tokens = vocabulary()
    assert all(walk(grammar, tokens, seed) == walk(fresh, tokens, seed) for seed in range(5))
    for text in (b'{"b": true, "x": null}', b'{"zz": "p", "b": false, "x1": null, "a": 3}'):
        assert grammar.accepts(text)
    assert not grammar.accepts(b'{"b": true}')


def _env(folder: Path, seed: str) -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": seed, disk_cache.VARIABLE: str(folder)}


def test_whatever_changes_the_rules_makes_another_grammar() -> None:
    def made() -> list[Grammar]:
        return [
            json_schema(OBJECT),
            json_schema(dict(reversed(OBJECT.items()))),
            json_schema('{"type": "integer"}'),
            json_schema({"type": "integer"}),
            json_schema({"type": "integer"}, numbers="any"),
            json_schema({"type": "integer"}, whitespace="compact"),
            json_schema({"enum": [1]}),
            json_schema({"enum": [True]}),
            json_schema({"enum": ["1"]}),
            regex("a.c"),
            regex("a.c", 16),
            lark('start: "a"\nother: "b"'),
            lark('start: "a"\nother: "b"', "other"),
            gbnf('root ::= "a"\nb ::= "b"'),
            gbnf('root ::= "a"\nb ::= "b"', "b"),
        ]

    first = made()
    assert not any(map(is_from_disk, first))
    new_process()
    second = made()
    assert all(map(is_from_disk, second))
    texts = [b"1", b"1.0", b"true", b'"1"', b"a", b"b", b"abc", b"a\nc", b'{"b": true}', b"{}"]
    for one, other in zip(first, second, strict=True):
        assert [one.accepts(text) for text in texts] == [other.accepts(text) for text in texts]


def test_what_is_wrong_is_said_every_time() -> None:
    for _ in range(2):
        with pytest.raises(SchemaError):
            json_schema({"type": "no such type"})
        with pytest.raises(UnsupportedSchemaError):
            json_schema(DROPPED)
        with pytest.warns(UnsupportedKeywordWarning, match="pattern"):
            json_schema(DROPPED, on_unsupported="warn")
        new_process()


def test_a_schema_that_is_no_json_is_not_taken_for_its_twin() -> None:
    good = {"properties": {"1": {"type": "null"}}}
    json_schema(good)  # type: ignore[arg-type]
    new_process()
    for bad in ({"properties": {1: {"type": "null"}}}, {"enum": (1, 2)}, {"enum": {1, 2}}):
        known = _outcome(bad)
        assert known == _outcome(bad)
    assert _outcome({"properties": {1: {"type": "null"}}}) != _outcome(good)


def _outcome(schema: Any) -> str:
    try:
        return repr(json_schema(schema).accepts(b'{"1": null}'))
    except (GuidedError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def test_a_schema_that_contains_itself_is_an_error_as_ever() -> None:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    with pytest.raises(GuidedError):
        json_schema(schema)


def test_what_is_damaged_is_compiled_again(folder: Path) -> None:
    json_schema(SCHEMA)  # type: ignore[arg-type]
    new_process()
    (path,) = folder.glob("grammars-*")
    assert os.name != "posix" or path.stat().st_mode & 0o77 == 0
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.warns(RuntimeWarning, match="damaged"):
        grammar = json_schema(SCHEMA)  # type: ignore[arg-type]
    assert not is_from_disk(grammar)
    new_process()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_from_disk(json_schema(SCHEMA))  # type: ignore[arg-type]


def test_other_code_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    json_schema(OBJECT)
    new_process()
    monkeypatch.setattr(kept_grammars, "code_version", lambda: "1-other")
    assert not is_from_disk(json_schema(OBJECT))
    new_process()
    monkeypatch.setattr(kept_grammars, "code_version", lambda: None)
    assert not is_from_disk(json_schema(OBJECT))


def test_the_version_follows_every_file_that_makes_grammars(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[list[Path]] = []
    monkeypatch.setattr(kept_grammars, "hash_of_code", lambda paths: seen.append(list(paths)))
    kept_grammars.code_version.__wrapped__()
    names = {path.name for path in seen[0]}
    assert {"emit_objects.py", "rule_builder.py", "kept_grammars.py", "reader.py"} <= names
    assert {"automata_nfa.py", "automata_product.py", "rule_tables.py", "liveness.py"} <= names
    assert all(path.is_file() for path in seen[0])
    file = tmp_path / "a.py"
    file.write_text("x = 1")
    first = hash_of_code([file])
    assert first == hash_of_code([file])
    file.write_text("x = 2")
    assert hash_of_code([file]) not in (first, None)
    assert hash_of_code([tmp_path / "missing.py"]) is None


def test_nothing_is_kept_without_a_folder_and_nothing_huge(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(kept_grammars, "LARGEST", 10)
    json_schema(OBJECT)
    new_process()
    assert not is_from_disk(json_schema(OBJECT))
    monkeypatch.setenv(disk_cache.VARIABLE, "")
    json_schema(OBJECT)
    new_process()
    assert not is_from_disk(json_schema(OBJECT))
    assert not list(folder.glob("grammars-*"))


def test_packing_loses_nothing() -> None:
    grammar = json_schema(SCHEMA, property_order="any")  # type: ignore[arg-type]
    rules, marks = kept_grammars.unpacked(kept_grammars.packed(grammar.rules, grammar.marks))
    assert marks == grammar.marks
    assert all(np.array_equal(one, other) for one, other in zip(rules, grammar.rules, strict=True))
    assert all(array.ctypes.data % array.itemsize == 0 for array in rules)
