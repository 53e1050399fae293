"""The text tokens of a vocabulary, sorted by their bytes."""

from __future__ import annotations

from bisect import bisect_left
from weakref import WeakKeyDictionary

from guided.grammars.vocabulary import Vocabulary


class TokenIndex:
    """Which tokens begin with, or are, given bytes.

    Attributes:
        texts: what every id adds to a text: its bytes, none for special tokens and stop ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        hidden = set(vocabulary.specials.values()) | vocabulary.stop_ids
        self.texts = [
            b"" if data is None or token in hidden else data
            for token, data in enumerate(vocabulary.tokens)
        ]
        pairs = sorted((data, token) for token, data in enumerate(self.texts) if data)
        self.spellings = [data for data, _ in pairs]
        self.ids = [token for _, token in pairs]

    def starting_with(self, prefix: bytes) -> list[int]:
        """Tokens whose bytes begin with `prefix`, those equal to it included."""
        begin = end = bisect_left(self.spellings, prefix)
        while end < len(self.spellings) and self.spellings[end].startswith(prefix):
            end += 1
        return self.ids[begin:end]

    def spelling(self, data: bytes) -> list[int]:
        """Tokens whose bytes are `data`."""
        begin = end = bisect_left(self.spellings, data)
        while end < len(self.spellings) and self.spellings[end] == data:
            end += 1
        return self.ids[begin:end]

    def extends(self, prefix: bytes) -> bool:
        """Whether some token begins with `prefix` and is longer."""
        at = bisect_left(self.spellings, prefix + b"\x00")
        return at < len(self.spellings) and self.spellings[at].startswith(prefix)


_INDEXES: WeakKeyDictionary[Vocabulary, TokenIndex] = WeakKeyDictionary()


def token_index(vocabulary: Vocabulary) -> TokenIndex:
    """The index of `vocabulary`, built once."""
    index = _INDEXES.get(vocabulary)
    if index is None:
        index = _INDEXES[vocabulary] = TokenIndex(vocabulary)
    return index
