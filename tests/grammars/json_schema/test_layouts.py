"""White space."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guided.errors import InputError
from guided.grammars.json_schema import json_schema
from tests.grammars.json_schema.checking import check

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "integer"}}, "b": {}},
}
DOCUMENT = {"a": [1, 2], "b": {}}
COMPACT = b'{"a":[1,2],"b":{}}'
SPACED = b'{"a": [1, 2], "b": {}}'
INDENTED = json.dumps(DOCUMENT, indent=2).encode()
LOOSE = b'{\t"a" :\n\n[ 1 , 2 ] , "b":{ \r\n }}'


@pytest.mark.parametrize(
    ("whitespace", "valid", "invalid"),
    [
        (
            "flexible",
            [COMPACT, SPACED, b'{ "a": [ 1,2 ], "b":{} }'],
            [INDENTED, LOOSE, b'{"a":  [1]}'],
        ),
        ("compact", [COMPACT], [SPACED, INDENTED]),
        ("spaced", [SPACED], [COMPACT, INDENTED, b'{ "a": [1, 2]}']),
        ("indented", [INDENTED], [COMPACT, SPACED]),
        ("any", [COMPACT, SPACED, INDENTED, LOOSE], [b'{"a":' + b" " * 33 + b"[1]}"]),
    ],
)
def test_layouts(whitespace: Any, valid: list[bytes], invalid: list[bytes]) -> None:
    check(SCHEMA, valid, [*invalid, b" {}", b"{}\n"], whitespace=whitespace)


@pytest.mark.parametrize("option", ["whitespace", "property_order", "on_unsupported"])
def test_an_unknown_option_is_an_error(option: str) -> None:
    with pytest.raises(InputError, match=option):
        json_schema({}, **{option: "tabs"})
