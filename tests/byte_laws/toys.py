"""Toy tokenizers and models whose every text can be enumerated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from guided.byte_laws import END
from guided.decoding.rng import fold
from guided.model import Model
from guided.testing.prefix_model import Prefix, PrefixConfig, PrefixModel
from guided.testing.table_model import TableModel

Texts = Mapping[bytes, float]


def bpe(symbols: str, merges: Sequence[str], pattern: str | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; `<eos>` is token 0, then the symbols, then the merges' results.

    Symbols and merges ("a b") are in the alphabet of byte-level tokenizers, where Ġ is a space.
    """
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    texts = ["<eos>", *symbols, *dict.fromkeys(left + right for left, right in pairs)]
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(texts)}, pairs))
    parts = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    if pattern is not None:
        parts.insert(0, pre_tokenizers.Split(Regex(pattern), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def encode(tokenizer: PreTrainedTokenizerFast, data: bytes) -> tuple[int, ...] | None:
    """The tokens of a text; None where the bytes are none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return tuple(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def table(tokenizer: PreTrainedTokenizerFast, seed: int = 0, horizon: int | None = None) -> Model:
    """A table model over a tokenizer: logits are hashes of the prefix."""
    return Model(TableModel(len(tokenizer), seed, horizon=horizon), tokenizer)


class SourceModel(PrefixModel):
    """The token model that a law of texts makes through a tokenizer: it says what is canonical."""

    def __init__(self, texts: Texts, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(PrefixConfig(vocab_size=len(tokenizer), eos_token_id=0))
        self.mass: dict[Prefix, float] = {}
        for text, probability in texts.items():
            tokens = (0, *(encode(tokenizer, text) or ()), 0)
            for end in range(1, len(tokens) + 1):
                self.mass[tokens[:end]] = self.mass.get(tokens[:end], 0.0) + probability

    def law(self, prefix: Prefix) -> Tensor:
        mass = [self.mass.get((*prefix, t), 0.0) for t in range(self.config.vocab_size)]
        if not sum(mass):
            return torch.zeros(self.config.vocab_size, dtype=torch.float64)
        return torch.tensor(mass, dtype=torch.float64).log()


def texts_over(letters: str, longest: int, seed: int = 0) -> dict[bytes, float]:
    """A law over all texts of at most `longest` letters, with hashed weights."""
    texts = [
        "".join(some).encode() for n in range(longest + 1) for some in product(letters, repeat=n)
    ]
    weights = [0.05 + (fold((seed, *text)) >> 11) * 2.0**-53 for text in texts]
    return {text: weight / sum(weights) for text, weight in zip(texts, weights, strict=True)}


def next_law(texts: Texts, before: bytes) -> list[float]:
    """The probabilities `[257]` of the next byte, and of the end, under a law of texts."""
    found = [0.0] * 257
    for text, probability in texts.items():
        if text.startswith(before):
            found[END if text == before else text[len(before)]] += probability
    total = sum(found)
    return [one / total for one in found]


class Brute:
    """All canonical beginnings of a toy, by encoding; and their probabilities under a model.

    Args:
        futures: texts that may follow a beginning; the empty one is always tried.
    """

    def __init__(self, model: Model, futures: Sequence[bytes] = ()) -> None:
        self.model = model
        self.futures = [b"", *futures]
        self.law = cache(self._law)
        self.is_begun = cache(self._is_begun)
        self.ids = [t for t, data in enumerate(model.vocabulary.tokens) if data and t != 0]

    def spell(self, tokens: Prefix) -> bytes:
        return b"".join(self.model.vocabulary.tokens[t] or b"" for t in tokens)

    def _is_begun(self, tokens: Prefix) -> bool:
        data = self.spell(tokens)
        encoded = (encode(self.model.tokenizer, data + future) for future in self.futures)
        return any(one is not None and one[: len(tokens)] == tokens for one in encoded)

    def is_canonical(self, tokens: Prefix) -> bool:
        return encode(self.model.tokenizer, self.spell(tokens)) == tokens

    def _law(self, tokens: Prefix, normalize: str) -> dict[int, float]:
        """What goes on canonically with its probability; token 0 ends."""
        row = self.model.hf_model.law((0, *tokens)).softmax(-1).tolist()
        found = {t: row[t] for t in self.ids if self.is_begun((*tokens, t))}
        if self.is_canonical(tokens):
            found[0] = row[0]
        total = sum(found.values()) if normalize == "tokens" else 1.0
        return {t: p / total for t, p in found.items()}

    def covers(self, data: bytes, normalize: str) -> Iterator[tuple[Prefix, float]]:
        """The token sequences that cover some bytes, the last token needed, and their mass."""
        todo: list[tuple[Prefix, float]] = [((), 1.0)]
        while todo:
            tokens, mass = todo.pop()
            spelled = self.spell(tokens)
            if len(spelled) >= len(data):
                yield tokens, mass
                continue
            for token, probability in self.law(tokens, normalize).items():
                longer = spelled + self.spell((token,))
                if token and (longer.startswith(data) or data.startswith(longer)):
                    todo.append(((*tokens, token), mass * probability))

    def mass(self, data: bytes, normalize: str = "tokens", *, ends: bool = False) -> float:
        """The probability that the text begins with these bytes, or is them."""
        return sum(
            mass * (self.law(tokens, normalize).get(0, 0.0) if ends else 1.0)
            for tokens, mass in self.covers(data, normalize)
            if not ends or self.spell(tokens) == data
        )
