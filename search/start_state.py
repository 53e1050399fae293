"""Start-state adaptation: an instruction that the model reads with the prompt."""

from __future__ import annotations

from collections.abc import Callable

from guided.errors import InputError
from guided.model import Prompt


def adapted(prompt: Prompt, start: str | Callable[[Prompt], Prompt] | None) -> Prompt:
    """The prompt with an instruction.

    Args:
        start: text with "{prompt}" in it is a template for the prompt, or for the last message of
            a chat; other text is put in front of it. A function makes prompts of prompts.

    Raises:
        InputError: a chat whose last message is no text.
    """
    if start is None:
        return prompt
    if callable(start):
        return start(prompt)
    if isinstance(prompt, str):
        return _filled(start, prompt)
    *before, last = prompt
    if not isinstance(last.get("content"), str):
        raise InputError("an instruction can only be put to a message whose content is text")
    return [*before, {**last, "content": _filled(start, last["content"])}]


def _filled(start: str, text: str) -> str:
    return start.replace("{prompt}", text) if "{prompt}" in start else start + text
