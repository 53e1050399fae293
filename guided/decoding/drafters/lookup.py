"""Prompt lookup: what followed the last tokens when they stood before."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from guided.decoding.branch import Branch
from guided.decoding.drafters.copying import CopyText
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import Draft, source_number
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import copy_lookup
from guided.kernels.direct_calls import Direct

_look_up = Direct(copy_lookup.look_up)

#: Nodes from which on a quarter of the draft goes to a second guess.
_FORKED = 8


class Lookup(Drafter):
    """Copies from the prompt and from the branch's own tokens.

    The last n tokens are looked for, the longest n first, the latest place first. A copy that was
    under way goes on after a token that differed (input-guided aggressive decoding, Ge et al.
    2022). No model, no training; right for output that repeats its input: extraction, editing,
    code.

    Args:
        vocabulary: where given, tokens that differ only by a space or quote before them match, so
            that a value after `"` is found in running text.
        n_max: tokens of the longest n-gram that is looked up; longer matches are told apart by
            following them backwards.
        longest: most tokens of one copy.
    """

    name: ClassVar[str] = "lookup"

    def __init__(
        self, vocabulary: Vocabulary | None = None, *, n_max: int = 4, longest: int = 32
    ) -> None:
        if n_max < 1 or longest < 1:
            raise InputError(f"n_max={n_max} and longest={longest} must be at least 1")
        self.n_max = n_max
        self.longest = longest
        self._bare = None if vocabulary is None else np.array(bare_ids(vocabulary), np.int32)
        self.source = source_number(self.name)

    def propose(self, request: Request) -> list[Draft]:
        """A chain, or two where there is room; a tree has no laws."""
        is_forked = not request.keeps_laws
        return [
            self._guess(branch, room, is_forked)
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def fork(self, branch: Branch, child: Branch) -> None:
        text = branch.notes.get(self)
        if text is not None:
            child.notes[self] = text.copy()

    def _guess(self, branch: Branch, room: int, is_forked: bool) -> Draft:
        text = self.text(branch)
        nodes, chances = np.empty((room, 3), np.int64), np.empty(room)
        spare = self.spare(room) if is_forked else 0
        count = _look_up(
            *text.arrays, text.prompt, self.n_max, text.state, spare, self.longest, self.source,
            nodes, chances,
        )  # fmt: skip
        return Draft.of(nodes[:count], chances[:count])

    def spare(self, room: int) -> int:
        """Nodes of a second guess."""
        return room // 4 if room >= _FORKED else 0

    def text(self, branch: Branch) -> CopyText:
        """All that the branch has said so far."""
        text: CopyText | None = branch.notes.get(self)
        if text is None:
            text = branch.notes[self] = CopyText(branch.prompt, self._bare)
        new = branch.tokens[text.count - text.prompt :]
        if new:
            text.extend(new)
        return text


def bare_ids(vocabulary: Vocabulary) -> list[int]:
    """For every token the one that spells it without a space, quote or bracket before it.

    A token is its own where there is no such token.
    """
    spellings = vocabulary.spellings
    bare = list(range(vocabulary.size))
    for token, data in enumerate(vocabulary.tokens):
        if data is not None and (rest := data.lstrip(b" \n\"'([{")):
            bare[token] = spellings.get(rest, token)
    return bare
