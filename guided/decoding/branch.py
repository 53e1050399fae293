"""A growing sequence: what a search holds in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from guided.controls.pipeline import Pipeline, States
from guided.decoding.sampling import Stream
from guided.decoding.trunks import Place


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that one call of `extend` has added to a branch."""

    tokens: tuple[int, ...]
    log_p: tuple[float, ...]
    log_q: tuple[float, ...]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Branch:
    """One sequence: its prompt, its tokens with their log-probabilities, its control states.

    Attributes:
        row: names its random stream.
        limit: most tokens to generate, the stop token included; None: no limit.
        log_p: of every token under the raw model, before any edit.
        log_q: of every token under the law that it was drawn from.
        finish_reason: None while it can grow.
        logits: the raw logits `[V]` after the last token, of the model and of the models that
            controls have brought; None while it grows and once it is finished.
        unjudged: whether its last token was appended, and no growth has looked at it yet.
        unread: how many tokens at its end the model has still to read, where it was cut from
            another branch.
        first: the states of its controls before the first token.
        places: where the keys and values of its tokens are, for each of these models.
        drafted: guesses at its tokens that passes have read.
        accepted: guesses that came true.
        forced: tokens that were the only legal one.
        passes: forward passes that it took part in.
        positions: of its tokens, prompt included, that those passes computed.
        notes: what others have written down about it, each under a key of its own (itself); copies
            of the branch begin with none.
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
    drafted: int = 0
    accepted: int = 0
    logits: list[Tensor] | None = None
    unjudged: bool = False
    unread: int = 0
    first: States = ()
    places: tuple[Place, ...] = ()
    notes: dict[object, Any] = field(default_factory=dict)

    @property
    def stream(self) -> Stream:
        """Where the next token's random number comes from."""
        return Stream(self.seed, self.row, len(self.tokens))

    @property
    def text(self) -> tuple[int, ...]:
        """Prompt and tokens."""
        return (*self.prompt, *self.tokens) if self.tokens else self.prompt

    def was_read(self, positions: int) -> None:
        """Counts a pass over so many of its tokens."""
        self.passes += 1
        self.positions += positions

    def law(self) -> Tensor:
        """The controlled log-probabilities `[V]` of the next token; needs no forward pass.

        Raises:
            ValueError: the branch is finished, or the model has not read an appended token.
        """
        return self.look()[0]

    def look(self) -> tuple[Tensor, States]:
        """The same, and the states of the controls that have seen it."""
        if self.logits is None:
            raise ValueError(
                "the model has not read this branch's last token; extend it first"
                if self.finish_reason is None
                else f"this branch is finished ({self.finish_reason})"
            )
        raw, *others = (logits.double()[None].clone() for logits in self.logits)
        aux = dict(zip(self.pipeline.models, others, strict=True))
        edited, states = self.pipeline.apply(raw, [self.states], aux)
        return edited[0].log_softmax(-1), states[0]

    def entropy(self) -> float:
        """The entropy of `law()` in nats."""
        log_q = self.law()
        return float(-(log_q.exp() * torch.where(log_q.isfinite(), log_q, 0)).sum())

    def push(self, token: int, log_p: float, log_q: float, stop_ids: frozenset[int]) -> None:
        """Adds a drawn token and finds out whether the branch ends with it."""
        self.logits = None
        self.unjudged = False
        self.tokens.append(token)
        self.log_p.append(log_p)
        self.log_q.append(log_q)
        if token in stop_ids:
            reason = self.pipeline.stop_reason(self.states)
            self.states = self.pipeline.stop(self.states, token)
            self.finish(reason)
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
        self.logits = None
        self.places = ()

    def fork(self, row: int) -> Branch:
        """A branch that goes on from here by itself; both are at rest and share what they were."""
        return replace(
            self,
            row=row,
            places=tuple(place.copy() for place in self.places),
            tokens=list(self.tokens),
            log_p=list(self.log_p),
            log_q=list(self.log_q),
            notes={},
        )

    def snapshot(self) -> Branch:
        """The branch as it is now, without its keys and values: they are read again if needed."""
        return replace(
            self,
            places=tuple(Place() for _ in self.places),
            tokens=list(self.tokens),
            log_p=list(self.log_p),
            log_q=list(self.log_q),
            notes={},
        )

    def cut(self, length: int, states: States, row: int, base: Branch | None = None) -> Branch:
        """A branch that goes on after the first `length` tokens.

        Args:
            states: those of the controls after these tokens.
            base: a beginning of it, at rest, after which its tokens are read again; None: all are.
        """
        places = [Place() for _ in range(1 + len(self.pipeline.models))]
        unread, logits = 0, None
        if base is not None:
            places = [place.copy() for place in base.places]
            unread = length - len(base.tokens)
            logits = base.logits if unread == 0 else None
        return replace(
            self,
            row=row,
            states=states,
            places=tuple(places),
            tokens=self.tokens[:length],
            log_p=self.log_p[:length],
            log_q=self.log_q[:length],
            finish_reason=None,
            logits=logits,
            unjudged=False,
            unread=unread,
            notes={},
        )
