"""Branches that have said the same so far grow as one row, until they part.

Searches fork: samples of one prompt, copies of a particle, children of a node begin with one law,
and often draw the same tokens for long. Every one of them draws by its own random stream, but the
model has to be asked once only; not at all where it is known what it says (`Laws`). On an
accelerator more rows cost hardly anything, so that this is left to passes on the CPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from guided.decoding import Branch, Decoder, Sampler, Segment
from guided.decoding.draws import Drawn, NodeDraws, Spot
from guided.decoding.growing import Row
from guided.search.laws import Laws
from guided.search.runners import Runners
from guided.search.shared_draws import draw_at

Until = Callable[[Branch], bool]
#: Tokens after which those who follow a branch get its keys and values, so that no more than these
#: are read again where they part.
REST = 24


def extend(
    decoder: Decoder,
    branches: Sequence[Branch],
    until: Until | None,
    laws: Mapping[Branch, Laws] | None = None,
    ahead: Mapping[Branch, Laws] | None = None,
) -> list[Segment]:
    """What `decoder.extend` gives, by the same random numbers; equal branches share a row.

    Args:
        laws: what is known of the branches' prompts; more is, afterwards.
        ahead: of the others what passes have shown beyond where they paused, by guesses.

    Raises: see `Decoder.extend`.
    """
    growing = [branch for branch in branches if branch.finish_reason is None]
    knows = bool(laws) or (bool(ahead) and until is not None)
    if not _can_share(decoder, growing, knows):
        return decoder.extend(branches, until)
    starts = [len(branch.tokens) for branch in branches]
    families: dict[Hashable, list[Branch]] = defaultdict(list)
    for branch in growing:
        models = branch.pipeline.models.items()
        families[tuple((name, id(model)) for name, model in models)].append(branch)
    for family in families.values():
        Twins(decoder, family, until, laws or {}, ahead or {}).grow()
    return [
        Segment(tuple(b.tokens[at:]), tuple(b.log_p[at:]), tuple(b.log_q[at:]))
        for b, at in zip(branches, starts, strict=True)
    ]


def _can_share(decoder: Decoder, branches: Sequence[Branch], knows: bool) -> bool:
    """Whether there is something to share, and it is the decoder's own way to draw tokens.

    Args:
        knows: whether laws are remembered.
    """
    if decoder.network.device.type != "cpu" or not branches:
        return False
    # Rows that make room for others have to be followed up one by one.
    if decoder.ledger.limit is not None:
        return False
    speculation = decoder.speculation
    if speculation is not None and speculation.verifier is not None:
        return False
    if not knows and len({_place(branch) for branch in branches}) == len(branches):
        return False
    # The decoder refuses greedy choices for some controls.
    return decoder.sampler.is_random or not any(
        control.needs_draws for branch in branches for control in branch.pipeline.controls
    )


def _place(branch: Branch) -> Hashable:
    """Equal for branches that have the same law, now and after any further tokens.

    Forks hold the very states of what they were forked from; equal ones that came about in other
    ways are not looked for.
    """
    return (
        id(branch.pipeline),
        branch.prompt,
        tuple(branch.tokens),
        tuple(map(id, branch.states)),
        branch.limit,
        branch.unread,
        branch.logits is None,
    )


class Twins:
    """Grows branches of one rig; of those at one place the first leads, and the others follow.

    A follower draws its tokens from the law that the leader's row shows. Where it draws another
    one it grows by itself, after the model has read what it has said since they were equal at rest.

    Args:
        until: asked after every token of every branch.
        laws: what is known of their prompts.
        ahead: of those of others, what was seen beyond where they paused; see `extend`.
    """

    def __init__(
        self,
        decoder: Decoder,
        branches: Sequence[Branch],
        until: Until | None,
        laws: Mapping[Branch, Laws],
        ahead: Mapping[Branch, Laws],
    ) -> None:
        self.decoder = decoder
        self.until = until
        self.laws = laws
        self.ahead = ahead
        self.loop = decoder.loop(self._stops, branches[0].pipeline.models)
        self.loop.draw = self._draw
        if ahead:
            self.loop.beyond = self._beyond
        self._nodes: NodeDraws | None = None
        self._ready = list(branches)
        self._followers: dict[Branch, list[Branch]] = {}
        #: whom followers have left, and how many tokens they have in common.
        self._left: dict[Branch, tuple[Branch, int]] = {}
        #: leaders that have drawn a token, of which their followers have not been asked yet.
        self._drawn: set[Branch] = set()
        #: leaders that pause for their followers' sake.
        self._resting: list[Branch] = []
        #: of the ready ones those that only pause, once their last tokens have been read.
        self._pausing: set[Branch] = set()
        self.loop.resting = self._pausing
        #: pairs of branches that have paused at one place.
        self._paused: list[tuple[Branch, Branch]] = []
        self._runners = Runners(decoder, self.loop, ahead if until is not None else {})

    def grow(self) -> None:
        """Grows all until they end or pause; see `Decoder.extend`."""
        every = list(self._ready)
        try:
            self._grow(shares=self.loop.rig.drafts == "tree")
        except KeyboardInterrupt:
            self.loop.abandon("interrupt", every)
        finally:
            self._runners.close()

    def _grow(self, shares: bool) -> None:
        while self._ready or not self.loop.is_done:
            while self._ready:
                if shares:
                    self._walk()
                leaders = self._led() if shares else self._ready
                self._ready = []
                for leader in leaders:
                    self._split(leader)
                if not self._run(leaders, steps=0):
                    return
                for leader in leaders:
                    if leader in self._pausing:
                        self._runners.pauses(leader)
            if not self._run([], steps=1):
                return
            self._rouse()
            if not self._ready:
                self._runners.go_on()
        self._hand_out(self._paused)

    def _run(self, leaders: Sequence[Branch], steps: int) -> bool:
        """Goes on with the loop; whether it was not stopped."""
        reason = self.decoder.run(self.loop, leaders, steps)
        if reason:
            for branch in [*self._ready, *(b for some in self._followers.values() for b in some)]:
                if branch.finish_reason is None:
                    branch.finish(reason)
            return False
        for leader in [each for each in self._followers if each.finish_reason is not None]:
            self._ask(leader)
            self._ready += self._followers.pop(leader, [])
        return True

    def _led(self) -> list[Branch]:
        """One of the branches at every place where some are ready; the others follow it."""
        places: dict[Hashable, list[Branch]] = defaultdict(list)
        for number, branch in enumerate(self._ready):
            # What was appended is judged first, by the loop.
            place = number if branch.unjudged else _place(branch)
            places[place, branch in self._pausing].append(branch)
        for leader, *followers in places.values():
            if leader in self._pausing:
                self._paused += [(leader, follower) for follower in followers]
            elif followers:
                self._followers[leader] = followers
        return [leader for leader, *_ in places.values()]

    # --- without a pass

    def _walk(self) -> None:
        """Draws the tokens of ready branches as far as laws are known."""
        walking, self._ready = self._parted(self._ready)
        while walking:
            # States that have nothing to remember are the same at all places.
            at = [
                (branch.prompt, tuple(branch.tokens), id(branch.pipeline), id(branch.states))
                for branch in walking
            ]
            places: dict[Hashable, int] = {}
            rows = [places.setdefault(place, len(places)) for place in at]
            firsts = {row: branch for branch, row in zip(walking[::-1], rows[::-1], strict=True)}
            known = [self._known(firsts[row]) or [] for row in range(len(places))]
            raw = torch.stack([logits[0] for logits in known])
            aux = self.loop.rig.named([logits[1:] for logits in known])
            drawn = self._drawn_at(walking, rows, raw, aux)
            alike: dict[tuple[int, int], Branch] = {}
            for branch, row, one in zip(walking, rows, drawn, strict=True):
                self._push(branch, one, alike.setdefault((row, one.token), branch))
            on = [branch for branch in walking if branch.finish_reason is None]
            if self.until is not None:
                self._pausing.update([branch for branch in on if self.until(branch)])
            walking, rest = self._parted(on)
            self._ready += rest

    def _parted(self, branches: Sequence[Branch]) -> tuple[list[Branch], list[Branch]]:
        """Those whose next law is known and that want a token, and the others."""
        walking: list[Branch] = []
        rest: list[Branch] = []
        for branch in branches:
            can_walk = not branch.unjudged and branch not in self._pausing
            (walking if can_walk and self._known(branch) is not None else rest).append(branch)
        return walking, rest

    def _known(self, branch: Branch) -> list[Tensor] | None:
        """The logits after a branch's tokens, where they have been seen."""
        laws = self.laws.get(branch, self.ahead.get(branch))
        return None if laws is None else laws.after(branch.tokens)

    def _beyond(self, row: Row, raw: Tensor, aux: Mapping[str, Tensor]) -> None:
        """Keeps what a pass has shown after the guesses behind the token that a row pauses at."""
        laws, pending = self.ahead.get(row.branch), len(row.pending)
        waiting = [(row.position - pending, tuple(row.branch.tokens))]
        if laws is None or waiting[0][0] not in row.children:
            return
        while waiting:
            node, tokens = waiting.pop()
            laws.keep(tokens, [x[row.number, node + pending] for x in (raw, *aux.values())])
            for child in row.children.get(node, ()):
                waiting.append((child, (*tokens, row.draft.tokens[child])))

    # --- tokens

    def _draw(
        self, sampler: Sampler, spots: Sequence[Spot], raw: Tensor, aux: Mapping[str, Tensor]
    ) -> list[Drawn]:
        """A token for every leader, from the logits `[n, V]`; followers get theirs on the way."""
        # A loop draws for branches only.
        leaders = cast("Sequence[Branch]", spots)
        for row, leader in enumerate(leaders):
            runs = leader in self._runners
            if runs or leader in self.laws:
                logits = [raw[row], *(others[row] for others in aux.values())]
                if runs:
                    self._runners.keep(leader, logits)
                else:
                    self.laws[leader].keep(leader.tokens, logits)
        pairs = [
            (row, leader, follower)
            for row, leader in enumerate(leaders)
            for follower in self._followers.get(leader, ())
        ]
        rows = [*range(len(leaders)), *(row for row, _, _ in pairs)]
        every = [*leaders, *(follower for _, _, follower in pairs)]
        drawn = self._drawn_at(every, rows, raw, aux)
        for (_, leader, follower), one in zip(pairs, drawn[len(leaders) :], strict=True):
            self._push(follower, one)
            self._drawn.add(leader)
        return drawn[: len(leaders)]

    def _drawn_at(
        self,
        branches: Sequence[Branch],
        rows: Sequence[int],
        raw: Tensor,
        aux: Mapping[str, Tensor],
    ) -> list[Drawn]:
        """A token for every branch from its row of the logits `[n, V]`."""
        sampler = self.decoder.sampler
        nodes = NodeDraws.of(sampler, branches, raw[:, None], self._nodes)
        self._nodes = nodes or self._nodes
        return draw_at(sampler, branches, rows, raw, aux, nodes)

    def _push(self, branch: Branch, one: Drawn, first: Branch | None = None) -> None:
        """Adds a token that the model has not read.

        Args:
            first: a branch that was at the same place and has got the same token already.
        """
        usage = self.decoder.usage
        if branch.pipeline.forced(branch.states) is not None:
            branch.forced += 1
            usage.forced += 1
        usage.tokens += 1
        if first is None or first is branch or one.token in self.decoder.vocabulary.stop_ids:
            branch.push(one.token, one.log_p, one.log_q, self.decoder.vocabulary.stop_ids)
        else:
            branch.tokens.append(one.token)
            branch.log_p.append(one.log_p)
            branch.log_q.append(one.log_q)
            branch.logits, branch.states = None, first.states
            branch.settle()
        branch.unread += 1

    def _stops(self, leader: Branch) -> bool:
        """Whether a leader is to pause; asks its followers, too, and lets go of some."""
        if leader in self._runners:
            return False
        stops = self.until is not None and self.until(leader)
        followers = self._ask(leader, stops)
        if stops:
            self._runners.pauses(leader)
            self._ready += self._followers.pop(leader, [])
        elif followers and followers[0].unread >= REST:
            self._resting.append(leader)
            return True
        return stops

    def _ask(self, leader: Branch, stops: bool = False) -> list[Branch]:
        """Asks the followers about the token that they have drawn; those that follow on.

        Args:
            stops: whether the leader pauses after it.
        """
        if leader not in self._drawn:
            return self._followers.get(leader, [])
        self._drawn.remove(leader)
        on: list[Branch] = []
        for follower in self._followers.pop(leader):
            if follower.finish_reason is not None:
                continue
            agrees = follower.tokens[-1] == leader.tokens[-1]
            if agrees and leader.finish_reason is None:
                # Equal values, as states are functions of the prefix.
                follower.states = leader.states
            pauses = self.until is not None and self.until(follower)
            if agrees and pauses and stops:
                self._paused.append((leader, follower))
            elif agrees and not pauses:
                on.append(follower)
            else:
                self._left[follower] = leader, len(follower.tokens) - 1
                self._ready.append(follower)
                if pauses:
                    self._pausing.add(follower)
        if on:
            self._followers[leader] = on
        return on

    # --- keys and values

    def _split(self, branch: Branch) -> None:
        """Gives a branch that has left another one what the model has read of both."""
        other, common = self._left.pop(branch, (None, 0))
        unread = len(branch.tokens) - common
        length = len(branch.prompt) + common
        if other and unread < branch.unread and self.loop.rig.split(other, branch, length):
            branch.unread = unread

    def _rouse(self) -> None:
        """Lets leaders that have come to rest go on, after their followers got what they know."""
        growing = {row.branch for row in self.loop.rows}
        still: list[Branch] = []
        for leader in self._resting:
            if leader.logits is None or leader in growing:
                still.append(leader)
                continue
            followers = self._followers.pop(leader, [])
            self._hand_out([(leader, follower) for follower in followers])
            self._ready += [leader, *followers]
        self._resting = still

    def _hand_out(self, pairs: Sequence[tuple[Branch, Branch]]) -> None:
        """Gives keys, values and logits of branches at rest to others that have said the same."""
        alike: dict[Branch, list[Branch]] = defaultdict(list)
        for leader, follower in pairs:
            if leader.logits is not None and len(leader.tokens) == len(follower.tokens):
                alike[leader].append(follower)
        for leader, followers in alike.items():
            self.loop.rig.share(leader, len(followers))
            for follower in followers:
                self._left.pop(follower, None)
                follower.places = tuple(place.copy() for place in leader.places)
                follower.logits, follower.unread = leader.logits, 0
                follower.states = leader.states
