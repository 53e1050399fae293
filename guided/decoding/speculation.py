"""Speculation: drafts of several drafters, merged, inside of the controls, as many as pay."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from guided.decoding.branch import Branch
from guided.decoding.drafters.joint import Joint
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafts import Draft
from guided.decoding.merging_known import merging
from guided.decoding.policy import Adaptive
from guided.decoding.rng import Purpose
from guided.decoding.sampling import Sampler
from guided.decoding.verifiers.protocol import ChainVerifier
from guided.errors import InputError


class Policy(Protocol):
    """Decides how many guesses are tried."""

    @property
    def most_rows(self) -> float:
        """Beyond so many rows there are no guesses."""
        ...

    def room(self, branches: Sequence[Branch]) -> int:
        """The most guesses that each branch may get in the next pass."""
        ...

    def chosen(self, branches: Sequence[Branch], drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts with the nodes that are to be tried."""
        ...

    def base(self, rows: int) -> float | None:
        """Seconds of a pass without guesses, None if not known."""
        ...

    def judged(
        self, branch: Branch, draft: Draft, stood: Sequence[int], said: Sequence[int]
    ) -> None:
        """Learns from what was drawn at some nodes.

        Args:
            stood: the nodes, `ROOT` first, each a child of the one before.
            said: the token that was drawn at each.
        """
        ...

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Learns what a pass costs."""
        ...

    def levelled(self, seconds: float) -> None:
        """Learns what drawing once more after a pass costs."""
        ...

    def drafted(self, rows: int, seconds: float) -> None:
        """Learns what drafting costs."""
        ...

    def forked(self, branch: Branch, child: Branch) -> None:
        """Learns that one text goes on in two ways."""
        ...


class Speculation:
    """How decoding guesses ahead. It changes the speed, never the law of the output.

    With the default verification outputs are the very tokens of decoding without guesses: every
    token is drawn as ever, and guesses that turn out equal save passes. A `verifier` for chains
    accepts more of what a drafter with a law of its own guesses; then only the law is the same.

    Args:
        drafters: where guesses come from; the first one's stand first.
        verifier: None, or what verifies chains that were drawn at random (`Chain`, `Block`);
            these are as long as their drafter makes them.
        policy: how many guesses are tried; by default as many as measurements say pay.

    Raises:
        InputError: a verifier for chains with more than one drafter, none, or one without a law.
    """

    def __init__(
        self,
        drafters: Sequence[Drafter],
        *,
        verifier: ChainVerifier | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.drafters = tuple(drafters)
        self.verifier = verifier
        self.policy: Policy = policy if policy is not None else Adaptive()
        for drafter in self.drafters:
            if not isinstance(drafter, Drafter):
                raise InputError(f"{drafter!r} is no drafter")
        self._in_turn = sorted(self.drafters, key=lambda drafter: drafter.reads_guesses)
        self._with_models = [
            drafter for drafter in self.drafters if type(drafter).passes is not Drafter.passes
        ]
        self._reads_logits = any(drafter.reads_logits for drafter in self.drafters)
        self._observing = [
            drafter for drafter in self.drafters if type(drafter).observe is not Drafter.observe
        ]
        self._joint = Joint.of(self.drafters)
        if verifier is not None and len(self.drafters) != 1:
            raise InputError(
                f"a verifier for chains goes with one drafter, not {len(self.drafters)}; "
                "leave the verifier out to merge several"
            )
        if verifier is not None and not self.drafters[0].has_law:
            raise InputError(
                f"{type(self.drafters[0]).__name__} draws from no law, which a verifier for chains "
                "needs; leave the verifier out, or take a DraftModel or LogitNgram"
            )

    @property
    def waits(self) -> bool:
        """Whether drafters learn of a round when they are asked for the next, if there is one."""
        return self._joint is not None

    @property
    def reads_logits(self) -> bool:
        """Whether some drafter wants to see the logits."""
        return self._reads_logits

    def drafts(
        self, branches: Sequence[Branch], sampler: Sampler, stop_ids: frozenset[int], form: str
    ) -> list[Draft]:
        """What to try for each branch; `form` is "tree" or "chain"."""
        began = time.perf_counter()
        most = self.policy.room(branches)
        room = [_room(branch, most) for branch in branches] if most else ()
        if not any(room):
            return [Draft() for _ in branches]
        coupled = self.verifier is None
        if self._joint is not None and coupled and form == "tree":
            drafts = self._joined(self._joint, branches, room, sampler, stop_ids)
        elif coupled:
            drafts = self._merged(self._request(branches, room, sampler), stop_ids, form)
        else:
            request = self._request(branches, room, sampler)
            drafts = [
                _cut(branch, draft, stop_ids)
                for branch, draft in zip(branches, self.drafters[0].propose(request), strict=True)
            ]
        # A chain that was drawn at random is judged as a whole: leaving out a token because of
        # what it is would change the law.
        chosen = self.policy.chosen(branches, drafts) if coupled else drafts
        self.policy.drafted(len(branches), time.perf_counter() - began)
        return chosen

    def _request(
        self, branches: Sequence[Branch], room: Sequence[int], sampler: Sampler
    ) -> Request:
        coupled = self.verifier is None
        return Request(
            branches,
            room,
            sampler,
            Purpose.TOKEN if coupled else Purpose.DRAFT,
            keeps_laws=not coupled,
            pass_seconds=self.policy.base(len(branches)),
        )

    def _joined(
        self,
        joint: Joint,
        branches: Sequence[Branch],
        room: Sequence[int],
        sampler: Sampler,
        stop_ids: frozenset[int],
    ) -> list[Draft]:
        """What `_merged` gives, by few kernels where these can tell."""
        found = []
        for branch, most in zip(branches, room, strict=True):
            draft = joint.draft(branch, most, stop_ids)
            if draft is None:
                request = self._request([branch], [most], sampler)
                draft = self._merged(request, stop_ids, "tree")[0]
            found.append(draft)
        return found

    def _merged(self, request: Request, stop_ids: frozenset[int], form: str) -> list[Draft]:
        """One tree of all drafters for each branch; those that read guesses come last."""
        trees = [merging(branch, stop_ids, form) for branch in request.branches]
        for drafter in self._in_turn:
            if drafter.reads_guesses:
                request = replace(request, guesses=[tree.draft for tree in trees])
            for tree, draft in zip(trees, drafter.propose(request), strict=True):
                tree.add(draft)
        return [tree.draft for tree in trees]

    @property
    def passes(self) -> int:
        """Forward passes of draft models so far."""
        return sum([drafter.passes for drafter in self._with_models])

    def observe(self, observations: Sequence[Observation]) -> None:
        """Shows all drafters what came out, where so many rows get any guesses."""
        if not observations or len(observations) > self.policy.most_rows:
            return
        for drafter in self._observing:
            drafter.observe(observations)

    def fork(self, branch: Branch, child: Branch) -> None:
        """Tells all drafters of a fork."""
        self.policy.forked(branch, child)
        for drafter in self.drafters:
            drafter.fork(branch, child)


def _room(branch: Branch, most: int) -> int:
    """Guesses beyond the token that is drawn anyway; the limit's last token needs none."""
    if branch.limit is None:
        return most
    return max(0, min(most, 8 * (branch.limit - len(branch.tokens) - 1)))


def _cut(branch: Branch, draft: Draft, stop_ids: frozenset[int]) -> Draft:
    """A chain up to and with its first token that nothing can follow.

    A token that was drawn at random has to be judged even where it is illegal: dropping it would
    change the law of what is drawn instead.
    """
    if not draft.tokens:
        return draft
    if draft.laws is None or not draft.is_chain:
        raise InputError("a verifier for chains needs a drafter that keeps the laws it draws from")
    states = branch.states
    for node, token in enumerate(draft.tokens):
        if token in stop_ids or not branch.pipeline.allows(states, token):
            return draft.keep(range(node + 1))
        states = branch.pipeline.step(states, token)
        if branch.pipeline.finish(states) is not None:
            return draft.keep(range(node + 1))
    return draft
