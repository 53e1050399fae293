"""Strings that end a text, found exactly wherever token boundaries fall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.controls.token_index import token_index
from guided.errors import ControlError
from guided.grammars.vocabulary import Vocabulary


def find_stop(text: bytes, stops: Sequence[bytes]) -> int | None:
    """The offset of the stop string that is complete first (the longest one, if tied), or None."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def held_back(text: bytes, stops: Sequence[bytes]) -> int:
    """How many bytes at the end of `text` may be the beginning of a stop string."""
    longest = min(len(text), max((len(stop) for stop in stops), default=1) - 1)
    for length in range(longest, 0, -1):
        tail = text[-length:]
        if any(stop.startswith(tail) for stop in stops):
            return length
    return 0


@dataclass(frozen=True, slots=True)
class StopState:
    """The end of the text, as much of it as a stop string may begin in."""

    vocabulary: Vocabulary
    tail: bytes = b""
    found: bool = False
    skip: int = 0


@dataclass(frozen=True)
class StopStrings(Control):
    """Ends a sequence as soon as its text contains one of `stops`; changes no law.

    `skip` bytes at the start (a healed prompt end) are not searched.
    """

    stops: tuple[bytes, ...]
    skip: int = 0
    stage: ClassVar[Stage] = Stage.MASK
    spares_last: ClassVar[bool] = True

    def __init__(self, stops: Iterable[str], skip: int = 0) -> None:
        encoded = tuple(stop.encode() for stop in stops)
        if not all(encoded):
            raise ControlError("a stop string must not be empty")
        object.__setattr__(self, "stops", encoded)
        object.__setattr__(self, "skip", skip)

    def begin(self, context: Context) -> StopState:
        return StopState(context.vocabulary, skip=self.skip)

    def apply(
        self, logits: Tensor, states: Sequence[StopState], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[StopState]]:
        return logits, states

    def step(self, state: StopState, token: int) -> StopState:
        data = token_index(state.vocabulary).texts[token]
        if state.skip:
            skipped = replace(state, skip=max(0, state.skip - len(data)))
            return self._search(skipped, data[state.skip :])
        return self._search(state, data)

    def _search(self, state: StopState, data: bytes) -> StopState:
        text = state.tail + data
        found = state.found or find_stop(text, self.stops) is not None
        return replace(state, tail=text[len(text) - held_back(text, self.stops) :], found=found)

    def finish(self, state: StopState) -> str | None:
        return "stop_string" if state.found else None
