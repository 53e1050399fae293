"""Words and characters that texts are compared by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from guided.errors import InputError

_WORD = re.compile(r"[^\W_]+")


def words_of(
    text: str, limit: int | None = None, stem: Callable[[str], str] | None = None
) -> list[str]:
    """The words of a text, case folded: runs of letters and digits of any script.

    Args:
        limit: only the first so many; CopyBench compares 50.
        stem: applied to every word, for example `nltk.stem.PorterStemmer().stem`.

    Raises:
        InputError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}: at least one word has to be compared")
    found = [word.casefold() for word in _WORD.findall(text)[:limit]]
    return found if stem is None else [stem(word) for word in found]


def as_characters(words: Sequence[str]) -> str:
    """The words with one space between them."""
    return " ".join(words)
