"""Losses beside the answers: roles of the text's tokens, and attention where a piece comes from.

Deep supervision of inner layers (Lee et al. 2015, arXiv 1409.5185) and of attention heads
(Liu et al. 2016, arXiv 1609.04186). A linear layer reads roles off an inner state; it is thrown
away afterwards, the model stays a plain Llama.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from .batches import IGNORED, Batch
from .model import Tap


@dataclass(frozen=True)
class Weights:
    """Factors on the losses, each a mean, and what is left of them at the end of a run.

    `text` is for the roles of the tokens of a text, `asked` for the role of the token that comes
    next in an answer, `attention` for looking at the place that it is copied from.
    """

    text: float = 0.2
    asked: float = 0.1
    attention: float = 0.2
    last: float = 0.2


class Guide(nn.Module):
    """The losses of batches with hints; `heads` are (layer, head), `layer` that of the roles."""

    def __init__(
        self,
        width: int,
        classes: int,
        layer: int,
        heads: tuple[tuple[int, int], ...],
        weights: Weights,
    ) -> None:
        super().__init__()
        self.roles = nn.Linear(width, classes)
        nn.init.zeros_(self.roles.weight)
        nn.init.zeros_(self.roles.bias)
        self.layer, self.heads, self.weights = layer, heads, weights
        self.sums, self.counts = torch.zeros(3), torch.ones(3)

    def tap(self) -> Tap:
        """What a forward pass has to keep for `loss`."""
        return Tap(self.layer, self.heads)

    def scale(self, progress: float) -> float:
        """The factor on all losses after a share `progress` of a run: from 1 linearly to `last`."""
        return 1 - (1 - self.weights.last) * progress

    def shares(self, batches: list[Batch], progress: float) -> Tensor:
        """What one token of each loss counts in a step of these batches: [3] factors."""
        counts = torch.stack([self._counts(batch) for batch in batches]).sum(0)
        self.sums, self.counts = torch.zeros(3, device=counts.device), counts.clamp(min=1)
        weights = [self.weights.text, self.weights.asked, self.weights.attention]
        return self.scale(progress) * torch.tensor(weights).to(counts.device) / self.counts

    def means(self) -> list[float]:
        """The three losses of the last step: roles in texts, roles asked for, attention."""
        return [float(mean) for mean in self.sums / self.counts]

    def loss(self, batch: Batch, tap: Tap, shares: Tensor) -> Tensor:
        """The sum of the three losses of a batch; `tap` has seen it."""
        if tap.states is None:
            raise ValueError(f"the forward pass has no layer {self.layer}")
        known, asked = self._asked(batch)
        states = torch.cat([tap.states[batch.roles != IGNORED], tap.states[known]])
        labels = torch.cat([batch.roles[batch.roles != IGNORED], asked])
        losses = nnf.cross_entropy(self.roles(states).float(), labels, reduction="none")
        split = len(losses) - len(asked)
        copied = batch.sources >= 0
        places = batch.sources[copied][:, None]
        looks = [scores[copied].gather(1, places).sum() for scores in tap.scores]
        off = -torch.stack(looks).mean()
        parts = torch.stack([losses[:split].sum(), losses[split:].sum(), off])
        self.sums = self.sums + parts.detach()
        return shares @ parts

    @staticmethod
    def _asked(batch: Batch) -> tuple[Tensor, Tensor]:
        """Where the next token is copied from one with a known role [batch, time]; these roles."""
        roles = batch.roles.gather(1, batch.sources.clamp(min=0))
        known = (batch.sources >= 0) & (roles != IGNORED)
        return known, roles[known]

    def _counts(self, batch: Batch) -> Tensor:
        known = self._asked(batch)[0]
        return torch.stack(
            [(batch.roles != IGNORED).sum(), known.sum(), (batch.sources >= 0).sum()]
        )
