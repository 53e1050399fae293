"""Initial weights under which a bidirectional model copies from its prompt from early on.

The same idea as for causal models (`copying.py`), in both directions. Embeddings begin in one half
of the width. Heads of the first layer look at the tokens one and two places to either side, and
write what stands there into a part of the other half each. In the next two layers heads look for
places with the same neighbour: once something beside a masked slot is known, that finds the place
in the prompt that the slot stands for. All later values, and the layer before the logits, pass on
what they get. Nothing but weights: the result is a plain ModernBERT.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .copying import CONSTANT, LOOKBACK_GAIN, SPAN
from .model import MASK, rope_frequencies

OFFSETS = (1, -1, 2, -2)
"""How far back a head of the first layer looks; below zero, ahead."""
LOUDER = 6.0
"""Factor on the embeddings, which are the logits' weights too: what is copied shows in the loss."""
MATCH_GAIN = 2.0
MASK_PENALTY = 1.4
MATCHING_LAYERS = 2


@torch.no_grad()
def look_around(model: Any, seed: int) -> Any:
    """`model`, its weights rewritten in place; it has at least four heads."""
    torch.manual_seed(seed)
    heads, hidden = model.config.num_attention_heads, model.config.hidden_size
    width, half = hidden // heads, hidden // 2
    blocks = [Heads(layer.attn, width, half) for layer in model.model.layers]
    embeddings = model.model.embeddings.tok_embeddings.weight
    embeddings *= LOUDER
    embeddings[:, half:] = 0
    masked = embeddings[MASK].clone()
    masked[0] = 0
    embeddings[:, 0] = LOUDER * CONSTANT
    part = half // len(OFFSETS)
    places = [slice(half + i * part, half + (i + 1) * part) for i in range(len(OFFSETS))]
    for head, (offset, place) in enumerate(zip(OFFSETS, places, strict=True)):
        blocks[0].look_back(head, offset, place)
    for block in blocks[1:]:
        for head in range(heads):
            block.pass_on(head)
    for block in blocks[1 : 1 + MATCHING_LAYERS]:
        for head, place in enumerate(places):
            block.match(head, place, masked / masked.norm())
    model.head.dense.weight.add_(torch.eye(hidden))
    return model


class Heads:
    """The heads of one attention layer, each `width` wide; embeddings have `half` dimensions."""

    def __init__(self, attention: Any, width: int, half: int) -> None:
        self.width, self.half = width, half
        self.q, self.k, self.v = attention.Wqkv.weight.chunk(3)
        self.out = attention.Wo.weight

    def _at(self, head: int) -> slice:
        return slice(head * self.width, (head + 1) * self.width)

    def _reading(self, count: int) -> Tensor:
        """Random orthonormal rows [count, hidden] that read embeddings, but for the constant."""
        rows = torch.zeros(count, self.q.shape[1])
        rows[:, 1 : self.half] = torch.linalg.qr(torch.randn(self.half - 1, count))[0].T
        return rows

    def look_back(self, head: int, offset: int, place: slice) -> None:
        """Makes a head attend `offset` tokens back and write what it finds into `place`."""
        at, pairs = self._at(head), self.width // 2
        angles = rope_frequencies(self.width) * offset
        for rows in (self.q[at], self.k[at]):
            rows *= 0.3
        self.q[at][:pairs, 0] = LOOKBACK_GAIN
        self.k[at][:pairs, 0] = LOOKBACK_GAIN * torch.cos(angles)
        self.k[at][pairs:, 0] = LOOKBACK_GAIN * torch.sin(angles)
        count = place.stop - place.start
        self.v[at][:count] = self._reading(count)
        self.out[:, at] = 0
        self.out[place, at.start : at.start + count] = torch.eye(count)

    def pass_on(self, head: int) -> None:
        """Makes a head copy the embedding of what it attends to."""
        rows = self._reading(self.width)
        self.v[self._at(head)] = rows
        self.out[:, self._at(head)] = rows.T

    def match(self, head: int, place: slice, masked: Tensor) -> None:
        """Makes a head attend to places that have in `place` what its own has there.

        Of all places a masked slot is most like itself, so that places with the mask's embedding,
        `masked`, are left out.
        """
        at, pairs = self._at(head), self.width // 2
        slow = torch.nonzero(rope_frequencies(self.width) * SPAN < 1.1)[:-1, 0]
        dims = torch.cat([slow, slow + pairs])
        count = min(len(dims), place.stop - place.start)
        for part in (self.q, self.k):
            weight = 0.01 * torch.randn(self.width, part.shape[1])
            weight[dims[:count], place.start : place.start + count] += MATCH_GAIN * torch.eye(count)
            part[at] = weight
        # The slowest pair of the rotary embedding hardly turns.
        last = at.stop - 1
        self.q[last] = 0
        self.q[last, 0] = MASK_PENALTY
        self.k[last] = -MASK_PENALTY * masked
