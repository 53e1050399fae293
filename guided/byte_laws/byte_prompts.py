"""Prompts as symbols: bytes and a mark, which every model reads with its own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from guided.byte_laws.spelling import END
from guided.errors import InputError
from guided.model import Prompt


class Parts(NamedTuple):
    """What stands in a row of symbols.

    Attributes:
        prompt: text or chat messages; `template`, further arguments of their template.
        shown: the bytes that stand for the prompt, and in which its text is looked for.
        data: the bytes after it.
    """

    prompt: Prompt
    template: Mapping[str, Any]
    shown: bytes
    data: bytes


def symbols_of(prompt: Prompt, template: Mapping[str, Any] | None = None) -> list[int]:
    """A prompt as symbols: its bytes and the mark 256; messages as JSON, with the mark twice."""
    if isinstance(prompt, str):
        return [*prompt.encode(), END]
    given = {"messages": [dict(each) for each in prompt], "template": dict(template or {})}
    try:
        text = json.dumps(given)
    except TypeError as error:
        raise InputError(f"chat messages for a model over bytes must be plain: {error}") from error
    return [*text.encode(), END, END]


def parts_of(symbols: Sequence[int]) -> Parts:
    """What a prompt made by `symbols_of`, and what has come after it, consist of.

    Raises:
        InputError: there is no mark, or something else that is no byte.
    """
    given = list(symbols)
    if END not in given:
        raise InputError(
            "a prompt of a model over bytes ends with the mark 256; make it by the model's encode"
        )
    at = given.index(END)
    is_chat = given[at + 1 : at + 2] == [END]
    try:
        shown, data = bytes(given[:at]), bytes(given[at + 1 + is_chat :])
    except ValueError:
        raise InputError("a text of a model over bytes holds bytes, and one mark") from None
    if not is_chat:
        return Parts(shown.decode(errors="replace"), {}, shown, data)
    read = json.loads(shown)
    return Parts(read["messages"], read["template"], shown, data)


def is_chat(symbols: Sequence[int]) -> bool:
    """Whether a prompt made by `symbols_of` consists of messages."""
    return list(symbols[-2:]) == [END, END]
