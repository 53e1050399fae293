"""The text of a branch as prompt lookup reads it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guided.kernels.copy_lookup import SOURCE

#: Tokens that there is room for beyond those known.
_ROOM = 64

Tokens = NDArray[np.int32]


class CopyText:
    """Prompt and tokens of a branch, and which copy is under way.

    Args:
        prompt: comes first.
        bare: for every token the one that it is compared as; None: itself.

    Attributes:
        state: where the copy at hand goes on, how long it has been, and how many tokens it has
            been followed through.
    """

    def __init__(self, prompt: Sequence[int], bare: Tokens | None) -> None:
        self.prompt = self.count = len(prompt)
        self._bare = bare
        self._text = np.empty(self.count + _ROOM, np.int32)
        self._text[: self.count] = prompt
        self._said = self._text if bare is None else np.empty_like(self._text)
        if bare is not None:
            self._said[: self.count] = bare[self._text[: self.count]]
        self.state = np.zeros(3, np.int64)
        self.state[SOURCE] = -1

    @property
    def arrays(self) -> tuple[Tokens, Tokens]:
        """The tokens as they are compared, and as they are copied."""
        return self._said[: self.count], self._text[: self.count]

    def copy(self) -> CopyText:
        """A text that goes on from here by itself."""
        twin = CopyText((), self._bare)
        twin.prompt, twin.count, twin.state = self.prompt, self.count, self.state.copy()
        twin._text = self._text.copy()
        twin._said = twin._text if self._bare is None else self._said.copy()
        return twin

    def extend(self, tokens: Sequence[int]) -> None:
        """Adds new tokens at the end."""
        begin, self.count = self.count, self.count + len(tokens)
        if self.count > len(self._text):
            self._text = np.pad(self._text, (0, self.count))
            self._said = self._text if self._bare is None else np.pad(self._said, (0, self.count))
        # One by one: there are few, and arrays take longer to be made of them.
        for at, token in enumerate(tokens, begin):
            self._text[at] = token
            if self._bare is not None:
                self._said[at] = self._bare[token]
