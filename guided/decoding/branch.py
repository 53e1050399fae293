"""A growing sequence: what a search holds in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from guided.controls.pipeline import Pipeline, States
from guided.decoding.memory import Memory
from guided.decoding.sampling import Stream


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that one call of `extend` has added to a branch."""

    tokens: tuple[int, ...]
    log_p: tuple[float, ...]
    log_q: tuple[float, ...]


@dataclass(slots=True, eq=False)
class Branch:
    """One sequence: its prompt, its tokens with their log-probabilities, its control states.

    Attributes:
        row: names its random stream.
        limit: most tokens to generate, the stop token included; None: no limit.
        log_p: of every token under the raw model, before any edit.
        log_q: of every token under the law that it was drawn from.
        finish_reason: None while it can grow.
        logits: the raw logits after the last token, None once it is finished.
        forced: tokens that were the only legal one.
        passes: forward passes that it took part in.
        positions: of its tokens, prompt included, that those passes computed.
    """

    prompt: tuple[int, ...]
    pipeline: Pipeline
    states: States
    row: int
    seed: int
    limit: int | None
    tokens: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    log_q: list[float] = field(default_factory=list)
    forced: int = 0
    passes: int = 0
    positions: int = 0
    finish_reason: str | None = None
    logits: Tensor | None = None
    place: tuple[Memory, int] | None = None

    @property
    def stream(self) -> Stream:
        """Where the next token's random number comes from."""
        return Stream(self.seed, self.row, len(self.tokens))

    def was_read(self, positions: int) -> None:
        """Counts a pass over so many of its tokens."""
        self.passes += 1
        self.positions += positions

    def law(self) -> Tensor:
        """The controlled log-probabilities `[V]` of the next token; needs no forward pass."""
        if self.logits is None:
            raise ValueError(f"this branch is finished ({self.finish_reason})")
        edited, _ = self.pipeline.apply(self.logits.double()[None].clone(), [self.states])
        return edited[0].log_softmax(-1)

    def entropy(self) -> float:
        """The entropy of `law()` in nats."""
        log_q = self.law()
        return float(-(log_q.exp() * torch.where(log_q.isfinite(), log_q, 0)).sum())

    def run_ahead(self, stop_ids: frozenset[int]) -> list[int]:
        """The tokens that must come next, as far as there is only one each time."""
        tokens: list[int] = []
        states = self.states
        while self.pipeline.can_run_ahead and self.pipeline.finish(states) is None:
            token = self.pipeline.forced(states)
            is_full = self.limit is not None and len(self.tokens) + len(tokens) >= self.limit
            if token is None or token in stop_ids or is_full:
                break
            tokens.append(token)
            states = self.pipeline.step(states, token)
        return tokens

    def push(self, token: int, log_p: float, log_q: float, stop_ids: frozenset[int]) -> None:
        """Adds a drawn token and finds out whether the branch ends with it."""
        self.tokens.append(token)
        self.log_p.append(log_p)
        self.log_q.append(log_q)
        if token in stop_ids:
            self.finish(self.pipeline.stop_reason(self.states))
            return
        self.states = self.pipeline.step(self.states, token)
        self.settle()

    def settle(self) -> None:
        """Finishes the branch where a control or the limit leaves no room for a token."""
        reason = self.pipeline.finish(self.states)
        if reason is None and self.limit is not None and len(self.tokens) >= self.limit:
            reason = "length"
        if reason is not None:
            self.finish(reason)

    def finish(self, reason: str) -> None:
        """Ends the branch and lets go of the model's memory of it."""
        self.finish_reason = reason
        self.logits = self.place = None

    def fork(self, row: int) -> Branch:
        """A branch that goes on from here by itself; it shares the memory until it grows."""
        return replace(
            self,
            row=row,
            tokens=list(self.tokens),
            log_p=list(self.log_p),
            log_q=list(self.log_q),
        )
