"""Prompts for models trained to fill in the middle: their special tokens, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MiddleTokens:
    """The tokens around the text before a hole, the text behind it, and the answer.

    Attributes:
        prefix, suffix, middle: tokens in front of the text before, the text behind, the answer.
        ends: further tokens that end an answer.
    """

    prefix: int
    suffix: int
    middle: int
    ends: frozenset[int] = frozenset()

    def prompt(self, start: list[int], before: list[int], behind: list[int]) -> list[int]:
        """What the model reads: `start` is what its tokenizer puts in front of every text."""
        return [*start, self.prefix, *before, self.suffix, *behind, self.middle]


#: Names of the three tokens, and of those that end an answer, as released.
LAYOUTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    # StarCoder, StarCoder2, SantaCoder's successors.
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ("<file_sep>", "<|endoftext|>")),
    # Qwen2.5-Coder, CodeGemma.
    (
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        ("<|file_separator|>", "<|file_sep|>", "<|fim_pad|>", "<|endoftext|>"),
    ),
    # DeepSeek-Coder: begin, hole, end.
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", ("<｜end▁of▁sentence｜>",)),
    # CodeLlama.
    ("▁<PRE>", "▁<SUF>", "▁<MID>", ("▁<EOT>",)),
)


def middle_tokens(tokenizer: Any) -> MiddleTokens | None:
    """The tokens of a tokenizer that has them; None for any other."""
    get = getattr(tokenizer, "get_vocab", None)
    vocabulary: Mapping[str, int] = {} if get is None else get()
    for prefix, suffix, middle, ends in LAYOUTS:
        if all(name in vocabulary for name in (prefix, suffix, middle)):
            found = frozenset(vocabulary[name] for name in ends if name in vocabulary)
            return MiddleTokens(vocabulary[prefix], vocabulary[suffix], vocabulary[middle], found)
    return None
