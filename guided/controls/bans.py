"""Tokens that may never be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from guided.controls.law import check_ids
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage


@dataclass(frozen=True)
class BanTokens(Control):
    """No probability for `ids`.

    A grammar knows nothing of bans: where it needs a banned token, decoding ends in DeadEndError.
    """

    ids: tuple[int, ...]
    names_tokens: ClassVar[bool] = True
    stage: ClassVar[Stage] = Stage.MASK
    unique: ClassVar[bool] = False

    def __init__(self, ids: Iterable[int]) -> None:
        object.__setattr__(self, "ids", tuple(sorted(set(ids))))

    def begin(self, context: Context) -> None:
        check_ids(self.ids, context.vocabulary.size, "BanTokens")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        logits[:, list(self.ids)] = -torch.inf
        return logits, states

    def allows(self, state: None, token: int) -> bool:
        return token not in self.ids
