"""Rewards that need no model: required words, limits of length, patterns."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from guided.errors import InputError
from guided.rewards.ensembles import Combinable
from guided.rewards.inflections import inflections
from guided.rewards.protocol import Continuation

if TYPE_CHECKING:
    from guided.model import Prompt

Unit = Literal["words", "characters", "tokens"]


class _Rule(Combinable):
    """Scores each text by itself."""

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[float]:
        """One score for every continuation, from 0 to 1."""
        return [self.of(p, c) for p, c in zip(prompts, continuations, strict=True)]

    @abstractmethod
    def of(self, prompt: Prompt, continuation: Continuation) -> float:
        """The score of one continuation."""


class Keywords(_Rule):
    """The share of required keywords that stand in the text.

    Args:
        words: the keywords (or phrases), or a function that gives those of a prompt.
        ignore_case: whether case does not matter.
        inflections: whether regular English forms count ("cat" is in "cats", "try" in "tried");
            of a phrase its last word is inflected.
        whole_words: whether a keyword must not be a part of a longer word.

    Raises:
        InputError: no keywords, or an empty one.
    """

    def __init__(
        self,
        words: Sequence[str] | Callable[[Prompt], Sequence[str]],
        *,
        ignore_case: bool = True,
        inflections: bool = False,
        whole_words: bool = True,
    ) -> None:
        self.ignore_case, self.inflections = ignore_case, inflections
        self.whole_words = whole_words
        self._words = words if callable(words) else self._compiled(words)

    def _compiled(self, words: Sequence[str]) -> list[tuple[str, re.Pattern[str]]]:
        if isinstance(words, str) or not words or not all(word.strip() for word in words):
            raise InputError(f"keywords must be a non-empty list of words, not {words!r}")
        return [(word, self._pattern(word.strip())) for word in words]

    def _pattern(self, word: str) -> re.Pattern[str]:
        forms = [word]
        if self.inflections:
            before, space, last = word.rpartition(" ")
            forms = [before + space + form for form in inflections(last)]
        either = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        pattern = rf"(?<!\w)(?:{either})(?!\w)" if self.whole_words else f"(?:{either})"
        return re.compile(pattern, re.IGNORECASE if self.ignore_case else 0)

    def missing(self, text: str, prompt: Prompt = "") -> list[str]:
        """The keywords that do not stand in a text."""
        return [word for word, pattern in self._required(prompt) if not pattern.search(text)]

    def of(self, prompt: Prompt, continuation: Continuation) -> float:
        found = [
            pattern.search(continuation.text) is not None for _, pattern in self._required(prompt)
        ]
        return sum(found) / len(found)

    def _required(self, prompt: Prompt) -> list[tuple[str, re.Pattern[str]]]:
        return self._compiled(self._words(prompt)) if callable(self._words) else self._words


class Length(_Rule):
    """1 for a text within limits of length, less the further it is outside (the ratio).

    A text that goes on is not too short yet.

    Args:
        least: of `unit`s.
        most: of `unit`s; None: no limit.
        unit: "words", "characters", or "tokens" of the language model.

    Raises:
        InputError: limits that nothing satisfies, an unknown unit.
    """

    def __init__(self, least: int = 0, most: int | None = None, *, unit: Unit = "words") -> None:
        if least < 0 or (most is not None and most < max(least, 1)):
            raise InputError(f"no text has a length of {least} to {most}")
        if unit not in ("words", "characters", "tokens"):
            raise InputError(f"unit={unit!r} is unknown; give words, characters or tokens")
        self.least, self.most, self.unit = least, most, unit

    def of(self, prompt: Prompt, continuation: Continuation) -> float:
        length = self._length(continuation)
        if length < self.least and continuation.is_complete:
            return length / self.least
        if self.most is not None and length > self.most:
            return self.most / length
        return 1.0

    def _length(self, continuation: Continuation) -> int:
        if self.unit == "tokens":
            return len(continuation.tokens)
        return len(continuation.text.split() if self.unit == "words" else continuation.text)


class Matches(_Rule):
    """1 where a regular expression (Python's) is found in the text, else 0.

    Args:
        pattern: the expression, or a compiled one.
        whole: whether it has to match the whole text.
        absent: the other way round: 1 where it is not found.

    Raises:
        InputError: no regular expression.
    """

    def __init__(
        self, pattern: str | re.Pattern[str], *, whole: bool = False, absent: bool = False
    ) -> None:
        try:
            self.pattern = re.compile(pattern)
        except (re.error, TypeError) as error:
            raise InputError(f"{pattern!r} is no regular expression: {error}") from error
        self.whole, self.absent = whole, absent

    def of(self, prompt: Prompt, continuation: Continuation) -> float:
        find = self.pattern.fullmatch if self.whole else self.pattern.search
        return float((find(continuation.text) is None) == self.absent)
