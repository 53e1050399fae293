"""Which words a model may see in training, decided by a hash of the word."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

WORDS = Path(__file__).parent / "words"
HELD_OUT_SHARE = 8  # one word in so many
SPLITS = ("train", "held")


def is_held_out(word: str) -> bool:
    """True for words that are kept for the tests."""
    return zlib.crc32(word.lower().encode()) % HELD_OUT_SHARE == 0


def in_split(word: str, split: str) -> bool:
    """True if `word` belongs to `split`, one of `SPLITS`."""
    return is_held_out(word) == (split == "held")


@cache
def words(name: str, split: str) -> tuple[str, ...]:
    """The part of the list `words/<name>.txt` that belongs to `split`."""
    text = (WORDS / f"{name}.txt").read_text(encoding="utf-8")
    listed = [word.strip() for word in text.replace("\n", " ").split(",")]
    return tuple(word for word in dict.fromkeys(listed) if word and in_split(word, split))
