"""Rounds over a changing set of branches: guess, one pass, draw, keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set

import torch
from torch import Tensor

from guided.decoding.branch import Branch
from guided.decoding.chains import verify_chains
from guided.decoding.drafters.protocol import Observation
from guided.decoding.draws import NodeDraws, draw
from guided.decoding.growing import Row
from guided.decoding.picking import HowToDraw, Nodes, Picker, Picks
from guided.decoding.rig import Rig
from guided.decoding.sampling import Sampler
from guided.decoding.speculation import Policy, Speculation
from guided.decoding.usage import Usage
from guided.decoding.verifiers.protocol import ChainVerifier

Until = Callable[[Branch], bool]
_NONE = torch.empty(0)


class Loop:
    """Grows branches in rounds; branches may be added between rounds, and leave when they end.

    Attributes:
        rows: those that are growing.
        waiting: those that wait for room.
        draw: draws the tokens of branches at nodes of a pass, by default as `draws.draw` does.
        beyond: shown rows that pause, with the pass's logits, before their guesses are dropped.
        resting: branches that get no further token; the model only reads those that they have.
    """

    def __init__(
        self,
        rig: Rig,
        sampler: Sampler,
        stop_ids: frozenset[int],
        speculation: Speculation | None,
        usage: Usage,
        until: Until | None = None,
    ) -> None:
        self.rig = rig
        self.sampler = sampler
        self.stop_ids = stop_ids
        self.speculation = speculation
        self.usage = usage
        self.until = until
        self.rows: list[Row] = []
        self.waiting: list[Branch] = []
        self.draw: HowToDraw = draw
        self.beyond: Callable[[Row, Tensor, Mapping[str, Tensor]], None] | None = None
        self.resting: Set[Branch] = frozenset()
        self._picker = Picker(sampler)
        self._freed = False
        # One transfer for all nodes of a round, where each is dear; else only the nodes needed.
        self.draws_ahead = rig.device.type != "cpu"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to grow."""
        return not (self.rows or self.waiting)

    def add(self, branches: Sequence[Branch]) -> None:
        """Takes in branches and draws their first tokens, where the model has read all of them."""
        branches = [branch for branch in branches if branch.finish_reason is None]
        branches, waiting = self.rig.revive(branches)
        self.waiting += waiting
        if not branches:
            return
        old = set(map(id, self.rows))
        together = [*self.rows, *(Row(branch) for branch in branches)]
        order = self.rig.arrange([row.branch.places for row in together])
        self.rows = [together[index] for index in order]
        fresh = [row for row in self.rows if id(row) not in old]
        drawing = [row for row in fresh if not self._stays(row)]
        known = [row.branch.logits for row in drawing if row.branch.logits is not None]
        if known:
            raw = known[0][0][None] if len(known) == 1 else torch.stack([each[0] for each in known])
            aux = self.rig.named([logits[1:] for logits in known])
            for row in drawing:
                row.branch.logits = None
                row.begin()
            others = {name: x[:, None] for name, x in aux.items()}
            self._walk(drawing, raw[:, None], others, began=None)
        self._leave()

    def _stays(self, row: Row) -> bool:
        """Whether a new row does not begin by a draw: its last tokens are to be read, or judged.

        The last one is judged where it was appended, or drawn before the row had to make room for
        others.
        """
        branch = row.branch
        unread, branch.unread = branch.unread, 0
        row.pausing = branch in self.resting
        if unread and branch.logits is None:
            row.pending = branch.tokens[-unread:]
        if row.pausing or row.pending:
            return True
        if not branch.unjudged:
            return False
        branch.unjudged = False
        row.pausing = self.until is not None and self.until(branch)
        if branch.logits is None:
            row.pending = [branch.tokens[-1]]
        return row.pausing or branch.logits is None

    def abandon(self, reason: str, branches: Sequence[Branch]) -> None:
        """Ends what is growing, and `branches` that were to grow; gives their memory back."""
        for branch in [*(row.branch for row in self.rows), *self.waiting, *branches]:
            if branch.finish_reason is None:
                branch.finish(reason)
        self.rows, self.waiting = [], []
        self.rig.arrange([])

    def dismiss(self, branches: Sequence[Branch]) -> None:
        """Ends branches that are growing and whose tokens nobody wants."""
        for branch in branches:
            branch.finish("closed")
        self._leave()

    def step(self) -> None:
        """One round: every branch gets at least one more token, or pauses, or ends."""
        self._make_room()
        if not self.rows:
            return
        self._guess()
        feeds = [row.feed() for row in self.rows]
        widths = [len(feed) for feed in feeds]
        began = time.perf_counter()
        raw, aux = self.rig.forward(feeds)
        for row, width in zip(self.rows, widths, strict=True):
            row.branch.was_read(width)
        self._walk(self.rows, raw, aux, began=(began, max(widths)))
        for number, row in enumerate(self.rows):
            self.rig.commit(number, row.kept)
        self._observe(raw)
        self._leave()

    def _make_room(self) -> None:
        """Where the limit of keys and values asks for it, the last branches wait for the others."""
        while self.rows and self.rig.lacks_room():
            row = self.rows.pop()
            self.rig.evict(len(self.rows))
            row.branch.logits = None
            row.branch.unjudged = row.pausing
            if self.rows:
                self.waiting.append(row.branch)
            else:
                row.branch.finish("memory")
        if self.waiting and (not self.rows or self._freed):
            waiting, self.waiting = self.waiting, []
            self._freed = False
            self.add(waiting)

    def _guess(self) -> None:
        form, speculation = self.rig.drafts, self.speculation
        # Where it is kept what comes after a pause, rows that only wait for it guess, too.
        going = [row for row in self.rows if not row.pausing or self.beyond is not None]
        if speculation is None or form == "none" or not going:
            for row in self.rows:
                row.begin()
            return
        branches, before = [row.branch for row in going], speculation.passes
        drafts = speculation.drafts(branches, self.sampler, self.stop_ids, form)
        self.usage.auxiliary_passes += speculation.passes - before
        if len(going) < len(self.rows):
            for row in self.rows:
                row.begin()
        for row, draft in zip(going, drafts, strict=True):
            row.begin(draft)
            count = len(draft)
            row.branch.drafted += count
            self.usage.drafted += count

    # --- what the pass has shown

    def _walk(
        self,
        rows: Sequence[Row],
        raw: Tensor,
        aux: dict[str, Tensor],
        began: tuple[float, int] | None,
    ) -> None:
        """Draws the tokens of all rows from the logits `[n, q, V]`, as far as the drafts carry."""
        if len(rows) == 1 and self._walk_alone(rows[0], raw, began):
            return
        going = []
        for number, row in enumerate(rows):
            row.stand(number)
            if row.pausing:
                row.branch.logits = _all_at(raw, aux, row)
                if self.beyond is not None:
                    self.beyond(row, raw, aux)
            else:
                going.append(row)
        if self.speculation is not None and self.speculation.verifier is not None:
            chains = [row for row in going if row.draft.tokens]
            if chains:
                self._verify(self.speculation.verifier, chains, raw, aux)
                going = [row for row in going if not row.draft.tokens]
        draws = self._picker.picks(going, raw, aux, self.draw, self.draws_ahead)
        if isinstance(draws, Nodes) and self.until is None:
            self._walk_apart(draws.draws, going, began, len(rows))
        else:
            self._walk_together(draws, going, raw, aux, began, len(rows))
        if self.speculation is not None:
            self._judge(self.speculation.policy, rows)

    def _walk_alone(self, row: Row, raw: Tensor, began: tuple[float, int] | None) -> bool:
        """The same for a single row that one kernel draws for and nobody looks at.

        False, and nothing is done, where there is more to it.
        """
        speculation, branch = self.speculation, row.branch
        if row.pausing or self.until is not None or self.draw is not draw or self.draws_ahead:
            return False
        if speculation is not None and speculation.verifier is not None:
            return False
        draws = self._picker.nodes(branch, raw)
        if draws is None:
            return False
        row.stand(0)
        take, draw_at = self._take, draws.draw
        follows = take(row, *draw_at(branch, 0, row.position))
        drawn_at, levels = time.perf_counter(), 0
        while follows:
            follows = take(row, *draw_at(branch, 0, row.position))
            levels += 1
        if speculation is not None and began is not None:
            policy = speculation.policy
            policy.timed(1, began[1], drawn_at - began[0])
            if levels:
                policy.levelled((time.perf_counter() - drawn_at) / levels)
            self._judge(policy, (row,))
        return True

    def _judge(self, policy: Policy, rows: Sequence[Row]) -> None:
        """The policy learns from all guesses at what was drawn."""
        for row in rows:
            if row.seen and len(row.draft):
                tokens = row.branch.tokens[-len(row.seen) :]
                policy.judged(row.branch, row.draft, row.stood, tokens)

    def _walk_together(
        self,
        draws: Picks,
        going: Sequence[Row],
        raw: Tensor,
        aux: dict[str, Tensor],
        began: tuple[float, int] | None,
        count: int,
    ) -> None:
        """Draws level by level: all rows have their token before any of them is looked at."""
        levels, drawn_at = 0, 0.0
        while going:
            drawn = draws.draw(going)
            if levels == 0 and began is not None and self.speculation is not None:
                drawn_at = time.perf_counter()
                self.speculation.policy.timed(count, began[1], drawn_at - began[0])
            levels += 1
            taken = [self._take(row, *one) for row, one in zip(going, drawn, strict=True)]
            # Asked when all rows have their token: `until` may look at the other branches.
            further = []
            for row, follows in zip(going, taken, strict=True):
                if follows:
                    if self.until is None or not self._paused(row, raw, aux):
                        further.append(row)
                elif row.branch.finish_reason is None:
                    row.pausing = self.until is not None and self.until(row.branch)
            going = further
        if levels > 1 and drawn_at and self.speculation is not None:
            seconds = (time.perf_counter() - drawn_at) / (levels - 1)
            self.speculation.policy.levelled(seconds)

    def _walk_apart(
        self, draws: NodeDraws, going: Sequence[Row], began: tuple[float, int] | None, count: int
    ) -> None:
        """The same where nobody looks at the rows in between: each goes its way to the end."""
        draw, take = draws.draw, self._take
        further = [row for row in going if take(row, *draw(row.branch, row.number, row.position))]
        drawn_at, levels = time.perf_counter(), 0
        for row in further:
            drawn = 1
            while take(row, *draw(row.branch, row.number, row.position)):
                drawn += 1
            levels = max(levels, drawn)
        if began is not None and self.speculation is not None:
            policy = self.speculation.policy
            policy.timed(count, began[1], drawn_at - began[0])
            if levels:
                policy.levelled((time.perf_counter() - drawn_at) / levels)

    def _take(
        self, row: Row, token: int, log_p: float, log_q: float, forced: bool | None = None
    ) -> bool:
        """Adds a drawn token; whether it confirms a guess, at which the row then stands."""
        branch, usage = row.branch, self.usage
        row.seen.append(row.position)
        if forced is None:
            forced = branch.pipeline.forced(branch.states) is not None
        if forced:
            branch.forced += 1
            usage.forced += 1
        usage.tokens += 1
        branch.push(token, log_p, log_q, self.stop_ids)
        if branch.finish_reason is not None or not row.follow(token):
            row.pending = [token]
            return False
        row.kept.append(row.position)
        usage.accepted += 1
        branch.accepted += 1
        return True

    def _paused(self, row: Row, raw: Tensor, aux: dict[str, Tensor]) -> bool:
        """Whether the branch stops here; it then keeps the logits after its last token."""
        if self.until is None or not self.until(row.branch):
            return False
        row.branch.logits = _all_at(raw, aux, row)
        if self.beyond is not None:
            self.beyond(row, raw, aux)
        row.pausing = True
        row.pending = []
        return True

    def _verify(
        self, verifier: ChainVerifier, rows: Sequence[Row], raw: Tensor, aux: dict[str, Tensor]
    ) -> None:
        """Adds what a verifier for chains lets stand."""
        verdicts = verify_chains(
            verifier,
            [row.branch for row in rows],
            [row.draft for row in rows],
            [(row.number, row.position) for row in rows],
            raw,
            aux,
            self.stop_ids,
        )
        for row, verdict in zip(rows, verdicts, strict=True):
            for one, states in verdict:
                row.branch.states = states
                if not self._take(row, *one):
                    if row.branch.finish_reason is None:
                        row.pausing = self.until is not None and self.until(row.branch)
                    break
                if self.until is not None and self._paused(row, raw, aux):
                    break

    def _observe(self, raw: Tensor) -> None:
        speculation = self.speculation
        if speculation is None or len(self.rows) > speculation.policy.most_rows:
            return
        reads, waits = speculation.reads_logits, speculation.waits
        found = [
            _observation(row, raw[number, row.seen] if reads else _NONE)
            for number, row in enumerate(self.rows)
            if row.seen and not (waits and row.branch.finish_reason is None)
        ]
        speculation.observe(found)

    # --- rows leave

    def _leave(self) -> None:
        """Lets go of rows that have ended or pause with their logits at hand."""
        leaving = [row for row in self.rows if row.branch.finish_reason is not None]
        paused = [
            row
            for row in self.rows
            if row.pausing and row.branch.finish_reason is None and row.branch.logits is not None
        ]
        if len(leaving) + len(paused) == len(self.rows) and not leaving:
            # All pause: their rows stay where they are until others need the room.
            self.rows = []
            self.rig.release()
            return
        self._freed = self._freed or bool(leaving or paused)
        for row in [*leaving, *paused]:
            number = self.rows.index(row)
            self.rig.drop(number, keep=row in paused)
            self.rows[number] = self.rows[-1]
            self.rows.pop()


def _observation(row: Row, logits: Tensor) -> Observation:
    """What a round has added to a row, with the logits `[m, V]` that it was drawn from, if any."""
    branch = row.branch
    tokens, count = branch.tokens, len(row.seen)
    first = len(tokens) - count
    before = [tokens[first - 1] if first else branch.prompt[-1], *tokens[first : first + count - 1]]
    return Observation(branch, tokens[first:], before, logits)


def _all_at(raw: Tensor, aux: dict[str, Tensor], row: Row) -> list[Tensor]:
    """The logits `[V]` of all networks where a row stands; copies, as views would keep the pass."""
    return [each[row.number, row.position].clone() for each in (raw, *aux.values())]
