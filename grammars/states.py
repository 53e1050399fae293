"""Where a sequence of tokens stands in a grammar, as a persistent value."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from guided.errors import BudgetError
from guided.grammars.spacing import Spacing
from guided.grammars.spots import FINISHED
from guided.grammars.token_engine import Mask, TokenEngine
from guided.grammars.vocabulary import Vocabulary

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar

_new = object.__new__


class GrammarState:
    """The state after some tokens. Advancing gives a new state and leaves this one as it was.

    Forking is sharing the reference, rollback is keeping the older one.
    """

    __slots__ = ("_engine", "_grammar", "_parent", "_spot", "_token")

    def __init__(
        self,
        grammar: Grammar,
        engine: TokenEngine,
        config: int,
        parent: GrammarState | None = None,
        token: int = -1,
    ) -> None:
        self._grammar = grammar
        self._engine = engine
        self._spot = engine.spot(config)
        self._parent = parent
        self._token = token

    @property
    def grammar(self) -> Grammar:
        """The grammar that this is a state of."""
        return self._grammar

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the tokens."""
        return self._engine.vocabulary

    @property
    def engine(self) -> TokenEngine:
        """What the state's configuration belongs to."""
        return self._engine

    @property
    def config(self) -> int:
        """The number of the state's configuration in its parser; negative once it is finished."""
        return self._spot.config

    @property
    def is_finished(self) -> bool:
        """Whether a stop token has been taken; only stop tokens may follow."""
        return self._spot.config == FINISHED

    @property
    def is_accepting(self) -> bool:
        """Whether the tokens so far are a complete text of the grammar."""
        return self._spot.config == FINISHED or self._engine.parser.is_accepting(self._spot.config)

    @property
    def in_free_text(self) -> bool:
        """Whether the tokens so far stand in free text before a trigger."""
        return self._spot.config != FINISHED and self._engine.parser.in_free_text(self._spot.config)

    @property
    def key(self) -> Hashable:
        """Equal only for states with the same future."""
        return (id(self._engine.parser), self._spot.config)

    def advance(self, token: int) -> GrammarState | None:
        """The state after `token`, None if the grammar forbids it."""
        # Most steps were made before; of a forbidden or stop token, and at the end, there is none.
        spot = self._spot.steps.get(token)
        if spot is None:
            if self._engine.parser.full:
                return self._moved()._take(token)
            return self._take(token)
        # As by the constructor, without a call: most of what a known step takes.
        state = _new(GrammarState)
        state._grammar = self._grammar
        state._engine = self._engine
        state._spot = spot
        state._parent = self
        state._token = token
        return state

    def _take(self, token: int) -> GrammarState | None:
        engine = self._engine
        if token in engine.vocabulary.stop_ids:
            if not self.is_accepting:
                return None
            return GrammarState(self._grammar, engine, FINISHED, self, token)
        if self._spot.config == FINISHED:
            return None
        config = engine.after(self._spot.config, token)
        return GrammarState(self._grammar, engine, config, self, token) if config else None

    def mask(self) -> Mask:
        """Packed int32 mask of ceil(size / 32) words, read-only:
        token t is bit t % 32 of word t // 32.

        Stop ids are set exactly where the state is accepting.
        """
        mask = self._spot.mask
        return self._engine.mask(self._spot.config) if mask is None else mask

    def mask_within(self, budget: int) -> Mask:
        """The mask of the tokens after which a completion still fits.

        `budget` counts the tokens that are left: this one, those of the completion, the stop token.

        Raises:
            BudgetError: no completion is known to fit; it says how many tokens suffice.
        """
        engine, config = self._engine, self._spot.config
        if config == FINISHED:
            return engine.stop_mask
        known = engine.masks.get(config)
        # Asked at every token, and mostly there is room for one byte a token.
        if known is not None and known[1] + 2 <= budget and not engine.counted:
            return known[0]
        mask = engine.mask_within(config, budget)
        # The mask without a budget is never empty.
        if mask is not engine.mask(config) and not mask.any():
            raise BudgetError(
                f"no completion is known to fit into {budget} tokens; {self.bound} suffice",
                self.bound,
            )
        return mask

    def accepts(self, token: int) -> bool:
        """Whether `token` may come next; no mask is made."""
        if token in self._engine.vocabulary.stop_ids:
            return self.is_accepting
        return self._spot.config != FINISHED and self._engine.after(self._spot.config, token) != 0

    def accepts_within(self, token: int, budget: int) -> bool:
        """Whether `mask_within(budget)` has `token`; no mask is made."""
        if token in self._engine.vocabulary.stop_ids:
            return self.is_accepting and budget >= 1
        return self._spot.config != FINISHED and self._engine.fits_after(
            self._spot.config, token, budget
        )

    def fits(self, budget: int) -> bool:
        """Whether a completion with its stop token is known to fit into so many tokens."""
        if self._spot.config == FINISHED:
            return budget >= 0
        return self._engine.fits(self._spot.config, budget)

    def accept_many(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` can be taken one after the other."""
        state: GrammarState = self
        for count, token in enumerate(tokens):
            following = state.advance(token)
            if following is None:
                return count
            state = following
        return len(tokens)

    def forced(self) -> bytes:
        """Bytes with which every completion continues; empty where there is a choice or an end."""
        return b"" if self._spot.config == FINISHED else self._engine.forced(self._spot.config)

    def likely_texts(self, spacing: Spacing, most: int = 1) -> tuple[bytes, ...]:
        """At most `most` texts, none the beginning of another, one of which is likely to come next.

        All are legal. They hold what is forced, with the white space of `spacing` where the grammar
        leaves it open, and divide where only a few bytes are possible; empty where many are.
        """
        if self._spot.config == FINISHED:
            return (b"",)
        return self._engine.likely_texts(self._spot.config, spacing, most)

    def completion(self) -> list[int]:
        """Tokens of a short completion, the stop token left out."""
        return [] if self._spot.config == FINISHED else self._engine.completion(self._spot.config)

    @property
    def bound(self) -> int:
        """Number of tokens that suffice from here, the stop token included."""
        return 1 if self._spot.config == FINISHED else self._engine.bound(self._spot.config)

    def _moved(self) -> GrammarState:
        """This state on a fresh parser: the memo of the old one has reached its limit."""
        tokens: list[int] = []
        state: GrammarState = self
        while state._parent is not None:
            tokens.append(state._token)
            state = state._parent
        moved = self._grammar.start(self.vocabulary)
        for token in reversed(tokens):
            following = moved._take(token)
            if following is None:
                raise AssertionError("a state that was reached before is out of reach")
            moved = following
        moved._engine.parser.make_room()
        return moved

    def __repr__(self) -> str:
        return f"GrammarState(accepting={self.is_accepting}, finished={self.is_finished})"
