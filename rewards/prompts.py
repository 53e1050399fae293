"""The question in a prompt, as reward models want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guided.errors import InputError
from guided.model import Message, Prompt


def question_of(prompt: Prompt) -> str:
    """The prompt, if it is text; of chat messages the texts of the user's, a blank line between.

    Raises:
        InputError: chat messages without a text of the user.
    """
    if isinstance(prompt, str):
        return prompt
    texts = [_text(message) for message in prompt if message.get("role") == "user"]
    if not texts:
        raise InputError("chat messages without a user's message have no question to score")
    return "\n\n".join(texts)


def conversation(prompt: Prompt) -> list[Message]:
    """The prompt as chat messages."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content if isinstance(content, list | tuple) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"a message without text cannot be scored: {content!r}")
    return "".join(text for text in texts if text is not None)
