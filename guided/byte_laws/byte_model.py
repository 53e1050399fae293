"""A language model over bytes: the one that a model over tokens makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch

from guided.byte_laws.byte_law import ByteLaw
from guided.byte_laws.byte_prompts import symbols_of
from guided.byte_laws.byte_stage import ByteStage
from guided.byte_laws.spelling import END, N_SYMBOLS
from guided.byte_laws.token_endings import TokenEndings
from guided.byte_laws.weighing import Normalize
from guided.decoding.abilities import abilities
from guided.decoding.network import Network
from guided.decoding.rig import make_stage
from guided.decoding.stage import Stage
from guided.decoding.trunks import Ledger
from guided.decoding.usage import Usage
from guided.errors import ModelError
from guided.grammars.vocabulary import Vocabulary
from guided.model import Message, Model, Prompt

#: Every byte by itself, and the end of a text.
BYTES = Vocabulary.from_tokens([*(bytes([byte]) for byte in range(END)), None], stop_ids=[END])


class ByteNetwork(Network):
    """Reads bytes where the network of its law reads tokens."""

    def __init__(self, law: ByteLaw) -> None:
        super().__init__(law.model.hf_model, N_SYMBOLS)
        self.law = law

    @property
    def device(self) -> torch.device:
        """Where laws of bytes are, whatever the model of tokens runs on: they are made there."""
        return torch.device("cpu")

    def own_stage(self, usage: Usage, ledger: Ledger) -> ByteStage:
        """A stage of bytes on a stage of the tokens.

        Raises:
            ModelError: the model takes no trees of tokens.
        """
        network = self.law.model.network
        inner = make_stage(network, usage, ledger)
        if not isinstance(inner, Stage):
            raise ModelError(
                "a model over bytes reads several token sequences at once, which this one does not "
                f"take: {abilities(network).reason}. guided.ByteLaw(model) has its laws"
            )
        return ByteStage(self.law, inner)


class ByteModel(Model):
    """A model as one over bytes: its "tokens" are the 256 bytes and, 256, the end of a text.

    All that takes a `Model` takes it: grammars, controls, searches, drafts; `max_new_tokens` counts
    bytes then. The law of the next byte is that of `ByteLaw`. A prompt is read by the model's own
    tokenizer. Of its generation config only the temperature and whether to sample are kept, since
    the rest is about tokens.

    Args:
        model: with a byte-pair encoder as tokenizer; see `ByteLaw`.
        normalize: see `ByteLaw`.

    Raises:
        ModelError: no `guided.Model`, or one of bytes already.
        VocabularyError: a tokenizer that byte laws do not support.

    Example:
        >>> import guided
        >>> model = guided.ByteModel(guided.load("examples/models/tiny-lm"))
        >>> guided.generate(model, "Anna is 3", regex="[0-9]")
        '4'
    """

    def __init__(self, model: Model, *, normalize: Normalize = "tokens") -> None:
        if not isinstance(model, Model) or isinstance(model, ByteModel):
            raise ModelError(f"{model!r} is no guided.Model over tokens")
        self.tokens = model
        self.law = ByteLaw(model, normalize=normalize)
        self.hf_model = model.hf_model
        self.tokenizer = None
        self.vocabulary = BYTES
        self.network = ByteNetwork(self.law)

    @cached_property
    def context_length(self) -> None:
        """None: what can be addressed is a number of tokens, not of bytes."""
        return None

    @property
    def generation_config(self) -> Any:
        """What of the model's generation config holds for bytes."""
        config = self.tokens.generation_config
        names = ("do_sample", "temperature")
        return SimpleNamespace(**{name: getattr(config, name, None) for name in names})

    @cached_property
    def drafters(self) -> Sequence[Any]:
        """The drafter that knows the model's law of tokens."""
        return (TokenEndings(),)

    def encode(self, prompt: Prompt, template: Mapping[str, Any] | None = None) -> list[int]:
        """The symbols that stand for a prompt: its bytes and a mark."""
        # What cannot be rendered is refused here.
        if not isinstance(prompt, str):
            self.tokens.render(prompt, template)
        return symbols_of(prompt, template)

    def render(self, messages: Sequence[Message], template: Mapping[str, Any] | None = None) -> str:
        """Chat messages as the text that the model reads."""
        return self.tokens.render(messages, template)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of bytes; the end, and a prompt's mark, spell nothing."""
        return BYTES.decode(tokens).decode(errors="replace")

    def __repr__(self) -> str:
        return f"ByteModel({self.tokens!r})"


def over_bytes(model: Model, normalize: Normalize = "tokens") -> ByteModel:
    """The model over bytes that a model makes; the same one at every call.

    Raises:
        ModelError, VocabularyError: see `ByteModel`.
    """
    if isinstance(model, ByteModel):
        return model
    if not isinstance(model, Model):
        raise ModelError(f"{model!r} is no guided.Model (see guided.load)")
    # It refers to the model, so that a weak dictionary over models would keep both for ever.
    known: dict[Normalize, ByteModel] = vars(model).setdefault("_over_bytes", {})
    if normalize not in known:
        known[normalize] = ByteModel(model, normalize=normalize)
    return known[normalize]
