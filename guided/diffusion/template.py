"""Templates: fixed text with holes, all of which stands on the canvas before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from guided.errors import InputError


@dataclass(frozen=True)
class Fixed:
    """Tokens that stand where they are."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Hole:
    """Slots to be filled.

    Attributes:
        slots: how many, at most.
        least: how many at least, where fewer than `slots` may be used: what is not needed is
            filled with the template's filler, and the hole's text ends there. None: all of them.

    Raises:
        InputError: numbers that contradict each other.
    """

    slots: int
    least: int | None = None

    def __post_init__(self) -> None:
        if self.slots < 1 or (self.least is not None and not 0 <= self.least <= self.slots):
            raise InputError(f"a hole needs 0 <= least <= slots and slots >= 1: {self}")


@dataclass(frozen=True)
class Template:
    """Fixed text and holes, in their order.

    Args:
        parts: `Fixed` (or plain sequences of token ids) and `Hole`.
        filler: token that fills up holes of variable length; it may be a stop token.

    Raises:
        InputError: no hole, or one of variable length without a filler.
    """

    parts: tuple[Fixed | Hole, ...]
    filler: int | None = None
    #: Tokens by slot.
    fixed: dict[int, int] = field(init=False, repr=False, compare=False)
    #: The slots of every hole, `(begin, end)`.
    holes: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    #: Slots in all.
    length: int = field(init=False, repr=False, compare=False)

    def __init__(
        self, parts: Sequence[Fixed | Hole | Sequence[int]], filler: int | None = None
    ) -> None:
        settled = tuple(
            part if isinstance(part, Fixed | Hole) else Fixed(tuple(part)) for part in parts
        )
        fixed: dict[int, int] = {}
        holes = []
        at = 0
        for part in settled:
            if isinstance(part, Hole):
                holes.append((at, at + part.slots))
                at += part.slots
            else:
                fixed.update(enumerate(part.tokens, at))
                at += len(part.tokens)
        values = {"parts": settled, "filler": filler, "fixed": fixed, "holes": tuple(holes)}
        for name, value in (*values.items(), ("length", at)):
            object.__setattr__(self, name, value)
        if not holes:
            raise InputError("the template has no hole: there is nothing to decode")
        if self.is_variable and filler is None:
            raise InputError("a hole of variable length needs a template with a filler token")

    @property
    def is_variable(self) -> bool:
        """Whether some hole may be left partly unused."""
        return any(isinstance(part, Hole) and part.least is not None for part in self.parts)

    @property
    def fillable(self) -> frozenset[int]:
        """Slots where the filler may stand."""
        holes = (part for part in self.parts if isinstance(part, Hole))
        return frozenset(
            slot
            for hole, (begin, end) in zip(holes, self.holes, strict=True)
            if hole.least is not None
            for slot in range(begin + hole.least, end)
        )


def open_canvas(length: int) -> Template:
    """One hole and nothing else."""
    return Template([Hole(length)])
