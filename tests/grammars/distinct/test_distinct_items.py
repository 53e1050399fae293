"""Items that must differ: the masks against every token tried, and the texts against jsonschema."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from guided.errors import BudgetError, GrammarError
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens

PRINTABLE = [bytes([byte]) for byte in range(32, 127)]
LONGER = [b'"a"', b'","', b'a","', b'b","b', b'["a","', b'"}', b'"},{', b'{"id":"', b'b"},{"id":"']
LONGER += [b" {},", b"{}", b", ", b',"', b' "', b'", "', b"[{", b"}, "]
LONGER += [
    b"1,",
    b"1,1",
    b"10",
    b"1.0",
    b"],[",
    b"[[1],[",
    b"true,",
    b'{"k":"x"}',
    b"\\u0061",
    b"\\",
]


def vocabulary(longer: list[bytes] = LONGER) -> Vocabulary:
    tokens = list(dict.fromkeys([*PRINTABLE, *longer]))
    return Vocabulary.from_tokens([*tokens, None], [len(tokens)])


def unique(items: Any, **others: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "uniqueItems": True, **others}


def record(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "additionalProperties": False}


NAME = {"type": "string", "pattern": "^[ab]+$"}
SCHEMAS = [
    unique({"type": "string", "pattern": "^(a|b+)$"}, minItems=3),
    unique({**record(id=NAME), "required": ["id"]}, minItems=2),
    unique({**record(id=NAME, k={"enum": ["x", "y"]}), "required": ["k"]}, minItems=2),
    unique({"type": "integer"}, maxItems=6),
    unique({"type": "number"}, minItems=2, maxItems=4),
    unique(unique({"type": "integer", "minimum": 0}, minItems=1, maxItems=3), maxItems=3),
    unique({}, maxItems=4),
    unique({"type": "object", "additionalProperties": {"type": "integer"}}, maxItems=3),
    unique({**record(a={"type": "boolean"}), "required": ["a"]}),
    {
        "type": "array",
        "prefixItems": [{"type": ["integer", "boolean"]}, {"type": "boolean"}, {"type": "boolean"}],
        "uniqueItems": True,
        "minItems": 3,
        "maxItems": 4,
    },
    unique(unique({"type": "object"}, minItems=3), maxItems=2),
    unique(unique({"enum": [1, "a"]}, minItems=1), maxItems=2),
    unique({"enum": ["a", "b"]}, contains={"const": "a"}),
]


@pytest.mark.parametrize("number", range(len(SCHEMAS)))
def test_the_mask_is_what_may_come_and_what_comes_is_valid(number: int) -> None:
    schema = SCHEMAS[number]
    grammar = json_schema(schema, whitespace="compact" if number % 2 else "flexible")
    tokens = vocabulary()
    rng = random.Random(number)
    for _ in range(8):
        text = _walk(grammar, tokens, rng, steps=9)
        assert grammar.accepts(text)
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))


def _walk(grammar: Grammar, tokens: Vocabulary, rng: random.Random, steps: int) -> bytes:
    """A text of some random tokens and a completion; each mask is compared with every token."""
    state, text = grammar.start(tokens), b""
    for _ in range(steps):
        after = {token: state.advance(token) for token in range(tokens.size)}
        taken = {token for token, found in after.items() if found is not None}
        assert allowed_tokens(state.mask(), tokens.size) == taken, text
        assert taken, text
        # Tokens of quotes, brackets and few letters repeat items soon.
        near = [t for t in sorted(taken) if t >= len(PRINTABLE) or tokens.tokens[t] in _NEAR]
        token = rng.choice(near or sorted(taken))
        found = after[token]
        assert found is not None
        if found.is_finished:
            return text
        state, text = found, text + (tokens.tokens[token] or b"")
    assert state.mask_within(state.bound).any()
    for token in state.completion():
        found = state.advance(token)
        assert found is not None
        state, text = found, text + (tokens.tokens[token] or b"")
    assert state.is_accepting
    return text


_NEAR = frozenset(bytes([byte]) for byte in b'"ab01,[]{}:xk')


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("[1, 1.0]", False),
        ("[10, 1e1]", False),
        ("[0.0, -0]", False),
        ("[1, 10]", True),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', False),
        ('[{"a": 1}, {"a": 2, "a": 1}]', False),
        ('[{"a": 1, "b": 2}, {"a": 1}]', True),
        ("[[1], [1]]", False),
        ("[[1, 1], [1]]", True),
        ("[1, true]", True),
        ("[0, false, null, [], {}]", True),
        ("[null, null]", False),
        ('["a", "\\u0061"]', False),
        ('["\\n", "\\u000A"]', False),
        ('["\\ud83d\\ude00", "😀"]', False),
        ('["a", "A"]', True),
    ],
)
def test_items_are_compared_as_values(text: str, is_allowed: bool) -> None:
    grammar = json_schema({"uniqueItems": True})
    assert grammar.accepts(text.encode()) == is_allowed
    tokens = Vocabulary.from_tokens([*(bytes([b]) for b in range(255)), None], [255])
    state = grammar.start(tokens)
    for index, token in enumerate(text.encode()):
        found = state.advance(token)
        if found is None:
            assert not is_allowed
            assert grammar.reach(text.encode()) >= index
            return
        state = found
    assert is_allowed
    assert state.is_accepting


def test_only_marked_arrays_are_kept_apart() -> None:
    schema = {"properties": {"a": unique({"type": "array"}), "b": {"type": "array"}}}
    grammar = json_schema(schema)
    assert grammar.accepts(b'{"a": [[1, 1], [1]], "b": [1, 1]}')
    assert not grammar.accepts(b'{"a": [[1, 1], [1, 1]]}')


def test_what_nothing_but_a_repetition_can_follow_is_masked() -> None:
    grammar = json_schema(unique({"type": "string", "pattern": "^(a|bc)$"}), whitespace="compact")
    tokens = vocabulary()
    state = grammar.start(tokens)
    for token in tokens.encode(b'["bc","'):
        found = state.advance(token)
        assert found is not None
        state = found
    assert not state.accepts(tokens.spellings[b"b"])
    assert state.accepts(tokens.spellings[b"a"])


def test_budgets_leave_room_for_items_that_differ() -> None:
    schema = unique({"type": "string", "pattern": "^[ab]*$"}, minItems=5)
    tokens = vocabulary([])
    start = json_schema(schema, whitespace="compact").start(tokens)
    # [] and commas, quotes, and "", a, b and two longer words.
    assert start.bound == 2 + 4 + 10 + (0 + 1 + 1 + 2 + 2) + 1
    with pytest.raises(BudgetError):
        start.mask_within(start.bound - 1)
    rng = random.Random(0)
    for _ in range(5):
        state, left = start, start.bound + 1
        while not state.is_finished:
            allowed = sorted(allowed_tokens(state.mask_within(left), tokens.size))
            found = state.advance(rng.choice(allowed))
            assert found is not None
            state, left = found, left - 1
        assert left >= 0


def test_a_vocabulary_without_all_bytes_ends_in_time() -> None:
    tokens = Vocabulary.from_tokens([b"[", b"]", b'"', b"ab", b",", None], [5])
    state = json_schema(unique({"type": "string"}, minItems=3)).start(tokens)
    for token in state.completion():
        found = state.advance(token)
        assert found is not None
        state = found
    assert state.is_accepting


def test_states_of_equal_places_are_equal() -> None:
    grammar, tokens = json_schema(unique({"type": "integer"})), vocabulary()
    states = []
    for text in (b"[1, 2", b"[1, 2", b"[2, 2", b"[3"):
        state = grammar.start(tokens)
        for token in tokens.encode(text[:-1]) + tokens.encode(text[-1:]):
            state = state.advance(token) or state
        states.append(state.key)
    assert states[0] == states[1]
    assert states[0] != states[2] != states[3]


def test_canvases_and_intersections_are_refused() -> None:
    grammar = json_schema(unique({"type": "string"}))
    with pytest.raises(GrammarError, match="uniqueItems"):
        grammar.canvas(vocabulary(), 4)
    with pytest.raises(GrammarError, match="uniqueItems"):
        grammar & grammar
