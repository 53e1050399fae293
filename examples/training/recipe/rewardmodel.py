"""The process reward model: the language model with more layers and a head that judges steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification

from .batches import IGNORED
from .model import LeanForward, deepened
from .trees import RIGHT, WRONG, Forest

LABELS = {WRONG: "wrong", RIGHT: "right"}
NEW_SPREAD = 0.06  # of the new layers' weights


@torch.no_grad()
def reward_model(model: LlamaForCausalLM, layers: int, seed: int) -> Any:
    """A token classifier over `model` with `layers` more on top, which add nothing at first.

    The language model knows what it would say only at its top; what was said instead is compared
    with that in the new layers.
    """
    old = model.config.num_hidden_layers
    deeper = deepened(model, (*range(old), *[None] * layers), seed)
    settings = deeper.config.to_dict() | {"tie_word_embeddings": False, "classifier_dropout": 0.0}
    settings |= {"id2label": LABELS, "label2id": {name: i for i, name in LABELS.items()}}
    settings |= {"process_format": "tiny-prm"}  # tells `guided.rewards` how it is called
    torch.manual_seed(seed)
    made: Any = LlamaForTokenClassification(LlamaConfig(**settings))
    made.model.load_state_dict(deeper.model.state_dict())
    for layer in made.model.layers[old:]:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            part.weight.normal_(std=NEW_SPREAD)
        for part in (layer.mlp.gate_proj, layer.mlp.up_proj):
            part.weight.normal_(std=NEW_SPREAD)
    return made


class TreeForward(LeanForward):
    """Hidden states of trees; equal to the module's on every path from the root of a tree."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.score

    def states(self, batch: Forest, wanted: Tensor) -> Tensor:
        """Final hidden states [wanted positions, width] for a bool `wanted` [batch, time]."""
        return self.hidden(batch.ids, batch.positions, batch.branches, wanted, limits=batch.limits)


@dataclass(frozen=True)
class Losses:
    """Mean cross-entropies: at the ends of lines, at the other tokens, of the next token."""

    steps: Tensor
    tokens: Tensor
    nexts: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.steps + 0.5 * self.tokens + 0.5 * self.nexts


def counts(batches: list[Forest]) -> tuple[int, int, int]:
    """How many labels of each kind there are, at least 1."""
    kinds = ("steps", "tokens", "nexts")
    found = [sum(int((getattr(b, kind) >= 0).sum()) for b in batches) for kind in kinds]
    steps, tokens, nexts = (max(1, count) for count in found)
    return steps, tokens, nexts


def losses(forward: TreeForward, batch: Forest, divisors: tuple[int, int, int]) -> Losses:
    """Sums of the cross-entropies of a batch, divided by `divisors`."""
    wanted, head = batch.wanted(), forward.head
    states = forward.states(batch, wanted)
    judged = nnf.linear(states, head.weight, head.bias).float()
    labels = batch.nexts[wanted]
    spoken = forward.logits(states[labels >= 0])
    pairs = (
        (judged, batch.steps[wanted]),
        (judged, batch.tokens[wanted]),
        (spoken, labels[labels >= 0]),
    )
    sums = [nnf.cross_entropy(x, y, ignore_index=IGNORED, reduction="sum") for x, y in pairs]
    return Losses(*(value / count for value, count in zip(sums, divisors, strict=True)))
