"""Process reward models: a score for every step of a solution."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch

from guided.decoding.network import context_length
from guided.errors import InputError, ModelError, RewardError
from guided.model import Prompt
from guided.rewards.ensembles import Combinable
from guided.rewards.formats import ProcessFormat, format_of
from guided.rewards.layouts import Written
from guided.rewards.loading import (
    check_given,
    load_config,
    load_model,
    load_tokenizer,
    prepared,
)
from guided.rewards.prompts import question_of
from guided.rewards.protocol import Continuation, RewardUsage
from guided.rewards.step_model import StepModel
from guided.rewards.step_readers import CachedReader, PlainReader

#: Question and steps that a model has to tell apart to be of use.
_SAMPLES = (
    ("What is 2 + 3?", ("2 + 3 = 5", "The answer is 5.")),
    ("What is 2 + 3?", ("2 + 3 = 7", "The answer is 7.")),
    ("Name a color.", ("Bananas fly to the moon.",)),
)


class PRM(Combinable):
    """A process reward model: the score of every step, which is the text up to a delimiter.

    A last step that is not whole yet is scored as if it ended there. Blank steps are left out;
    a text without any step counts as one blank step.

    The published models are causal: what a step is worth depends on what stands before it only.
    So keys and values of what was scored stay in a cache, and a text that begins like an earlier
    one costs what is new in it.

    Args:
        path_or_model: a folder, a Hub id, or a Hugging Face model (then with `tokenizer`).
        preset: how it wants to be called: the name of a preset, or a `ProcessFormat`. Found out
            from the model's configuration and name if not given.
        question: makes the question of a prompt; the text of the prompt, or of the user's
            messages, if not given.
        delimiter: what ends a step in the texts, where it is not as the format says.
        cache: whether beginnings are remembered; None: if the model allows it.
        cache_limit: most bytes of keys and values that stay between calls.
        batch_size: most rows in one pass.
        check: whether a few texts are scored at once, to find models that did not load properly.
        hf_kwargs: for `from_pretrained`.

    Attributes:
        format: the `ProcessFormat` in use.
        usage: passes (texts for which something was computed), tokens and time.
        last_tokens: positions computed for every continuation of the last call.

    Raises:
        InputError: nothing tells the preset; the message lists them.
        ModelError: it cannot be loaded, lacks weights, its tokenizer lacks what the format needs,
            its rotary buffers cannot be repaired, or its scores are all the same.
    """

    def __init__(
        self,
        path_or_model: Any,
        preset: str | ProcessFormat | None = None,
        *,
        tokenizer: Any = None,
        question: Callable[[Prompt], str] = question_of,
        delimiter: str | None = None,
        cache: bool | None = None,
        cache_limit: int = 1 << 30,
        batch_size: int = 16,
        check: bool = True,
        **hf_kwargs: Any,
    ) -> None:
        if batch_size < 1 or cache_limit < 0:
            raise InputError("batch_size must be at least 1, and cache_limit a number of bytes")
        hf_model, self.tokenizer, self.format = _load(path_or_model, preset, tokenizer, hf_kwargs)
        self.delimiter = self.format.delimiter if delimiter is None else delimiter
        if not self.delimiter:
            raise InputError("a delimiter needs at least one character")
        self.format.layout.check(self.tokenizer)
        self.usage = RewardUsage()
        self.last_tokens: list[int] = []
        self._question = question
        self._context = context_length(hf_model)
        self.hf_model = prepared(hf_model, "process")
        # Padding is masked, so that any token will do; models often lack one of their own.
        pad = self.tokenizer.pad_token_id
        model = StepModel(hf_model, 0 if pad is None else pad)
        given = (model, self.format.readout, self.tokenizer, batch_size)
        self._plain = PlainReader(*given)
        self._reader: PlainReader | CachedReader = self._plain
        if cache is not False:
            self._reader = CachedReader(*given, limit=cache_limit)
        if check:
            self._check(must_cache=cache is True)

    @property
    def is_cached(self) -> bool:
        """Whether beginnings are remembered."""
        return self._reader is not self._plain

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[list[float]]:
        """The scores of all steps of every continuation.

        Raises:
            RewardError: a text holds the format's separator, or is longer than the model's
                context.
        """
        began = time.perf_counter()
        texts = [self._written(*pair) for pair in zip(prompts, continuations, strict=True)]
        scores, self.last_tokens = self._reader.read(texts) if texts else ([], [])
        self.usage.passes += sum(count > 0 for count in self.last_tokens)
        self.usage.tokens += sum(self.last_tokens)
        self.usage.seconds += time.perf_counter() - began
        return scores

    def clear(self) -> None:
        """Forgets the beginnings that it remembers, so that the next call costs what it costs."""
        if isinstance(self._reader, CachedReader):
            self._reader.clear()

    def steps(self, text: str) -> list[str]:
        """The steps of a text, without delimiters and line breaks around them."""
        pieces = [piece.strip("\n") for piece in text.split(self.delimiter)]
        return [piece for piece in pieces if piece.strip()] or [""]

    def write(self, question: str, steps: Sequence[str], is_complete: bool = True) -> Written:
        """The tokens that the model reads of a question and steps, and where it is read.

        Raises:
            RewardError: see `score`.
        """
        written = self.format.layout.write(self.tokenizer, question, steps, is_complete)
        if self._context is not None and len(written.tokens) > self._context:
            raise RewardError(
                f"{len(written.tokens)} tokens exceed the {self._context} that the process "
                "reward model can read"
            )
        return written

    def _written(self, prompt: Prompt, continuation: Continuation) -> Written:
        text = continuation.text
        is_ended = continuation.is_complete and not text.endswith(self.delimiter)
        return self.write(self._question(prompt), self.steps(text), is_ended)

    def _check(self, must_cache: bool) -> None:
        texts = [self.write(question, steps) for question, steps in _SAMPLES]
        scores = torch.tensor([*chain.from_iterable(self._plain.read(texts)[0])])
        if not bool(scores.isfinite().all()):
            raise ModelError(f"the process reward model gives {scores.tolist()} on sample texts")
        if float(scores.max() - scores.min()) < 1e-7:
            raise ModelError(
                f"the process reward model gives {scores[0]:.6g} for every step of different "
                "texts: weights or buffers of it were not loaded, or it was not trained"
            )
        if not isinstance(self._reader, CachedReader):
            return
        if trouble := self._cache_trouble(self._reader, texts, scores):
            if must_cache:
                raise ModelError(f"{trouble}; give cache=False")
            warnings.warn(f"{trouble}; scoring goes on without", RuntimeWarning, stacklevel=3)
            self._reader = self._plain
            return
        self._reader.clear()

    def _cache_trouble(
        self, reader: CachedReader, texts: Sequence[Written], scores: torch.Tensor
    ) -> str:
        """Why the cache is of no use; "" if it is."""
        whole, at = texts[0], texts[0].reads[0] + 1
        begun = Written(whole.tokens[:at], whole.reads[:1])
        try:
            reader.read([begun])
            found = torch.tensor([*chain.from_iterable(reader.read(texts)[0])])
        except Exception as error:
            return f"the model does not work with a cache ({type(error).__name__}: {error})"
        is_wide = getattr(self.hf_model, "dtype", torch.float32).itemsize >= 4
        gap = float((found - scores).abs().max())
        if gap <= (1e-3 if is_wide else 0.1):
            return ""
        return f"scores with a cache differ by {gap:.2g} from those without"


def _load(
    path_or_model: Any,
    preset: str | ProcessFormat | None,
    tokenizer: Any,
    hf_kwargs: dict[str, Any],
) -> tuple[Any, Any, ProcessFormat]:
    if isinstance(path_or_model, str | os.PathLike):
        path = os.fspath(path_or_model)
        form = format_of(preset, path, load_config(path, **hf_kwargs))
        hf_model = load_model(path, form.loader, **hf_kwargs)
        return hf_model, tokenizer or load_tokenizer(path, **hf_kwargs), form
    check_given(path_or_model, tokenizer, hf_kwargs)
    config = path_or_model.config
    name = str(getattr(config, "_name_or_path", "") or "")
    return path_or_model, tokenizer, format_of(preset, name, config)
