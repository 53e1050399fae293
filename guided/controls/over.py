"""The model that controls work on, which may be another one than the caller's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guided.controls.from_processor import FromProcessor
from guided.controls.protocol import Control
from guided.errors import ControlError


def over(model: Any, controls: Iterable[Control], penalty: float | None = None) -> Any:
    """The model that some controls work on, made of the caller's: mostly that one.

    Args:
        penalty: a repetition penalty that stands for one more control.

    Raises:
        ControlError: some are about the tokens of the caller's model, and others make one with
            other tokens of it.
    """
    given = [control for control in controls if isinstance(control, Control)]
    found = model
    for control in given:
        found = control.over(found)
    if found is not model:
        names = [_name(control) for control in given if control.names_tokens]
        names += ["repetition_penalty"] * (penalty not in (None, 1))
        if names:
            raise ControlError(
                f"{' and '.join(names)} is about the tokens of a model, and what is decoded here "
                f"are the symbols of {found!r}; leave it out"
            )
    return found


def _name(control: Control) -> str:
    named = control.processor if isinstance(control, FromProcessor) else control
    return type(named).__name__
