"""stream: text and partial values as they grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from annotated_types import Len
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import guided
from guided.errors import BudgetError
from guided.partial_values import partial_value
from guided.testing import byte_tokenizer, fake_model, tiny_model


class Pet(BaseModel):
    kind: str
    legs: int = 4


class Owner(BaseModel):
    name: str
    age: int | None = None
    pets: list[Pet] = Field(default_factory=list)


@dataclass
class Point:
    x: int
    y: int = 7
    tags: list[str] = field(default_factory=list)


class Film(TypedDict):
    title: str
    year: int


TEXT = '{"name": "Åsa", "age": 31, "pets": [{"kind": "dog", "legs": 3}]}'


def test_deltas_add_up_and_the_last_event_has_the_result() -> None:
    events = list(guided.stream(fake_model(TEXT), "Who? ", schema=Owner))
    assert "".join(event.delta for event in events) == TEXT
    assert all(event.result is None for event in events[:-1])
    result = events[-1].result
    assert result is not None
    assert result.value == Owner(name="Åsa", age=31, pets=[Pet(kind="dog", legs=3)])
    assert events[-1].value == result.value


def test_partial_objects_grow() -> None:
    events = list(guided.stream(fake_model(TEXT), "Who? ", schema=Owner))
    owners = [event.value for event in events if event.value is not None]
    assert all(isinstance(owner, Owner) for owner in owners)
    assert [owner.name for owner in owners[:8]] == sorted(
        (owner.name for owner in owners[:8]), key=lambda name: len(name or "")
    )
    kinds = [owner.pets[0].kind for owner in owners if owner.pets]
    assert kinds[0] in (None, "")
    assert kinds[-1] == "dog"


def test_a_stream_draws_what_run_draws() -> None:
    options: dict[str, Any] = {"temperature": 1.0, "seed": 5, "max_new_tokens": 40}
    *_, last = guided.stream(tiny_model(), "x: ", schema=Owner, **options)
    assert last.result is not None
    assert last.result.tokens == guided.run(tiny_model(), "x: ", schema=Owner, **options).tokens


def test_half_characters_are_never_shown() -> None:
    events = list(guided.stream(fake_model("naïve 日本 🎉"), "x ", max_new_tokens=40))
    assert not any("\ufffd" in event.text for event in events)
    assert events[-1].text == "naïve 日本 🎉"


def test_what_may_become_a_stop_string_is_held_back() -> None:
    events = list(guided.stream(fake_model("say hello then stop it"), "x ", stop=["stop", "st"]))
    assert events[-1].text == "say hello then "
    assert "".join(event.delta for event in events) == "say hello then "


def test_a_healed_prompt_end_is_not_shown() -> None:
    model = fake_model(" elephants are", byte_tokenizer(["go to elephants"] * 9, 300))
    events = list(guided.stream(model, "See the eleph", max_new_tokens=30))
    assert events[0].text == "ants"
    assert events[-1].text == "ants are"


def test_thinking_is_streamed_as_text_and_has_no_value() -> None:
    model = fake_model("I see. </think>[1, 2]")
    events = list(guided.stream(model, "x ", schema=list[int], after="</think>"))
    assert all(e.value is None for e in events if "</think>" not in e.text)
    assert events[-1].value == [1, 2]
    assert [1] in [event.value for event in events]


def test_arguments_are_checked_when_stream_is_called() -> None:
    with pytest.raises(TypeError):
        guided.stream(tiny_model(), "x", n=2)  # type: ignore[call-arg]
    with pytest.raises(BudgetError):
        guided.stream(tiny_model(), "x", schema=Owner, max_new_tokens=2)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Any, '{"a": [1, {"b', {"a": [1, {}]}),
        (dict[str, int], '{"a": 1, "b": "x', {"a": 1}),
        (list[Pet], '[{"kind": "cat"}, {"le', [Pet(kind="cat"), Pet.model_construct(kind=None)]),
        (Pet | None, '{"kind": "c', Pet(kind="c")),
        (Film, '{"title": "He', {"title": "He"}),
        (Annotated[list[Pet], Len(1)], "[", []),
        (Owner, "", None),
        (Owner, '{"name": "A", "pets": [{"legs": 2', None),
        (int, '"x', None),
    ],
    ids=str,
)
def test_partial_values(kind: Any, text: str, value: Any) -> None:
    found = partial_value(kind, text)
    if kind is Owner and text:
        assert (found.name, found.age, found.pets[0].kind, found.pets[0].legs) == (
            "A",
            None,
            None,
            2,
        )
    else:
        assert found == value


def test_partial_dataclasses() -> None:
    point = partial_value(Point, '{"x": "no"')
    assert (point.x, point.y, point.tags) == (None, 7, [])
    assert partial_value(Point, '{"x": 1, "ta') == Point(1)
