"""What describe= writes into a prompt."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from guided.errors import InputError
from guided.prompts import describe_fields, describe_prompt


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Address(BaseModel):
    street: str
    city: str


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


class Everything(BaseModel):
    score: float
    done: bool
    level: Level
    scores: list[int]
    home: Address
    others: list[Address]
    nick: str | None = None
    size: Literal["s", 2] = "s"
    either: int | str
    notes: dict[str, str]
    grid: list[list[int]]


class Node(BaseModel):
    value: int
    children: list[Node]


def schema_of(kind: Any) -> Any:
    return TypeAdapter(kind).json_schema()


def test_the_field_list_is_one_line_in_the_form_that_models_are_trained_on() -> None:
    written = describe_prompt("Mira, 31, rows.", "fields", schema_of(Person))
    assert written == (
        "Mira, 31, rows.\nFields: name (string), age (integer), hobbies (list of strings)\nJSON: "
    )


def test_every_kind_of_field_has_its_words() -> None:
    assert describe_fields(schema_of(Everything)) == (
        "score (number), done (boolean), level (one of low|high), scores (list of integers), "
        "home (object(street (string), city (string))), "
        "others (list of object(street (string), city (string))), "
        "nick (string, optional), size (one of s|2, optional), either (integer or string), "
        "notes (object), grid (list of lists of integers)"
    )


def test_a_recursive_schema_is_described_to_some_depth() -> None:
    text = describe_fields(schema_of(Node))
    assert text.startswith("value (integer), children (list of object(value (integer), children")
    assert len(text) < 500


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "integer"), (list[str], "list of strings"), (Level, "one of low|high"),
        (Address, "street (string), city (string)"), (int | None, "integer or null"),
        (dict[str, int], "object"), (Any, "value"),
    ],
)  # fmt: skip
def test_types_that_are_no_objects(kind: Any, words: str) -> None:
    assert describe_fields(schema_of(kind)) == words


def test_a_value_that_is_no_object_is_named_value() -> None:
    assert describe_prompt("How many?", "fields", schema_of(int)) == (
        "How many?\nValue: integer\nJSON: "
    )


def test_the_last_user_message_of_a_chat_is_written_to() -> None:
    chat = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Who?"},
        {"role": "system", "content": "Be brief"},
    ]
    written = describe_prompt(chat, "fields", schema_of(Address))
    assert [dict(m) for m in written[:2]] == chat[:2]
    assert written[2]["content"] == (
        "Who?\n\nAnswer only with a JSON object with these fields: street (string), city (string)"
    )
    assert chat[2]["content"] == "Who?"


def test_content_parts_get_a_part_of_their_own() -> None:
    chat = [{"role": "user", "content": [{"type": "image"}]}]
    (message,) = describe_prompt(chat, "fields", schema_of(int))
    assert message["content"][0] == {"type": "image"}
    assert message["content"][1]["text"] == "Answer only with one JSON value: integer"


def test_a_json_schema_a_template_and_a_function() -> None:
    schema = schema_of(int)
    assert describe_prompt("x", "json_schema", schema) == (
        'x\nJSON Schema: {"type": "integer"}\nJSON: '
    )
    template = "Fill {fields} as {schema} from {prompt}: {}"
    assert describe_prompt("x", template, schema) == (
        'Fill integer as {"type": "integer"} from x: {}'
    )
    assert describe_prompt("x", lambda text, given: text + given["type"], schema) == "xinteger"


def test_unknown_descriptions_are_refused() -> None:
    with pytest.raises(InputError, match="'field' is unknown"):
        describe_prompt("x", "field", {})
    with pytest.raises(InputError, match="role 'user'"):
        describe_prompt([{"role": "system", "content": "x"}], "fields", {})
    with pytest.raises(InputError, match="text content"):
        describe_prompt([{"role": "user", "content": None}], "fields", {})
