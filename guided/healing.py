"""Healing: a prompt that ends inside a token does not cripple the first one generated.

A text's last token may be the beginning of a longer token that the model would have chosen, had
it seen more. So the end is taken back and generated again, under the constraint that its bytes
come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from guided.controls.token_index import token_index
from guided.grammars.vocabulary import Vocabulary


class Healed(NamedTuple):
    """The tokens that stay, and the bytes of those that were taken back."""

    tokens: list[int]
    prefix: bytes


def heal(tokens: Sequence[int], vocabulary: Vocabulary) -> Healed:
    """The prompt without the end that may lie inside a longer token.

    Nothing is taken back where no token begins with the end and is longer; special tokens and the
    first token always stay.
    """
    index = token_index(vocabulary)
    end, cut, prefix = b"", len(tokens), b""
    for at in range(len(tokens) - 1, 0, -1):
        data = index.texts[tokens[at]]
        if not data or len(data) + len(end) > vocabulary.longest:
            break
        end = data + end
        if index.extends(end):
            cut, prefix = at, end
    return Healed(list(tokens[:cut]), prefix)
