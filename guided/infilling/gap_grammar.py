"""A grammar asked about a text with holes of any length."""

from __future__ import annotations

import re
from collections.abc import Sequence

from guided.diffusion.constraint import contradiction
from guided.errors import VocabularyError
from guided.grammars.canvas import GAP, Canvas, Verdict
from guided.grammars.canvas.slots import Slot
from guided.grammars.grammar import Grammar
from guided.grammars.vocabulary import Vocabulary
from guided.infilling.marked_text import MarkedText


class GapGrammar:
    """What a grammar says about fixed pieces with something between them."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, marked: MarkedText) -> None:
        self.grammar, self.vocabulary, self.marked = grammar, vocabulary, marked

    def verdict(self, fillings: Sequence[bytes], begun: bytes | None = None) -> Verdict:
        """Whether the text can be completed, with the first holes filled.

        Args:
            begun: what the next hole begins with; None: it is as open as those after it.
        """
        try:
            return self._canvas(fillings, begun).verdict
        except VocabularyError:
            # Bytes that no token spells by itself stand in no text.
            return Verdict.NO

    def contradiction(self, fillings: Sequence[bytes]) -> str:
        """Which fixed text cannot be, to be added to a message; nothing where it is not known."""
        try:
            return contradiction(self._canvas(fillings, None))
        except VocabularyError as error:
            return f"; {error}"

    def witness(self, fillings: Sequence[bytes], begun: bytes) -> bytes | None:
        """Something that fills the next hole so that the text can be completed; None: not found.

        It begins with `begun`.
        """
        found = self._canvas(fillings, begun).completion()
        if found is None:
            return None
        pieces = [piece.encode() for piece in self.marked.pieces[len(fillings) + 1 :]]
        before = self.marked.before(fillings)
        pattern = b"".join(b"(.*?)" + re.escape(piece) for piece in pieces)
        match = re.fullmatch(pattern, found.data[len(before) :], re.DOTALL)
        return match[1] if match is not None else None

    def _canvas(self, fillings: Sequence[bytes], begun: bytes | None) -> Canvas:
        pieces = [piece.encode() for piece in self.marked.pieces]
        text = self.marked.before(fillings) + (begun or b"")
        slots: list[Slot] = list(self.vocabulary.encode(text))
        for piece in pieces[len(fillings) + 1 :]:
            slots += [GAP, *self.vocabulary.encode(piece)]
        return self.grammar.canvas(self.vocabulary, slots)
