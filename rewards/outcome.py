"""Outcome reward models: one score for a whole answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from guided.decoding.attention import without_plans
from guided.decoding.network import context_length
from guided.errors import InputError, RewardError
from guided.model import Prompt
from guided.rewards.ensembles import Combinable
from guided.rewards.loading import check_given, load_model, load_tokenizer, prepared
from guided.rewards.prompts import conversation
from guided.rewards.protocol import Continuation, RewardUsage

#: Makes the text that the model reads of a prompt and a continuation.
Template = Callable[[Prompt, str], str]


class OutcomeModel(Combinable):
    """A sequence classifier as a reward, on the chat of prompt and answer.

    With one label its score is that label's raw output: unbounded, and comparable only between
    answers to the same prompt. With several, `label` says whose probability is the score.

    Args:
        path_or_model: a folder, a Hub id, or a Hugging Face model (then with `tokenizer`).
        label: name or number of the label; needed where there are several.
        template: makes the text that is read; by the tokenizer's chat template, with the answer
            as the assistant's turn, if not given.
        batch_size: most rows in one pass.
        hf_kwargs: for `from_pretrained`.

    Attributes:
        usage: passes, tokens and time.
        last_tokens: positions computed for every continuation of the last call.

    Raises:
        InputError: several labels and none named, an unknown one, no chat template.
        ModelError: it cannot be loaded, lacks weights, or its rotary buffers cannot be repaired.
    """

    def __init__(
        self,
        path_or_model: Any,
        *,
        tokenizer: Any = None,
        label: str | int | None = None,
        template: Template | None = None,
        batch_size: int = 16,
        **hf_kwargs: Any,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        if isinstance(path_or_model, str | os.PathLike):
            path = os.fspath(path_or_model)
            tokenizer = tokenizer or load_tokenizer(path, **hf_kwargs)
            path_or_model = load_model(path, "sequence_classification", **hf_kwargs)
        else:
            check_given(path_or_model, tokenizer, hf_kwargs)
        if template is None and getattr(tokenizer, "chat_template", None) is None:
            raise InputError(
                "the tokenizer has no chat template; give template=, a function of prompt and "
                "answer that makes the text which the model reads"
            )
        self.hf_model = prepared(path_or_model, "outcome")
        self.tokenizer, self.batch_size = tokenizer, batch_size
        self.label = _label(self.hf_model.config, label)
        self.usage = RewardUsage()
        self.last_tokens: list[int] = []
        self._template = template
        self._context = context_length(self.hf_model)
        config = self.hf_model.config
        self._config = config.get_text_config() if hasattr(config, "get_text_config") else config

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[float]:
        """One score for every continuation.

        Raises:
            RewardError: a text is longer than the model's context.
        """
        began = time.perf_counter()
        rows = [
            self._encode(prompt, continuation.text)
            for prompt, continuation in zip(prompts, continuations, strict=True)
        ]
        scores: dict[int, float] = {}
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            outputs = self._outputs([rows[number] for number in chosen])
            scores |= zip(chosen, self._read(outputs).tolist(), strict=True)
        self.last_tokens = [len(row) for row in rows]
        self.usage.passes += len(rows)
        self.usage.tokens += sum(self.last_tokens)
        self.usage.seconds += time.perf_counter() - began
        return [scores[number] for number in range(len(rows))]

    def _encode(self, prompt: Prompt, text: str) -> list[int]:
        if self._template is not None:
            ids = self.tokenizer(self._template(prompt, text))["input_ids"]
        else:
            chat = [*conversation(prompt), {"role": "assistant", "content": text}]
            written = self.tokenizer.apply_chat_template(chat, tokenize=False)
            ids = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        if not ids:
            raise RewardError("the outcome model was given an empty text")
        if self._context is not None and len(ids) > self._context:
            raise RewardError(
                f"{len(ids)} tokens exceed the {self._context} that the outcome model can read"
            )
        return list(ids)

    @torch.no_grad()
    def _outputs(self, rows: Sequence[list[int]]) -> Tensor:
        """Outputs `[n, labels]`."""
        pad, width = self._pad(rows), max(map(len, rows))
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        device = getattr(self.hf_model, "device", "cpu")
        before = self._config.pad_token_id
        try:
            self._config.pad_token_id = pad
            with without_plans(torch.device(device)):
                made = self.hf_model(input_ids=ids.to(device), attention_mask=mask.to(device))
        finally:
            self._config.pad_token_id = before
        outputs: Tensor = made.logits
        return outputs

    def _pad(self, rows: Sequence[list[int]]) -> int:
        """What to fill rows up with.

        Classifiers look for the last token that is no padding. Where the model has no padding
        token that is meant to be the last one, so that it must not occur in any of the rows.
        """
        if (pad := self._config.pad_token_id) is not None:
            return int(pad)
        used = set().union(*rows)
        return next(token for token in range(self._config.vocab_size) if token not in used)

    def _read(self, outputs: Tensor) -> Tensor:
        if self.label is None:
            return outputs[:, 0].cpu().double()
        return outputs.cpu().double().softmax(-1)[:, self.label]


def _label(config: Any, label: str | int | None) -> int | None:
    """The number of the label; None where there is only one."""
    count = int(config.num_labels)
    if count == 1:
        if label not in (None, 0):
            raise InputError(f"the outcome model has one output; label={label!r} means nothing")
        return None
    names = {str(name): int(number) for number, name in config.id2label.items()}
    number = names.get(label) if isinstance(label, str) else label
    if number is None or not 0 <= number < count:
        raise InputError(
            f"label={label!r}: the outcome model has the labels {', '.join(names)}; name the one "
            "whose probability is the score"
        )
    return number
