"""Chains that are drawn token by token from a drafter's own law, under the branch's controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from guided.controls.pipeline import States, apply_all
from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Request
from guided.decoding.drafts import Draft
from guided.decoding.rng import fold
from guided.decoding.sampling import Stream


@dataclass(slots=True)
class Chain:
    """A chain in the making.

    Attributes:
        index: the branch's place in the request.
        states: of the branch's controls after the tokens.
        likely: the estimated probability that all tokens are right.
        is_done: whether nothing may be added.
    """

    branch: Branch
    index: int
    room: int
    states: States
    tokens: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    laws: list[Tensor] = field(default_factory=list)
    likely: float = 1.0
    is_done: bool = False

    def draft(self, name: str) -> Draft:
        """The chain as a draft."""
        laws = torch.stack(self.laws) if self.laws else None
        return Draft.chain(self.tokens, self.chances, name, laws)


def chains_of(request: Request) -> list[Chain]:
    """An empty chain for every branch; those without room are done."""
    return [
        Chain(branch, index, room, branch.states, is_done=room < 1)
        for index, (branch, room) in enumerate(zip(request.branches, request.room, strict=True))
    ]


def draw_next(
    chains: Sequence[Chain],
    logits: Tensor,
    trust: Sequence[float],
    request: Request,
    stop_ids: frozenset[int],
    least: float,
) -> None:
    """Adds a token to each of some chains, drawn from `logits` `[n, V]` under its controls.

    A chain is done where nothing legal has a probability, where a stop token is drawn, where its
    room is full, or where it is probably wrong.

    Args:
        trust: for each how far its law is to be believed; a factor of the chances.
        least: the probability of a whole chain below which it is not worth going on.
    """
    law, states = _controlled(chains, logits)
    is_possible = torch.isfinite(law.amax(dim=-1)).tolist()
    for chain, possible in zip(chains, is_possible, strict=True):
        chain.is_done = chain.is_done or not possible
    rows = [row for row, possible in enumerate(is_possible) if possible]
    if not rows:
        return
    law = law if len(rows) == len(chains) else law[rows]
    streams = [_stream(chains[row], request) for row in rows]
    tokens, _ = request.sampler.draw(law, streams)
    log_q = law.log_softmax(dim=-1)
    drawn = log_q.gather(1, tokens[:, None])[:, 0].exp()
    for at, (row, token, chance) in enumerate(
        zip(rows, tokens.tolist(), drawn.tolist(), strict=True)
    ):
        chain = chains[row]
        if token in stop_ids and not request.keeps_laws:
            chain.is_done = True
            continue
        # What was drawn from a law has to be judged, a stop token too: leaving it out would change
        # the law of what comes instead.
        if request.keeps_laws:
            chain.laws.append(log_q[at] if request.sampler.is_random else _point(log_q[at], token))
        if token in stop_ids:
            chain.tokens.append(token)
            chain.chances.append(min(1.0, chance) * trust[row])
            chain.is_done = True
            continue
        _add(chain, token, min(1.0, chance) * trust[row], states[row], least)


def _add(chain: Chain, token: int, chance: float, states: States, least: float) -> None:
    chain.tokens.append(token)
    chain.chances.append(chance)
    chain.likely *= chance
    pipeline = chain.branch.pipeline
    chain.states = pipeline.step(states, token)
    is_full = len(chain.tokens) >= chain.room
    chain.is_done = is_full or chain.likely < least or pipeline.finish(chain.states) is not None


def _stream(chain: Chain, request: Request) -> Stream:
    branch = chain.branch
    position = len(branch.tokens) + len(chain.tokens)
    # A verifier has looked at the numbers of what it gave up: every round has new ones.
    row = fold((branch.row, len(branch.tokens))) if request.keeps_laws else branch.row
    return Stream(branch.seed, row, position, request.purpose)


def _point(log_q: Tensor, token: int) -> Tensor:
    """The law of a token that is chosen without chance."""
    law = torch.full_like(log_q, -torch.inf)
    law[token] = 0.0
    return law


def _controlled(chains: Sequence[Chain], logits: Tensor) -> tuple[Tensor, list[States]]:
    """The controlled law of every chain's next token, and the states after looking at it.

    Controls that compare with another model are left out: a draft is not worth a pass of it.
    """
    pipelines = [chain.branch.pipeline for chain in chains]
    if not any(pipeline.models for pipeline in pipelines):
        return apply_all(pipelines, logits, [chain.states for chain in chains])
    rows, states = [], []
    for row, chain in enumerate(chains):
        one, after = logits[row : row + 1], list(chain.states)
        for at, control in enumerate(chain.branch.pipeline.controls):
            if not control.models:
                one, (after[at],) = control.apply(one, [after[at]])
        rows.append(one)
        states.append(tuple(after))
    return torch.cat(rows), states
