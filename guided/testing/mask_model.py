"""The mask model: a tiny masked-diffusion model whose every canvas can be enumerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from guided.decoding.rng import fold


@dataclass
class MaskConfig:
    """The part of a configuration that is read."""

    vocab_size: int
    mask_token_id: int
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    model_type: str = "mask_table"
    architectures: tuple[str, ...] = ("MaskModelForMaskedLM",)
    is_encoder_decoder: bool = False


class MaskModel:
    """Logits from a hash of what a position sees: no weights, float64, deterministic.

    The last token is the mask, the first one pads. Logits at a position are a function of the whole
    sequence and of the position in it; of the blocks up to its own where `block_length` is given.

    Args:
        size: tokens, mask and padding included.
        seed: another seed, another model.
        spread: distance between the least and the greatest possible logit.
        eos: a token that ends texts; None: there is none.
        block_length: block of block-causal attention.
        shift: whether the logits at a position predict the next one.
        takes_mask: whether rows may be padded; else its forward takes `input_ids` only.
    """

    device = torch.device("cpu")
    dtype = torch.float64

    def __init__(
        self,
        size: int = 5,
        seed: int = 0,
        *,
        spread: float = 4.0,
        eos: int | None = None,
        block_length: int | None = None,
        shift: bool = False,
        takes_mask: bool = True,
    ) -> None:
        self.config = MaskConfig(size, size - 1, eos, pad_token_id=0)
        self.seed, self.spread = seed, spread
        self.block_length, self.shift = block_length, shift
        #: Sequences of every call.
        self.calls: list[list[tuple[int, ...]]] = []
        self._known: dict[tuple[int, ...], Tensor] = {}
        if not takes_mask:
            self.forward = self._bare  # type: ignore[method-assign, assignment]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Logits `[n, length, size]` as `.logits`; padded positions get zeros.

        Args:
            attention_mask: `[n, length]` with zeros for padding, or boolean `[n, 1, length,
                length]` of what each position sees.
        """
        self.calls.append([tuple(row) for row in input_ids.tolist()])
        n, length = input_ids.shape
        logits = torch.zeros((n, length, self.config.vocab_size), dtype=torch.float64)
        for row in range(n):
            real = self._real(attention_mask, row, length)
            tokens = input_ids[row, real].tolist()
            laws = torch.stack([self.law(tokens, at) for at in range(len(tokens))])
            logits[row, real] = laws.roll(-1, 0) if self.shift else laws
        return SimpleNamespace(logits=logits)

    def _bare(self, input_ids: Tensor) -> Any:
        return MaskModel.forward(self, input_ids)

    def _real(self, mask: Tensor | None, row: int, length: int) -> Tensor:
        """Which positions are no padding."""
        if mask is None:
            return torch.ones(length, dtype=torch.bool)
        if mask.dim() == 2:
            return mask[row].bool()
        # A padded position sees itself only; the last position is never padding and sees all.
        return mask[row, 0, -1].bool()

    def law(self, tokens: Sequence[int], at: int) -> Tensor:
        """Logits `[size]` that predict a position of a sequence."""
        seen = tokens
        if self.block_length is not None:
            seen = tokens[: (at // self.block_length + 1) * self.block_length]
        key = (at, *seen)
        if key not in self._known:
            size = self.config.vocab_size
            mixed = [(fold((self.seed, token, *key)) >> 11) * 2.0**-53 for token in range(size)]
            self._known[key] = torch.tensor(mixed, dtype=torch.float64) * self.spread
        return self._known[key]

    def __call__(self, **kwargs: Any) -> Any:
        return self.forward(**kwargs)
