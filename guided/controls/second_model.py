"""A second model that a control compares with: is it one, and are its tokens the same."""

from __future__ import annotations

from typing import Any

from guided.errors import ModelError
from guided.grammars.vocabulary import Vocabulary


def check_model(model: Any, name: str) -> None:
    """Raises ModelError unless `model` looks like a `guided.Model`."""
    if not (
        hasattr(model, "network") and isinstance(getattr(model, "vocabulary", None), Vocabulary)
    ):
        raise ModelError(f"{name} is a {type(model).__name__}, no guided.Model (see guided.load)")


def check_vocabulary(other: Vocabulary, own: Vocabulary, name: str) -> None:
    """Refuses a second model whose tokens are not the same.

    Either may have more logits at the end that stand for nothing.

    Raises:
        ModelError: names the first token that differs.
    """
    at = None if other is own else first_difference(other, own)
    if at is not None:
        raise ModelError(
            f"auxiliary model {name!r} has another vocabulary ({other.size} logits, the model "
            f"{own.size}): token {at} is {_spelled(other, at)} there and {_spelled(own, at)} here. "
            "A model with another tokenizer can be compared byte by byte: guided.AnchoredBytes"
        )


def first_difference(left: Vocabulary, right: Vocabulary) -> int | None:
    """The first id that does not spell the same in both; None: there is none."""
    common = min(left.size, right.size)
    if left.tokens[:common] != right.tokens[:common]:
        return next(i for i in range(common) if left.tokens[i] != right.tokens[i])
    longer = left if left.size > right.size else right
    known = {*longer.stop_ids, *longer.specials.values()}
    for token in range(common, longer.size):
        if longer.tokens[token] is not None or token in known:
            return token
    return None


def _spelled(vocabulary: Vocabulary, token: int) -> str:
    if token >= vocabulary.size:
        return "missing"
    text = vocabulary.tokens[token]
    return "no text" if text is None else repr(text)
