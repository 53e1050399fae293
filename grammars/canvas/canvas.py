"""A canvas of token slots under a grammar, as a persistent value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided.errors import InputError
from guided.grammars.canvas.chart import Chart, OutOfRoom
from guided.grammars.canvas.limits import CanvasLimits
from guided.grammars.canvas.obstacle import first_obstacle
from guided.grammars.canvas.rescue import Completion, rescue, shortest_length
from guided.grammars.canvas.slots import GAP, MASKED, Layout, Slot, check_token
from guided.grammars.canvas.sources import CanvasSource
from guided.grammars.canvas.tables import Tables
from guided.grammars.canvas.verdict import Verdict
from guided.grammars.once import once
from guided.grammars.token_engine import pack_tokens
from guided.grammars.vocabulary import Vocabulary


@dataclass(frozen=True)
class Shared:
    """Tables that a canvas shares with what it came from and what it becomes."""

    tables: Tables
    quick: Tables | None


class Canvas:
    """Slots that hold tokens, masks (exactly one token each) or gaps (any number of tokens).

    The question it answers: do tokens exist for the holes, so that the text is in the grammar's
    language? A text ends before the first stop token, or with the last slot. A stop token may stand
    in the trailing run of holes only: what is fixed is never cut off. Slots after a fixed stop
    token do not matter.

    YES is proven: real tokens exist, one for every mask. NO is proven as well. UNKNOWN remains
    where tokens were left out of account: of vocabularies of more than 4096 tokens, a boundary
    between two rules of the grammar is looked for inside of short tokens without word characters
    only, and long tokens are tried up to a limit.

    Fixing tokens gives a new canvas and leaves this one as it was. Thread-safe.
    """

    def __init__(
        self, source: CanvasSource, layout: Layout, shared: Shared, too_short: int = -1
    ) -> None:
        self._source = source
        self._layout = layout
        self._shared = shared
        #: So many slots hold no text for certain: more fixed tokens change nothing in that.
        self._too_short = too_short

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What stands in the slots."""
        return self._layout.slots

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the tokens."""
        return self._source.vocabulary

    @once
    def verdict(self) -> Verdict:
        """Whether the holes can be filled."""
        layout = self._layout
        if layout.is_open:
            return self._source.open_verdict(len(layout.slots), self._found_verdict)
        return self._found_verdict()

    def _found_verdict(self) -> Verdict:
        if self._chart is None:
            return Verdict.NO
        return self._judged(lambda chart: chart.fillable, lambda: self._wider_verdict)

    def check(self, slot: int, token: int) -> Verdict:
        """Whether the holes could be filled once `token` were fixed at `slot`.

        Raises:
            InputError: the vocabulary has no such token, or a gap stands in the slot.
            IndexError: the canvas has no such slot.
        """
        self._check_arguments(slot, token)
        layout = self._layout
        if self.verdict is Verdict.NO or self._chart is None:
            return Verdict.NO
        stops = token in self._source.vocabulary.stop_ids
        if slot >= layout.end:
            return self.verdict if stops else Verdict.NO
        if layout.slots[slot] is not MASKED:
            return self.verdict if layout.slots[slot] == token else Verdict.NO
        return self._stop_verdict(slot, token) if stops else self._token_verdict(slot, token)

    def _stop_verdict(self, slot: int, token: int) -> Verdict:
        """Whether the text can end before an open slot or earlier."""
        if slot <= self._too_short or slot < self._layout.text_end:
            return Verdict.NO
        verdict = self._known.get((slot, None))
        if verdict is None:
            verdict = self._judged(
                lambda chart: chart.ends_within(slot), lambda: self._ended_verdict(slot, token)
            )
            self._note(slot, None, verdict)
        if verdict is Verdict.NO:
            self._too_short = slot
        return verdict

    def _ended_verdict(self, slot: int, token: int) -> Verdict:
        """The verdict of the canvas that ends there: of fewer slots more is known."""
        after = self._after({slot: token})
        return Verdict.NO if after is None else after.verdict

    def _token_verdict(self, slot: int, token: int) -> Verdict:
        """Whether a token may stand in an open slot. Tokens that nothing tells apart are alike."""
        data = self._source.vocabulary.grammar_bytes(token)
        if data is None:
            return Verdict.NO
        alike = data.translate(self._source.engine.classes)
        verdict = self._known.get((slot, alike))
        if verdict is None:
            verdict = self._judged(
                lambda chart: chart.allows(slot, data),
                lambda: self._wider_after(slot, token, data),
            )
            self._note(slot, alike, verdict)
        return verdict

    @once
    def _known(self) -> dict[tuple[int, bytes | None], Verdict]:
        """Verdicts of tokens in slots, None being a token that ends the text."""
        return {}

    def _note(self, slot: int, alike: bytes | None, verdict: Verdict) -> None:
        if len(self._known) >= self._source.limits.kept:
            self._known.clear()
        self._known[slot, alike] = verdict

    def _judged(self, ask: Callable[[Chart], bool], wider: Callable[[], Verdict]) -> Verdict:
        """YES where some tables prove it, NO where all are exact or nothing can be."""
        chart, quick, record = self._chart, self._quick_chart, self._source.engines.quick
        if chart is None:
            return Verdict.NO
        try:
            if quick is not None:
                if ask(quick):
                    record.note(True)
                    return Verdict.YES
                if wider() is Verdict.NO:
                    return Verdict.NO
            if ask(chart):
                if quick is not None:
                    record.note(False)
                return Verdict.YES
            return Verdict.NO if self._is_exact else wider()
        except OutOfRoom:
            return wider()

    def check_many(self, slot: int, tokens: Iterable[int]) -> NDArray[np.object_]:
        """The verdict of every token at `slot`."""
        verdicts: dict[bytes | None, Verdict] = {}
        spelling = self._source.engine.classes
        found = []
        for token in tokens:
            data = self._source.vocabulary.grammar_bytes(token)
            if data is None:
                found.append(self.check(slot, token))
                continue
            # Tokens that no terminal tells apart have the same verdict.
            alike = data.translate(spelling)
            if alike not in verdicts:
                verdicts[alike] = self.check(slot, token)
            found.append(verdicts[alike])
        return np.array(found, object)

    def mask(self, slot: int) -> NDArray[np.int32]:
        """Packed int32 mask of the tokens at `slot` whose verdict is not NO."""
        vocabulary = self._source.vocabulary
        verdicts = self.check_many(slot, range(vocabulary.size))
        allowed = np.flatnonzero(verdicts != Verdict.NO).astype(np.int32)
        return pack_tokens(allowed, vocabulary.n_words)

    def fix(self, tokens: Mapping[int, int]) -> Canvas | None:
        """The canvas with `tokens` (by slot) fixed, None where the verdict would be NO.

        Raises:
            InputError: the vocabulary has no such token.
            IndexError: the canvas has no such slot.
        """
        for slot, token in tokens.items():
            self._check_arguments(slot, token)
        stops = [slot for slot, token in tokens.items() if self._ends(slot, token)]
        if stops and min(stops) <= self._too_short:
            return None
        if len(stops) == len(tokens) > 1:
            # What is behind the first one is not looked at.
            tokens = {min(stops): tokens[min(stops)]}
        known = self.check(*next(iter(tokens.items()))) if len(tokens) == 1 else None
        after = self._after(tokens) if known is not Verdict.NO else None
        if after is None:
            return None
        if known is not None:
            after.__dict__.setdefault("verdict", known)
        after._too_short = max(after._too_short, self._too_short)
        return None if after.verdict is Verdict.NO else after

    def _ends(self, slot: int, token: int) -> bool:
        """Whether the token would end the text there, were it fixed."""
        return slot < self._layout.end and token in self._source.vocabulary.stop_ids

    def completion(self) -> Completion | None:
        """A text that completes the canvas, as short as possible; None where none is found.

        Where no tokens fit the holes, a text is tried that holds the fixed fragments in order with
        longer holes between them.
        """
        return rescue(self._source, self._layout)

    @property
    def fits(self) -> int | None:
        """How many slots a shortest completion takes, more than there are where the canvas is too
        short; None where no completion was found."""
        return shortest_length(self._source, self._layout)

    @property
    def obstacle(self) -> int | None:
        """The first slot with which no text can begin, whatever fills the holes, however long.

        The number of slots where only the end is impossible; None where nothing is known to be.
        """
        return first_obstacle(self._source, self._layout)

    @once
    def _chart(self) -> Chart | None:
        """The answers for this canvas, None where a fixed token spells nothing."""
        return self._source.chart(self._layout, self._shared.tables)

    @property
    def _quick_chart(self) -> Chart | None:
        """The same where answers come sooner and prove less, None where that does not pay."""
        if self._shared.quick is None or not self._source.engines.quick.is_good:
            return None
        return Chart(self._shared.quick, self._layout)

    @property
    def _is_exact(self) -> bool:
        """Whether what the tables do not prove is impossible."""
        return self._chart is not None and self._source.is_exact(self._layout, self._chart)

    @once
    def _wider_verdict(self) -> Verdict:
        """NO where not even other lengths of the holes help, UNKNOWN where they do."""
        return Verdict.UNKNOWN if self._source.may_fit(self._loose_chart) else Verdict.NO

    @once
    def _loose_chart(self) -> Chart | None:
        """The tables of what is fixed, with anything in the holes."""
        return self._source.loose_chart(self._layout)

    def _wider_with(self, slot: int, token: int) -> Verdict:
        """`_wider_verdict` of this canvas with one more token."""
        after = self._after({slot: token})
        return Verdict.NO if after is None else after._wider_verdict

    def _wider_after(self, slot: int, token: int, data: bytes) -> Verdict:
        """The same, by the tables of this canvas where they tell."""
        beside = self._layout.slots[max(slot - 1, 0) : min(slot + 2, self._layout.end)]
        # At the edge of a hole nothing lies between the token and what is fixed.
        inside = len(beside) == 3 and not any(isinstance(item, int) for item in beside)
        if not inside:
            return self._wider_with(slot, token)
        may_fit = self._source.may_fit(self._loose_chart, (slot, data))
        return Verdict.UNKNOWN if may_fit else Verdict.NO

    def _check_arguments(self, slot: int, token: int) -> None:
        if not 0 <= slot < len(self.slots):
            raise IndexError(f"the canvas has no slot {slot}: it has {len(self.slots)}")
        check_token(token, self._source.vocabulary, slot)
        if slot < self._layout.end and self.slots[slot] is GAP:
            raise InputError(f"slot {slot} is a gap, which holds no single token")

    @once
    def _successors(self) -> dict[tuple[tuple[int, int], ...], Canvas | None]:
        return {}

    def _after(self, tokens: Mapping[int, int]) -> Canvas | None:
        key = tuple(sorted(tokens.items()))
        if key not in self._successors:
            if len(self._successors) >= self._source.limits.kept:
                self._successors.clear()
            layout = self._layout.with_tokens(tokens, self._source.vocabulary)
            self._successors[key] = (
                None
                if layout is None
                else Canvas(self._source, layout, self._shared, self._too_short)
            )
        return self._successors[key]

    def __repr__(self) -> str:
        holes = sum(not isinstance(slot, int) for slot in self.slots)
        return f"Canvas({len(self.slots)} slots, {holes} open)"


def open_canvas(
    source: CanvasSource, slots: Sequence[Slot] | int, limits: CanvasLimits | None
) -> Canvas:
    """The canvas of a grammar over a vocabulary."""
    chosen = source if limits is None else source.limited(limits)
    return Canvas(
        chosen,
        Layout.of(slots, source.vocabulary),
        Shared(chosen.tables(), chosen.quick_tables()),
    )
