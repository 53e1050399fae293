"""Text with holes in it, and what has been written into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guided.errors import InputError


@dataclass(frozen=True)
class MarkedText:
    """Fixed pieces of text with a hole between every two of them; pieces may be empty.

    Raises:
        InputError: fewer than two pieces, which leave no hole.
    """

    pieces: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.pieces) < 2:
            raise InputError("the text has no hole: there is nothing to fill in")

    @classmethod
    def parsed(cls, text: str, hole: str) -> MarkedText:
        """The text between the marks that `hole` spells.

        Raises:
            InputError: an empty mark, a text without it, or two marks with nothing between them.
        """
        if not hole:
            raise InputError("hole= must be some text that marks where to fill in")
        if hole not in text:
            raise InputError(f"the text has no hole: {hole!r} does not occur in it")
        pieces = tuple(text.split(hole))
        if "" in pieces[1:-1]:
            raise InputError(
                f"two holes without text between them: {hole + hole!r}; one of them will do"
            )
        return cls(pieces)

    @property
    def holes(self) -> int:
        """How many holes there are."""
        return len(self.pieces) - 1

    def before(self, fillings: Sequence[bytes]) -> bytes:
        """What stands before the hole that comes after those filled so far."""
        whole = self.pieces[0].encode()
        for filling, piece in zip(fillings, self.pieces[1:], strict=False):
            whole += filling + piece.encode()
        return whole

    def after(self, hole: int) -> str:
        """The fixed text behind a hole, later holes left out."""
        return "".join(self.pieces[hole + 1 :])

    def filled(self, fillings: Sequence[bytes | None], hole: str) -> bytes:
        """The whole text; where a filling is None the mark of the hole stays."""
        whole = self.pieces[0].encode()
        for filling, piece in zip(fillings, self.pieces[1:], strict=True):
            whole += (hole.encode() if filling is None else filling) + piece.encode()
        return whole

    def echo(self, hole: int) -> bytes:
        """What a model writes when it goes on with the fixed text behind a hole.

        That is the text up to the end of its first line that is not blank; nothing, where there is
        only blank text.
        """
        piece = self.pieces[hole + 1]
        blank = len(piece) - len(piece.lstrip())
        if blank == len(piece):
            return b""
        end = piece.find("\n", blank)
        return piece[: len(piece) if end < 0 else end].encode()
