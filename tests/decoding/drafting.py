"""A vocabulary, drafters and runs for the tests of decoding."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from guided.decoding import Branch, Decoder
from guided.decoding.drafters import Drafter, Request
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.rng import fold
from guided.decoding.sampling import Stream
from guided.grammars.vocabulary import Vocabulary

WIDTH = 40
LETTERS = Vocabulary.from_tokens([None, *(bytes([65 + i]) for i in range(WIDTH - 1))], [0])


class Guesser(Drafter):
    """Random trees, in which the true continuations of known texts often stand."""

    name: ClassVar[str] = "guesser"

    def __init__(
        self,
        width: int,
        truths: Sequence[tuple[int, ...]] = (),
        nodes: int = 9,
        right: float = 0.8,
        seed: int = 0,
        chain: bool = False,
    ) -> None:
        self.width, self.nodes, self.right, self.chain = width, nodes, right, chain
        self.truths = list(truths)
        self.rng = random.Random(seed)

    def propose(self, request: Request) -> list[Draft]:
        return [
            self._guess(branch, room)
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def _guess(self, branch: Branch, room: int) -> Draft:
        draft, rng = Draft(), self.rng
        known = [t for t in self.truths if t[: len(branch.text)] == branch.text]
        truth = rng.choice(known)[len(branch.text) :] if known else ()
        parents = {ROOT: 0}
        taken: set[tuple[int, int]] = set()
        for _ in range(min(room, self.nodes)):
            parent = max(parents) if self.chain else rng.choice(list(parents))
            depth = parents[parent]
            path = [draft.tokens[node] for node in draft.path(parent)]
            is_on_track = tuple(path) == truth[:depth] and depth < len(truth)
            token = rng.randrange(self.width)
            if is_on_track and rng.random() < self.right:
                token = truth[depth]
            if (parent, token) in taken:
                continue
            taken.add((parent, token))
            parents[draft.add(token, parent, rng.uniform(0.5, 1), self.name)] = depth + 1
        return draft


class OwnLaw(Drafter):
    """A chain drawn from a law of its own, a hash of the prefix; under the branch's mask or not."""

    name: ClassVar[str] = "own"
    has_law: ClassVar[bool] = True

    def __init__(self, width: int, length: int, masked: bool) -> None:
        self.width, self.length, self.masked = width, length, masked

    def propose(self, request: Request) -> list[Draft]:
        return [
            self._chain(b, r, request) for b, r in zip(request.branches, request.room, strict=True)
        ]

    def law(self, prefix: tuple[int, ...]) -> Tensor:
        mixed = [(fold((7, token, *prefix)) >> 11) * 2.0**-53 for token in range(self.width)]
        return torch.tensor(mixed, dtype=torch.float64) * 3

    def _chain(self, branch: Branch, room: int, request: Request) -> Draft:
        tokens: list[int] = []
        laws: list[Tensor] = []
        states = branch.states
        for step in range(min(room, self.length)):
            logits = self.law((*branch.text, *tokens))[None]
            if self.masked:
                logits, _ = branch.pipeline.apply(logits, [states])
            row = fold((branch.row, len(branch.tokens)))
            stream = Stream(branch.seed, row, len(branch.tokens) + step, request.purpose)
            drawn, _ = request.sampler.draw(logits, [stream])
            tokens.append(int(drawn[0]))
            laws.append(logits[0].log_softmax(-1))
            if not branch.pipeline.allows(states, tokens[-1]) or tokens[-1] == 0:
                break
            states = branch.pipeline.step(states, tokens[-1])
            if branch.pipeline.finish(states) is not None:
                break
        return Draft.chain(tokens, 0.5, self.name, torch.stack(laws) if laws else None)


def texts(branches: Sequence[Branch]) -> list[tuple[int, ...]]:
    """Prompts with their tokens."""
    return [branch.text for branch in branches]


def grown(decoder: Decoder, prompts: Sequence[Sequence[int]], **options: object) -> list[Branch]:
    """Finished branches."""
    branches = decoder.open(prompts, **options)  # type: ignore[arg-type]
    decoder.extend(branches)
    return branches
