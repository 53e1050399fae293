"""Changes of the law at every slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from guided.diffusion.state import Ints, State
from guided.errors import InputError


@dataclass(frozen=True)
class TokenBan:
    """Tokens that are never proposed.

    Raises:
        InputError: a negative id.
    """

    tokens: tuple[int, ...]

    def __init__(self, tokens: Iterable[int]) -> None:
        object.__setattr__(self, "tokens", tuple(tokens))
        if any(token < 0 for token in self.tokens):
            raise InputError(f"token ids are not negative: {self.tokens}")

    def apply(self, state: State, slots: Ints, logits: Tensor) -> Tensor:
        logits[:, list(self.tokens)] = -torch.inf
        return logits


class StopBan:
    """The text is not ended anywhere (LLaDA's logits_eos_inf)."""

    def apply(self, state: State, slots: Ints, logits: Tensor) -> Tensor:
        logits[:, sorted(state.row.stop_ids)] = -torch.inf
        return logits


class CanvasBan:
    """What cannot stand on a canvas: masks, ends before fixed text, fillers outside of their holes.

    Every decoding has it.
    """

    def apply(self, state: State, slots: Ints, logits: Tensor) -> Tensor:
        row = state.row
        logits[:, row.mask_id] = -torch.inf
        if not row.fixed and row.filler is None:
            return logits
        last = max(row.fixed, default=-1)
        fillable = torch.tensor([int(slot) in row.fillable for slot in slots])
        stops = sorted(row.stop_ids - {row.filler})
        _ban(logits, torch.from_numpy(slots < last), stops)
        if row.filler is not None:
            fixed_behind = torch.from_numpy(slots < last) | torch.tensor(
                row.filler not in row.stop_ids
            )
            _ban(logits, ~fillable & fixed_behind, [row.filler])
        return logits


def _ban(logits: Tensor, where: Tensor, tokens: list[int]) -> None:
    rows = where.nonzero().to(logits.device)
    if tokens and len(rows):
        logits[rows, torch.tensor(tokens, device=logits.device)] = -torch.inf
