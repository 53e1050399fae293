"""A logits processor that keeps Hugging Face `generate` under controls."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

from guided.controls.grammar_mask import GrammarMask
from guided.controls.pipeline import Pipeline, apply_all
from guided.controls.protocol import Context, Stage
from guided.errors import ControlError, DeadEndError, LogitsError, VocabularyError
from guided.hf.entries import controls_of, vocabulary_of
from guided.hf.prompts import GivenPrompts, ObservedPrompts, as_rows, spread
from guided.hf.states import Ended, PrefixStates


class GuidedLogitsProcessor(LogitsProcessor):
    """Keeps every row of `generate` inside its grammar, or under other controls.

    The state of a row follows from its tokens alone, so any way in which `generate` walks is
    right: greedy, sampling, beams, several return sequences, prompt lookup, an assistant model,
    left-padded batches, and one processor in many calls.

    Where the prompt ends cannot be read off one row. Give `prompt_ids`, or else the first call
    shows it: rows that do not begin with the same prompts begin a new generation.

    A row whose text is *outside* of the grammar (a draft about to be rejected, a beam whose score
    is minus infinity) may only stop; its scores are never used.

    Args:
        controls: a `Grammar`, an output type as `guided.generate(schema=...)` takes it, or a
            `Control`; it holds for every prompt. A list has one entry for each prompt, which may
            be a list of its own: row r of R belongs to entry r * len(controls) // R.
        vocabulary: a `Vocabulary`, a Hugging Face tokenizer, or anything with a `vocabulary`.
        prompt_ids: the token ids given to `generate`, padding included (or the encoded batch).
        max_new_tokens: as given to `generate`. Then every output is complete within it;
            without it, `generate` may cut an output short.
        stop_ids: tokens that end an output, where `vocabulary` is a tokenizer whose
            `eos_token_id` is not the one that `generate` stops at.
        cache_bytes: limit of the cache of states, which changes speed only.

    Raises:
        ControlError: no controls, controls that contradict each other or must come last, or a
            number of prompts that is no multiple of theirs.
        InputError: an output type that cannot be used (a finer error says why).
        VocabularyError: no stop token; the tokenizer has no byte mapping.
        BudgetError: no output is known to fit into `max_new_tokens`.
    """

    # Continuous batching mixes the tokens of many requests in one call, without saying which.
    supports_continuous_batching = False

    def __init__(
        self,
        controls: Any,
        vocabulary: Any,
        *,
        prompt_ids: Any = None,
        max_new_tokens: int | None = None,
        stop_ids: Iterable[int] | None = None,
        cache_bytes: int = 32 << 20,
    ) -> None:
        entries = list(controls) if isinstance(controls, list | tuple) else [controls]
        if not entries:
            raise ControlError("no grammar and no control was given")
        self.pipelines = [_pipeline(entry) for entry in entries]
        self.vocabulary = vocabulary_of(vocabulary, stop_ids)
        self.max_new_tokens = max_new_tokens
        self._cache_bytes = cache_bytes
        self._caches: OrderedDict[tuple[int, bytes], PrefixStates] = OrderedDict()
        self._prompts: GivenPrompts | ObservedPrompts
        self.reset(prompt_ids)
        for pipeline in self.pipelines:
            _check_budget(pipeline, self._context(()))

    def reset(self, prompt_ids: Any = None) -> None:
        """Forget the prompts; `prompt_ids` names those of the next call.

        Raises:
            ControlError: the number of prompts is no multiple of that of the controls.
        """
        if prompt_ids is None:
            self._prompts = ObservedPrompts()
            return
        prompts = as_rows(prompt_ids)
        if len(prompts) % len(self.pipelines):
            raise ControlError(
                f"controls for {len(self.pipelines)} prompts, but {len(prompts)} prompts: give "
                "one grammar, or one for each prompt"
            )
        self._prompts = GivenPrompts(prompts)

    def drop_cache(self) -> None:
        """Free the states kept so far. The next call finds them again from its tokens."""
        self._caches.clear()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """New scores, minus infinity wherever the controls forbid a token.

        Raises:
            ControlError: the rows contradict the prompts.
            VocabularyError: the logits are narrower than the vocabulary.
            LogitsError: a score is NaN.
            DeadEndError: another processor forbids every token that the controls allow.
        """
        rows = input_ids.detach().cpu().numpy()
        self._check_shapes(rows, scores)
        width = self._prompts.width(rows)
        position = rows.shape[1] - width
        caches = self._row_caches(rows[:, :width])
        states = [cache.at(row[width:]) for cache, row in zip(caches, rows, strict=True)]
        self._check_jumps(states)
        if self.max_new_tokens is not None and position >= self.max_new_tokens:
            states = [Ended.OUTSIDE] * len(states)
        return self._controlled(scores, caches, states, position)

    def _controlled(
        self,
        scores: torch.Tensor,
        caches: Sequence[PrefixStates],
        states: Sequence[Any],
        position: int,
    ) -> torch.Tensor:
        legal = [row for row, state in enumerate(states) if not isinstance(state, Ended)]
        going = [row for row in legal if caches[row].pipeline.finish(states[row]) is None]
        # A new tensor: prompt lookup hands the same scores over again for its next position.
        result = self._law(scores, caches, states, going)
        if stopping := sorted(set(range(len(states))) - set(going)):
            stops = torch.tensor(sorted(self.vocabulary.stop_ids), device=scores.device)
            rows = torch.tensor(stopping, device=scores.device)[:, None]
            result[rows, stops] = scores[rows, stops]
        _check_law(result, legal, position)
        return result

    def _law(
        self,
        scores: torch.Tensor,
        caches: Sequence[PrefixStates],
        states: Sequence[Any],
        going: Sequence[int],
    ) -> torch.Tensor:
        """A new tensor: the controlled law in the rows `going`, minus infinity elsewhere."""
        size = self.vocabulary.size
        is_whole = len(going) == len(states) and size == scores.shape[1]
        if not going:
            return torch.full_like(scores, -torch.inf)
        # Controls may write in place, so they get a copy.
        logits = scores.clone() if is_whole else scores[list(going)][:, :size].contiguous()
        pipelines = [caches[row].pipeline for row in going]
        law, _ = apply_all(pipelines, logits, [states[row] for row in going])
        if is_whole:
            return law
        result = torch.full_like(scores, -torch.inf)
        result[list(going), :size] = law
        return result

    def _row_caches(self, prompts: NDArray[np.int64]) -> list[PrefixStates]:
        """The cache of each row's prompt and controls; rows in the same case share it."""
        found = []
        for row, index in enumerate(spread(len(self.pipelines), len(prompts)).tolist()):
            key = (index, prompts[row].tobytes())
            if key not in self._caches:
                pipeline = self.pipelines[index]
                start = pipeline.begin(self._context(prompts[row].tolist(), index))
                self._caches[key] = PrefixStates(
                    pipeline, start, self.vocabulary.stop_ids, self._cache_bytes // len(prompts)
                )
            self._caches.move_to_end(key)
            found.append(self._caches[key])
        # Prompts of earlier calls go; those of this call are the latest.
        while len(self._caches) > len(prompts):
            self._caches.popitem(last=False)
        return found

    def _context(self, prompt: Sequence[int], row: int = 0) -> Context:
        return Context(tuple(prompt), self.vocabulary, self.max_new_tokens, row)

    def _check_shapes(self, rows: NDArray[np.int64], scores: torch.Tensor) -> None:
        if scores.shape[0] != len(rows):
            raise ControlError(f"{len(rows)} rows of tokens but {scores.shape[0]} rows of scores")
        if len(rows) % len(self.pipelines):
            raise ControlError(
                f"generate runs {len(rows)} rows, which is no multiple of the "
                f"{len(self.pipelines)} controls; give one, or one for each prompt"
            )
        if scores.shape[1] < self.vocabulary.size:
            raise VocabularyError(
                f"the logits have {scores.shape[1]} columns but the vocabulary has "
                f"{self.vocabulary.size}; is the tokenizer that of the model?"
            )

    def _check_jumps(self, states: Sequence[Any]) -> None:
        if isinstance(self._prompts, ObservedPrompts):
            for row, state in enumerate(states):
                if state is Ended.OUTSIDE:
                    self._prompts.check_jump(row)


def _pipeline(entry: Any) -> Pipeline:
    found = controls_of(entry)
    for control in found:
        if control.stage == Stage.CORRECTION:
            raise ControlError(
                f"{type(control).__name__} must come last, but generate applies its temperature, "
                "top-k and top-p after custom processors; use guided.generate, or generate with "
                "custom_generate=guided.GuidedGeneration(...)"
            )
    return Pipeline(found)


def _check_budget(pipeline: Pipeline, context: Context) -> None:
    """Raise BudgetError now and not in the first call, where it can be known without a prompt."""
    for control in pipeline.controls:
        if isinstance(control, GrammarMask):
            control.begin(context)


def _check_law(scores: torch.Tensor, rows: Sequence[int], position: int) -> None:
    """Refuse scores from which only a wrong token could be chosen in one of `rows`."""
    best = scores.amax(dim=-1).tolist()
    for row in rows:
        if math.isnan(best[row]):
            raise LogitsError(f"row {row}: a score is NaN at generated token {position}")
        if best[row] == -math.inf:
            raise DeadEndError(
                f"row {row}: every token allowed at generated token {position} is forbidden by "
                "another processor or by the model (min_new_tokens, bad_words_ids, "
                "suppress_tokens?)",
                position,
            )
