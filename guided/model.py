"""A language model and its tokenizer, ready for guided decoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from guided.decoding.network import Network, check_model, context_length, logits_width
from guided.diffusion.families import NATIVE, family_of
from guided.encoding import encode
from guided.errors import InputError, ModelError
from guided.grammars.once import once
from guided.grammars.vocabulary import Vocabulary

Message = Mapping[str, Any]
#: Text, or chat messages for the tokenizer's chat template.
Prompt = str | Sequence[Message]


def is_many(prompt: Any) -> bool:
    """Whether it is a list of prompts; a list of messages is one prompt.

    Raises:
        InputError: neither text, nor messages, nor a list of those.
    """
    if isinstance(prompt, str):
        return False
    if not isinstance(prompt, list | tuple):
        raise InputError(f"a prompt is text, chat messages, or a list of those, not {prompt!r}")
    return not prompt or not isinstance(prompt[0], dict)


def _refuse_diffusion(hf_model: Any) -> None:
    name = type(hf_model).__name__
    family = family_of(getattr(hf_model, "config", None), name)
    # A checkpoint of a masked language model may be loaded as a causal one.
    if family is not None and (family is not NATIVE or name.endswith("ForMaskedLM")):
        raise ModelError(
            f"{name} is a masked-diffusion model ({family.name}): it has no law of the next token;"
            " make a guided.DiffusionModel of it, or let guided.load recognise it"
        )


class Model:
    """A Hugging Face decoder-only language model with its tokenizer. Sets the model to `eval()`.

    Args:
        hf_model: from `AutoModelForCausalLM`, or anything with the same forward.
        tokenizer: its Hugging Face tokenizer; may be None where a `vocabulary` is given.
        vocabulary: what every token spells; taken from the tokenizer if not given.

    Raises:
        ModelError: not a decoder-only language model, or a masked-diffusion one.
        VocabularyError: a tokenizer without byte mapping, logits narrower than the vocabulary.
    """

    def __init__(
        self, hf_model: Any, tokenizer: Any = None, *, vocabulary: Vocabulary | None = None
    ) -> None:
        _refuse_diffusion(hf_model)
        check_model(hf_model)
        if tokenizer is None and vocabulary is None:
            raise InputError("a model needs a tokenizer, or a vocabulary")
        self.hf_model = hf_model.eval() if hasattr(hf_model, "eval") else hf_model
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary or self._vocabulary()
        self.network = Network(hf_model, self.vocabulary.size)

    def _vocabulary(self) -> Vocabulary:
        width = logits_width(self.hf_model)
        return Vocabulary.from_tokenizer(self.tokenizer, width, self._stop_ids(width))

    def _stop_ids(self, width: int | None) -> list[int]:
        config = getattr(self.hf_model, "generation_config", None)
        ids: set[int] = set()
        for source in (config, self.tokenizer):
            eos = getattr(source, "eos_token_id", None)
            ids.update(eos if isinstance(eos, Iterable) else [] if eos is None else [eos])
        return sorted(token for token in ids if width is None or token < width)

    @property
    def device(self) -> torch.device:
        """Where the model's inputs belong."""
        return self.network.device

    @once
    def context_length(self) -> int | None:
        """Most tokens, prompt included, that the model can address; None where it does not say."""
        return context_length(self.hf_model)

    @property
    def generation_config(self) -> Any:
        """The model's own generation config (None: it has none)."""
        return getattr(self.hf_model, "generation_config", None)

    @property
    def drafters(self) -> Sequence[Any]:
        """Drafters that go with this model only."""
        return ()

    def encode(self, prompt: Prompt, template: Mapping[str, Any] | None = None) -> list[int]:
        """The tokens of a prompt, with what the tokenizer or chat template puts around it.

        Args:
            template: further arguments for the chat template.

        Raises:
            InputError: chat messages for a tokenizer without a chat template.
        """
        if not isinstance(prompt, str):
            text = self.render(prompt, template)
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if self.tokenizer is None:
            return self.vocabulary.encode(prompt.encode())
        ids = encode(self.tokenizer, prompt)
        if ids and ids[-1] in self.vocabulary.stop_ids:
            # Some tokenizers end every text with a stop token; a prompt is to be gone on from.
            bare = list(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
            if bare[-1:] != ids[-1:]:
                ids.pop()
        if not ids and (bos := getattr(self.tokenizer, "bos_token_id", None)) is not None:
            ids = [bos]
        return ids

    def render(self, messages: Sequence[Message], template: Mapping[str, Any] | None = None) -> str:
        """Chat messages as the text that the model reads, up to where its answer begins."""
        if self.tokenizer is None or getattr(self.tokenizer, "chat_template", None) is None:
            raise InputError("the tokenizer has no chat template; give the prompt as a string")
        text: str = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, **(template or {})
        )
        return text

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; special tokens spell nothing."""
        return self.vocabulary.decode(tokens).decode(errors="replace")

    def __repr__(self) -> str:
        return f"Model({type(self.hf_model).__name__}, {self.vocabulary!r})"


__all__ = ["Message", "Model", "Prompt", "is_many"]
