"""A grammar of every front-end, and random walks along their masks; nothing heavy is imported."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from guided.grammars.choices import choices
from guided.grammars.gbnf import sample as gbnf_sample
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import sample as lark_sample
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "kind": {"enum": ["cat", "dog", "catfish", 3]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-f]+$"}},
        "when": {"type": "string", "format": "date"},
        "n": {"type": "number", "minimum": -5, "exclusiveMaximum": 1000},
    },
    "required": ["kind", "n"],
    "additionalProperties": {"type": "boolean"},
}
FRONT_ENDS: dict[str, Callable[[], Grammar]] = {
    "schema": lambda: json_schema(SCHEMA),
    "schema in any order": lambda: json_schema(SCHEMA, property_order="any"),
    "regex": lambda: regex(r"(\w{2,5}|[^\x00-\x7f]+)( \d+\.\d\d?)*"),
    "lark": lambda: lark_sample("sql").grammar(),
    "ambiguous lark": lambda: lark_sample("ambiguous").grammar(),
    "gbnf": lambda: gbnf_sample("json").grammar(),
    "regular gbnf": lambda: gbnf_sample("chess").grammar(),
    "choices": lambda: choices(["red", "reddish", "green", "grün", "日本"]),
    "both": lambda: gbnf_sample("json").grammar() & regex(r"(?s:.{0,7}a.*|\[.*\])"),
}


def vocabulary() -> Vocabulary:
    """All bytes, and pieces of what grammars write; the last id stops."""
    rng = random.Random(5)
    text = '{"name": "catfish", "n": -3.25}, [true] SELECT a FROM b WHERE x = 1;é日本 \n\t1. e4 Nf3'
    data = text.encode()
    pieces = {data[i : i + n] for n in (2, 3, 5) for i in range(len(data) - n)}
    mixed = {bytes(rng.choices(data, k=rng.randint(2, 4))) for _ in range(150)}
    singles = [bytes([byte]) for byte in range(255)]
    return Vocabulary.from_tokens(
        [*singles, *sorted(pieces | mixed), None], [len(pieces | mixed) + 255]
    )


def walk(grammar: Grammar, tokens: Vocabulary, seed: int) -> list[bytes]:
    """The masks along a random text."""
    rng, state, masks = random.Random(seed), grammar.start(tokens), []
    for _ in range(15):
        mask = state.mask_within(30) if len(masks) % 5 == 4 else state.mask()
        masks.append(mask.tobytes())
        bits = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
        following = state.advance(int(rng.choice(bits.tolist())))
        if following is None or following.is_finished:
            break
        state = following
    return masks
