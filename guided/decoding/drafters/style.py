"""The layout that a text has used so far, as a value that is found again."""

from __future__ import annotations

from collections.abc import Hashable

from guided.grammars.spacing import Spacing

#: Styles of one family, and texts after one style, that are remembered.
_STYLES, _TEXTS = 1 << 12, 1 << 12
_QUOTE = b'"'


class Style:
    """White space used so far, and where the text stands. The same after texts that agree on both.

    Attributes:
        spacing: not to be changed.
        in_string: whether the text stands within a string.
    """

    __slots__ = ("_after", "_family", "in_string", "spacing")

    def __init__(self, spacing: Spacing, family: dict[Hashable, Style]) -> None:
        self.spacing = spacing
        self.in_string = spacing.in_string
        self._family = family
        self._after: dict[bytes, Style] = {}

    @classmethod
    def first(cls) -> Style:
        """That of an empty text, and the first of a family."""
        return cls(Spacing(), {})

    @property
    def is_escaped(self) -> bool:
        """Whether the next byte is part of an escape sequence."""
        return self.in_string and self.after(_QUOTE).in_string

    def after(self, data: bytes) -> Style:
        """The style once `data` has been read."""
        found = self._after.get(data)
        if found is not None:
            return found
        spacing = self.spacing.after(data)
        if len(self._after) >= _TEXTS:
            self._after.clear()
        if spacing is self.spacing:
            self._after[data] = self
            return self
        family = self._family
        if len(family) >= _STYLES:
            family.clear()
        found = self._after[data] = family.setdefault(spacing.key, Style(spacing, family))
        return found
