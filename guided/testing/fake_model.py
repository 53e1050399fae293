"""A scripted model for users' own tests: it says what it is told to, whatever the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from guided.decoding.rng import fold
from guided.grammars.vocabulary import Vocabulary
from guided.model import Model
from guided.testing.prefix_model import Prefix, PrefixConfig, PrefixModel

Script = str | Mapping[str, str]


def byte_tokenizer(texts: Iterable[str] = (), size: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with `<eos>` (id 0), all bytes, and merges learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


class ScriptedModel(PrefixModel):
    """Goes on from the longest end of the prefix that the script begins with."""

    def __init__(self, script: Script, vocabulary: Vocabulary) -> None:
        eos = min(vocabulary.stop_ids)
        super().__init__(PrefixConfig(vocab_size=vocabulary.size, eos_token_id=eos))
        self.script = script
        self.vocabulary = vocabulary

    def law(self, prefix: Prefix) -> Tensor:
        text = self.vocabulary.decode(token for token in prefix if token >= 0)
        rest = self._rest(text)
        noise = [(fold((token, *prefix[-4:])) >> 40) * 2.0**-24 for token in range(64)]
        width = self.vocabulary.size
        logits = torch.tensor(noise, dtype=torch.float64).repeat(width // 64 + 1)[:width]
        # A prompt's last blank may have been taken back to be generated again.
        for blank, liking in ((b"", 20.0), (b" ", 10.0), (b"\n", 10.0)):
            for length in range(min(len(rest), self.vocabulary.longest) + 1):
                token = self.vocabulary.spellings.get(blank + rest[:length])
                if token is not None and logits[token] < liking:
                    logits[token] = liking + length
        if not rest:
            logits[list(self.vocabulary.stop_ids)] = 20.0
        return logits

    def _rest(self, text: bytes) -> bytes:
        script = self._chosen(text)
        for length in range(min(len(script), len(text)), 0, -1):
            if text.endswith(script[:length]):
                return script[length:]
        return script

    def _chosen(self, text: bytes) -> bytes:
        if isinstance(self.script, str):
            return self.script.encode()
        for word, script in self.script.items():
            if word.encode() in text:
                return script.encode()
        return b""


def fake_model(script: Script, tokenizer: Any = None) -> Model:
    """A `guided.Model` that says `script` and stops.

    Args:
        script: the text, or texts by a word of the prompt for which each is said.
        tokenizer: `byte_tokenizer()` if not given.

    Example:
        >>> import guided, guided.testing
        >>> model = guided.testing.fake_model('{"name": "Mira"}')
        >>> guided.generate(model, "Who?", schema={"type": "object"})
        {'name': 'Mira'}
    """
    chosen = tokenizer if tokenizer is not None else byte_tokenizer()
    return Model(ScriptedModel(script, Vocabulary.from_tokenizer(chosen)), chosen)
