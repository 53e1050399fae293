"""ASAp as it was published: a logits processor around `generate`, one draw after the other.

Park et al. 2024 (arXiv 2405.21047), in the plainest form: at every step the processor walks from
the root of a trie of Python objects to the prefix, masks, and weighs all allowed tokens by their
expected futures; after a draw these are computed anew along its path. The masks come from this
package's grammar engine, so that nothing of the difference is theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from guided.controls.measured_mask import MeasuredMask, MeasuredState
from guided.controls.protocol import Context

from .tasks import Task


@dataclass(eq=False)
class Visited:
    """A prefix that was visited.

    Attributes:
        law: probability of every allowed token; `children`: that were drawn.
        future: the bound on the probability that it ends inside of the language.
    """

    state: MeasuredState
    law: dict[int, float] = field(default_factory=dict)
    children: dict[int, Visited] = field(default_factory=dict)
    future: float = 1.0


class TrieProcessor(LogitsProcessor):
    """Weighs the allowed tokens by their expected futures."""

    def __init__(self, root: Visited, prompt: int, stops: frozenset[int]) -> None:
        self.root, self.prompt, self.stops = root, prompt, stops

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        at = self.visit(input_ids[0, self.prompt :].tolist())[-1]
        if not at.law:
            law = scores[0].double().softmax(-1)
            bits = np.unpackbits(at.state.mask.view(np.uint8), bitorder="little")
            at.law = {token: float(law[token]) for token in np.flatnonzero(bits).tolist()}
        weighed = torch.full_like(scores, -torch.inf)
        for token, chance in at.law.items():
            future = at.children[token].future if token in at.children else 1.0
            weighed[0, token] = math.log(chance * future) if chance * future else -math.inf
        return weighed

    def visit(self, tokens: list[int]) -> list[Visited]:
        """The nodes on the way, new ones where there are none."""
        path = [self.root]
        for token in tokens:
            at = path[-1]
            if token not in at.children:
                at.children[token] = Visited(at.state.advance(token))
            path.append(at.children[token])
        return path

    def learn(self, tokens: list[int]) -> None:
        """Computes the futures along a draw."""
        for at in reversed(self.visit([t for t in tokens if t not in self.stops])):
            at.future = sum(
                chance * (at.children[token].future if token in at.children else 1.0)
                for token, chance in at.law.items()
            )


def draw(task: Task, count: int, seed: int) -> list[tuple[int, ...]]:
    """`count` draws, each by a call of `generate`."""
    prompt = task.model.encode(task.prompt)
    vocabulary = task.model.vocabulary
    start = MeasuredMask(task.grammar).begin(Context(tuple(prompt), vocabulary, task.limit))
    processor = TrieProcessor(Visited(start), len(prompt), frozenset(vocabulary.stop_ids))
    torch.manual_seed(seed)
    texts = []
    for _ in range(count):
        text = _generate(task, prompt, processor)
        processor.learn(text)
        texts.append(tuple(text))
    return texts


def _generate(task: Task, prompt: list[int], processor: TrieProcessor) -> list[int]:
    ids = torch.tensor([prompt])
    options: dict[str, Any] = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
    found = task.model.hf_model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=task.limit,
        logits_processor=LogitsProcessorList([processor]),
        eos_token_id=sorted(processor.stops),
        pad_token_id=min(processor.stops),
        **options,
    )
    text: list[int] = found[0, len(prompt) :].tolist()
    return text
