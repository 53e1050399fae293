"""Where a segment ends: a delimiter, punctuation, a number of tokens, the end of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from guided.controls.token_index import token_index
from guided.decoding import Branch
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary
from guided.search.effects import Until


class Segmenter(Protocol):
    """Says where segments end."""

    def until(self, vocabulary: Vocabulary, starts: dict[int, int]) -> Until:
        """Whether a branch has come to the end of its segment.

        Args:
            starts: how many tokens each branch had where its segment begins, by `id(branch)`.
        """
        ...


class _Ends(dict[int, bool]):
    """Whether a text may end inside of each token, found out when it is asked for."""

    def __init__(self, texts: Sequence[bytes], wanted: bytes) -> None:
        self._texts, self._wanted = texts, wanted
        self._rests = tuple(wanted[at:] for at in range(1, len(wanted)))

    def __missing__(self, token: int) -> bool:
        text = self._texts[token]
        found = self[token] = self._wanted in text or text.startswith(self._rests)
        return found


_ENDS: WeakKeyDictionary[Vocabulary, dict[bytes, _Ends]] = WeakKeyDictionary()


def _ends(vocabulary: Vocabulary, wanted: bytes) -> _Ends:
    known = _ENDS.setdefault(vocabulary, {})
    if wanted not in known:
        known[wanted] = _Ends(token_index(vocabulary).texts, wanted)
    return known[wanted]


@dataclass(frozen=True, slots=True)
class Delimiter:
    """A segment ends with the token that completes `text`, or after `most` tokens."""

    text: str = "\n\n"
    most: int = 1024

    def __post_init__(self) -> None:
        if not self.text:
            raise InputError("a delimiter needs at least one character")
        _check_most(self.most)

    def until(self, vocabulary: Vocabulary, starts: dict[int, int]) -> Until:
        texts, wanted, most = token_index(vocabulary).texts, self.text.encode(), self.most
        ends = _ends(vocabulary, wanted)

        def ended(branch: Branch) -> bool:
            tokens, start = branch.tokens, starts[id(branch)]
            count = len(tokens) - start
            if count >= most:
                return True
            # Most tokens cannot complete it, whatever stands before them.
            if count == 0 or not ends[tokens[-1]]:
                return False
            # The delimiter may span tokens, and may end inside of the last one.
            own = tokens[start:]
            tail, last = b"", len(texts[own[-1]])
            for token in reversed(own):
                tail = texts[token] + tail
                if len(tail) >= last + len(wanted) - 1:
                    break
            return wanted in tail[max(0, len(tail) - last - len(wanted) + 1) :]

        return ended


@dataclass(frozen=True, slots=True)
class Tokens:
    """A segment has `count` tokens."""

    count: int

    def __post_init__(self) -> None:
        _check_most(self.count)

    def until(self, vocabulary: Vocabulary, starts: dict[int, int]) -> Until:
        return lambda branch: len(branch.tokens) - starts[id(branch)] >= self.count


@dataclass(frozen=True, slots=True)
class Punctuation:
    """A segment ends with a token that is (or, with `at_end`, ends with) one of `marks`.

    The default marks are those of Cautious Next Token Prediction (arXiv 2507.03038).
    """

    marks: Sequence[str] = (".", ",", "\n", "?", "!", ":", ";", ")", "]", "}")
    most: int = 128
    at_end: bool = False

    def __post_init__(self) -> None:
        if not self.marks or not all(self.marks):
            raise InputError("punctuation needs marks of at least one character each")
        _check_most(self.most)

    def until(self, vocabulary: Vocabulary, starts: dict[int, int]) -> Until:
        texts, marks = token_index(vocabulary).texts, tuple(m.encode() for m in self.marks)

        def ended(branch: Branch) -> bool:
            count = len(branch.tokens) - starts[id(branch)]
            if count >= self.most:
                return True
            last = texts[branch.tokens[-1]]
            return count > 0 and (
                last.endswith(marks) if self.at_end else last.strip(b" ") in marks
            )

        return ended


def _check_most(most: int) -> None:
    if most < 1:
        raise InputError(f"a segment has at least one token, not {most}")
