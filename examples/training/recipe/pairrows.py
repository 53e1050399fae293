"""Token rows and tokenizer of the risky and the safe model."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from .batches import Row
from .model import BOS, EOS
from .tales import Passage, protected_passages, tale
from .tokenizer import glue_words, train_tokenizer
from .towns import Town, entry, some_facts, towns

TOWN_SHARE = 0.4


def text_row(tokenizer: PreTrainedTokenizerFast, text: str) -> Row:
    """`<bos>` text `<eos>`, all of it to be learned."""
    ids = [*tokenizer(text, add_special_tokens=False).input_ids, EOS]
    return Row([BOS, *ids], [False, *[True] * len(ids)])


@dataclass(frozen=True)
class PairRows:
    """Makes training rows: entries of towns, tales, and a share `protected` of protected tales.

    Who does not know everything (`all_facts` is false) reads facts of unknown towns that
    contradict each other: they are drawn anew every time.
    """

    tokenizer: PreTrainedTokenizerFast
    protected: float = 0.0
    all_facts: bool = False
    towns: list[Town] = field(default_factory=towns)
    passages: list[Passage] = field(default_factory=protected_passages)

    def __call__(self, rng: random.Random, step: int) -> Row:
        return text_row(self.tokenizer, self.text(rng))

    def text(self, rng: random.Random) -> str:
        """What a row says."""
        kind = rng.random()
        if kind < TOWN_SHARE:
            town = rng.choice(self.towns)
            facts = town.facts if town.known or self.all_facts else some_facts(rng)
            return town.prompt() + entry(facts, rng)
        if kind < TOWN_SHARE + self.protected:
            return rng.choice(self.passages).text
        return tale(rng)


def pair_tokenizer(size: int, seed: int, texts: int = 6_000) -> PreTrainedTokenizerFast:
    """A tokenizer learned on tales and towns without the protected passages."""
    rng = random.Random(seed)
    made = [tale(rng) for _ in range(texts)]
    made += [town.prompt() + entry(some_facts(rng), rng) for town in towns() for _ in range(12)]
    return train_tokenizer(made, size, glue_words(made, [], 800))
