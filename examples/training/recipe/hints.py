"""Hints for training: what each token of a text is, and where each token of an answer comes from.

Both follow from the places of the facts, which the generator knows. They only shape losses that
help training along; the trained model needs none of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .batches import IGNORED
from .domains import DOMAINS
from .extraction import Example
from .sources import Path, key_places, pieces, value_places
from .surface import Span

NONE = 0
START, NOWHERE = -1, -2
INNER = {"items": ("name", "quantity", "price"), "folk": ("name", "age", "city")}


def _roles() -> dict[str, int]:
    """Numbers of all roles: odd where a value begins; one more where it goes on."""
    names = []
    for kind, parts in DOMAINS.items():
        for slot, part in parts.items():
            role = f"{kind} {slot}"
            names += [f"{role} {key}" for key in INNER.get(part.kind, ())] or [role]
    return {name: 1 + 2 * number for number, name in enumerate(names)}


ROLES = _roles()
CLASSES = 1 + 2 * len(ROLES)
Offsets = list[tuple[int, int]]


@dataclass(frozen=True)
class Tokens:
    """Token ids of a piece of text and the characters [start, end) of each."""

    ids: list[int]
    offsets: Offsets

    @classmethod
    def of(cls, tokenizer: Any, text: str) -> Tokens:
        """The tokens of `text`, without special ones."""
        made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return cls(made.input_ids, made.offset_mapping)

    def inside(self, span: Span) -> range:
        """The tokens that share characters with `span`."""
        first = bisect_right(self.offsets, span[0], key=lambda pair: pair[1])
        return range(first, bisect_left(self.offsets, span[1], key=lambda pair: pair[0]))


def text_roles(example: Example, tokens: Tokens) -> list[int]:
    """The class of each token of the text: `NONE` outside of facts, `IGNORED` in loose ones."""
    roles = [NONE] * len(tokens.ids)
    for field in example.told:
        if field.at is None:
            continue
        for path, span in value_places(field.value, example.text, field.at).items():
            key = path[-1] if path and isinstance(path[-1], str) else ""
            role = ROLES[f"{field.role} {key}".strip()] if field.role else IGNORED
            for n, token in enumerate(tokens.inside(span)):
                roles[token] = role + (n > 0 and role != IGNORED)
    return roles


def answer_sources(example: Example, text: Tokens, rest: Tokens, answer: Tokens) -> list[int]:
    """For each token of the answer, and one after it, the token of the prompt that it copies.

    Tokens of the prompt are those of `text`, then those of `rest`; `START` is the one before
    them, where an untold fact is looked for, and `NOWHERE` stands for none. After a copied piece
    comes the token that ends its place: the sign that the piece is complete.
    """
    shift = len(example.text)
    prompt = Tokens(
        text.ids + rest.ids, text.offsets + [(a + shift, b + shift) for a, b in rest.offsets]
    )
    sources = [NOWHERE] * (len(answer.ids) + 1)
    places = prompt_places(example)
    for piece in pieces(example.value):
        place = places.get((piece.path, piece.is_key))
        wrote = answer.inside((piece.start, piece.start + len(piece.text)))
        if place is None:
            if piece.text == "null":
                sources[wrote.start] = START
            continue
        read = prompt.inside(place)
        if not wrote or not read:
            continue
        sources[wrote.start] = read.start
        # The first token may differ: a key after a space, a number in words.
        if [answer.ids[w] for w in wrote[1:]] == [prompt.ids[r] for r in read[1:]]:
            for w, r in zip(wrote[1:], read[1:], strict=True):
                sources[w] = r
            sources[wrote.stop] = read.stop
    return sources


def prompt_places(example: Example) -> dict[tuple[Path, bool], Span]:
    """Where each key (True) and plain value (False) of the answer stands in the prompt."""
    places: dict[tuple[Path, bool], Span] = {}
    if example.fields is not None:
        keys = key_places(example.fields, example.value)
        shift = len(example.text) + len("\nFields: ")
        for piece in pieces(example.value):
            path = tuple(part for part in piece.path if isinstance(part, str))
            if piece.is_key and path in keys:
                start = shift + keys[path]
                places[piece.path, True] = (start, start + len(piece.text))
    for path, value in _facts(example.value):
        span = example.spans.get(path[-1])
        if span is not None and value is not None:
            for inner, place in value_places(value, example.text, span).items():
                places[(*path, *inner), False] = place
    return places


def _facts(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Path and value of every field that is no object."""
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _facts(item, (*path, name))
        else:
            yield (*path, name), item
