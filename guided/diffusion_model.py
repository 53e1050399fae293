"""A masked-diffusion language model and its tokenizer, ready for guided decoding."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from guided.decoding.network import Network
from guided.diffusion.adapter import DiffusionAdapter
from guided.errors import InputError, ModelError
from guided.grammars.vocabulary import Vocabulary
from guided.model import Model


class DiffusionModel(Model):
    """A model that fills masks in any order: `generate`, `run` and `infill` take it like any other.

    What needs a law of the next token (streams, searches, rewards, Hugging Face's `generate`)
    refuses it.

    Args:
        model: a Hugging Face model, or a `guided.diffusion.DiffusionAdapter` of one.
        tokenizer: its Hugging Face tokenizer; may be None where a `vocabulary` is given.
        vocabulary: what every token spells; taken from the tokenizer if not given.
        generation_config: its own settings of decoding (`max_new_tokens`, temperature); those of
            the Hugging Face model if not given.
        conventions: further arguments of `DiffusionAdapter`, for models that are not recognised.

    Raises:
        ModelError: a causal model, nothing that says which token is the mask.
        VocabularyError: a tokenizer without byte mapping, logits narrower than the vocabulary.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        vocabulary: Vocabulary | None = None,
        generation_config: Any = None,
        **conventions: Any,
    ) -> None:
        if isinstance(model, DiffusionAdapter):
            if conventions:
                raise InputError(f"{', '.join(conventions)}: the adapter already says that")
            adapter, tokenizer = model, model.tokenizer if tokenizer is None else tokenizer
        else:
            adapter = DiffusionAdapter(model, tokenizer, **conventions)
        if tokenizer is None and vocabulary is None:
            raise InputError("a model needs a tokenizer, or a vocabulary")
        self.adapter = adapter
        self.hf_model = adapter.model
        self.tokenizer = tokenizer
        self._generation_config = generation_config
        self.vocabulary = vocabulary or Vocabulary.from_tokenizer(
            tokenizer, adapter.width, sorted(adapter.stop_ids)
        )

    @property
    def network(self) -> Network:  # type: ignore[override]
        """Never there: raises ModelError."""
        raise ModelError(
            f"{type(self.hf_model).__name__} is a masked-diffusion model: it fills a canvas and has"
            " no law of the next token. guided.generate, run and infill take it; for streams,"
            " searches and rewards load a causal model"
        )

    @property
    def device(self) -> Any:
        """Where the model's inputs belong."""
        return self.adapter.device

    @cached_property
    def context_length(self) -> int | None:
        """Most positions, prompt included; None where nothing says."""
        return self.adapter.max_positions

    @property
    def generation_config(self) -> Any:
        """Its own settings of decoding (None: it has none)."""
        own = getattr(self.hf_model, "generation_config", None)
        return own if self._generation_config is None else self._generation_config

    def __repr__(self) -> str:
        name = type(self.hf_model).__name__
        return f"DiffusionModel({name}, {self.adapter.family.name}, {self.vocabulary!r})"
