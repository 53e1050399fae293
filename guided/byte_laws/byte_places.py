"""Where a text stands for one model over bytes, and what is known of it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Front, Head
from guided.byte_laws.weighing import Weighing
from guided.decoding.trunks import Place, Trunk

Law = NDArray[np.float64]


class Fate(Enum):
    """Whether a text can go on."""

    OPEN = "open"
    #: A byte has come that the model holds impossible.
    IMPOSSIBLE = "impossible"
    #: Bytes that were possible one by one have turned out to begin no text.
    DEAD_END = "dead end"


@dataclass(frozen=True, slots=True)
class Standing:
    """A text that a model has read; a persistent value.

    Attributes:
        length: symbols of it, prompt included.
        base: the tokens that are certain and that the model's keys and values hold.
        front: what covers the text; all of it goes back to `base`.
        weighed: the heads of the front, weighed.
        law: the log law `[257]` of the next symbol; see `closed` for one without any.
        canon: of the tokenizer.
    """

    length: int
    base: Head
    front: Front
    weighed: Mapping[Head, Weighing] = field(repr=False)
    law: Law = field(repr=False)
    canon: Canon = field(repr=False)
    fate: Fate = Fate.OPEN


class BytePlace(Place):
    """A place on a `ByteStage`; at rest its trunk is the place of its tokens.

    Attributes:
        standing: the text there; None until it was read.
    """

    __slots__ = ("standing",)

    def __init__(self, row: int | None = None, trunk: Any = None) -> None:
        super().__init__(row, trunk)
        self.standing: Standing | None = None

    @property
    def is_lost(self) -> bool:
        """Whether what was here has been evicted."""
        return self.row is None and (self.trunk is None or self.trunk.is_lost)

    def copy(self) -> BytePlace:
        """Another place at the same rest."""
        inner = self.trunk.copy()
        if isinstance(inner.trunk, Trunk):
            inner.trunk.share(1)
        twin = BytePlace(trunk=inner)
        twin.standing = self.standing
        return twin
