"""A canvas of token slots under a grammar, as a persistent value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.emptiness import OutOfSteps, shortest_word
from guided.grammars.canvas.exact import completion_nfa
from guided.grammars.canvas.plain import PlainRules
from guided.grammars.canvas.slots import Layout, Slot, check_token
from guided.grammars.canvas.verdict import Verdict
from guided.grammars.token_engine import pack_tokens
from guided.grammars.vocabulary import Vocabulary

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar


@dataclass(frozen=True)
class CanvasLimits:
    """How much work one answer may take.

    Attributes:
        steps: steps of the search after which it answers UNKNOWN.
    """

    steps: int = 4_000_000


@dataclass(frozen=True)
class Completion:
    """A whole text that completes a canvas.

    Attributes:
        tokens: its tokens, without a stop token.
        data: its bytes.
        fits: whether the tokens fill the canvas as it is, every hole with as many tokens as it has
            slots (the last one may end early). Else the text holds the fixed fragments in order,
            but its length is another one.
    """

    tokens: list[int]
    data: bytes
    fits: bool


class Canvas:
    """Slots that hold tokens, masks (exactly one token each) or gaps (any number of tokens).

    The question it answers: do tokens exist for the holes, so that the text is in the grammar's
    language? A text ends before the first stop token, or with the last slot. A stop token may stand
    in a trailing run of masks only: what is fixed is never cut off. Slots after a fixed stop token
    do not matter.
    """

    def __init__(
        self,
        grammar: Grammar,
        rules: PlainRules,
        vocabulary: Vocabulary,
        layout: Layout,
        limits: CanvasLimits,
    ) -> None:
        self.grammar = grammar
        self.vocabulary = vocabulary
        self.limits = limits
        self._rules = rules
        self._layout = layout

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What stands in the slots."""
        return self._layout.slots

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the holes can be filled."""
        nfa, complete = completion_nfa(self._layout, self.vocabulary)
        try:
            word = shortest_word(self._rules.rules, nfa, self.limits.steps)
        except OutOfSteps:
            return Verdict.UNKNOWN
        if word is not None:
            return Verdict.YES
        return Verdict.NO if complete and self._rules.complete else Verdict.UNKNOWN

    def check(self, slot: int, token: int) -> Verdict:
        """Whether the holes could be filled once `token` were fixed at `slot`."""
        after = self._after({slot: token})
        return Verdict.NO if after is None else after.verdict

    def check_many(self, slot: int, tokens: Iterable[int]) -> NDArray[np.object_]:
        """The verdict of every token at `slot`."""
        return np.array([self.check(slot, token) for token in tokens], object)

    def mask(self, slot: int) -> NDArray[np.int32]:
        """Packed int32 mask of the tokens at `slot` whose verdict is not NO."""
        verdicts = self.check_many(slot, range(self.vocabulary.size))
        allowed = np.flatnonzero(verdicts != Verdict.NO).astype(np.int32)
        return pack_tokens(allowed, self.vocabulary.n_words)

    def fix(self, tokens: Mapping[int, int]) -> Canvas | None:
        """The canvas with `tokens` (by slot) fixed, None where the verdict would be NO."""
        after = self._after(tokens)
        return None if after is None or after.verdict is Verdict.NO else after

    def completion(self) -> Completion | None:
        """A text that completes the canvas, None where none is found."""
        nfa, _ = completion_nfa(self._layout, self.vocabulary)
        try:
            word = shortest_word(self._rules.rules, nfa, self.limits.steps)
        except OutOfSteps:
            return None
        if word is None:
            return None
        return Completion(self.vocabulary.encode(word), word, True)

    def _after(self, tokens: Mapping[int, int]) -> Canvas | None:
        for slot, token in tokens.items():
            check_token(token, self.vocabulary, slot)
            if not 0 <= slot < len(self.slots):
                raise IndexError(f"the canvas has no slot {slot}: it has {len(self.slots)}")
        stop_ids = self.vocabulary.stop_ids
        texts = [(slot, token) for slot, token in tokens.items() if token not in stop_ids]
        layout = self._layout.fixed(texts)
        for slot in sorted(slot for slot, token in tokens.items() if token in stop_ids):
            if layout is not None and slot < layout.end:
                layout = layout.stopped_at(slot, tokens[slot])
        if layout is None:
            return None
        return Canvas(self.grammar, self._rules, self.vocabulary, layout, self.limits)


def open_canvas(
    grammar: Grammar,
    rules: PlainRules,
    vocabulary: Vocabulary,
    slots: Sequence[Slot] | int,
    limits: CanvasLimits | None,
) -> Canvas:
    """The canvas of a grammar."""
    layout = Layout.of(slots, vocabulary)
    return Canvas(grammar, rules, vocabulary, layout, limits or CanvasLimits())
