"""The regular forms of English words."""

from __future__ import annotations

_VOWELS = "aeiou"


def inflections(word: str) -> set[str]:
    """A word with its regular plural, past and -ing forms.

    Spelling rules only: a form that no dictionary has may be among them, irregular ones are not.

    Example:
        >>> sorted(inflections("stop"))
        ['stop', 'stopped', 'stopping', 'stops']
    """
    lower = word.lower()
    if not lower[-1:].isalpha():
        return {word}
    if lower.endswith("e"):
        return {word, word + "s", word + "d", word[:-1] + "ing"}
    if lower.endswith("y") and lower[-2:-1] not in _VOWELS:
        return {word, word[:-1] + "ies", word[:-1] + "ied", word + "ing"}
    stem = word + word[-1] if _doubles(lower) else word
    ending = "es" if lower.endswith(("s", "x", "z", "ch", "sh", "o")) else "s"
    return {word, word + ending, stem + "ed", stem + "ing"}


def _doubles(word: str) -> bool:
    """Whether a short word's last consonant is doubled, as in "stopped"."""
    vowels = sum(letter in _VOWELS for letter in word)
    return (
        len(word) >= 3
        and vowels == 1
        and word[-1] not in _VOWELS + "wxy"
        and word[-2] in _VOWELS
        and word[-3] not in _VOWELS
    )
