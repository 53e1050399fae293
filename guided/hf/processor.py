"""A logits processor that keeps Hugging Face `generate` inside a grammar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

from guided.errors import BudgetError, ControlError, DeadEndError, LogitsError, VocabularyError
from guided.grammars.grammar import Grammar
from guided.grammars.states import GrammarState
from guided.grammars.vocabulary import Vocabulary
from guided.hf.prompts import GivenPrompts, ObservedPrompts, as_rows, spread
from guided.hf.states import PrefixStates


class GuidedLogitsProcessor(LogitsProcessor):
    """Masks every token that the grammar does not allow next.

    The state of a row follows from its tokens alone, so any way in which `generate` walks is
    right: greedy, sampling, beams, several return sequences, prompt lookup, an assistant model,
    left-padded batches, and one processor in many calls.

    Where the prompt ends cannot be read off one row. Give `prompt_ids`, or else the first call
    shows it: rows that do not begin with the same prompts begin a new generation.

    A row whose text is *outside* of the grammar (a draft about to be rejected, a beam that has
    fallen to minus infinity) may only stop; its scores are never used.

    Args:
        grammar: one grammar for every prompt, or one for each: row r of R belongs to grammar
            r * len(grammars) // R.
        vocabulary: a `Vocabulary`, a Hugging Face tokenizer, or anything with a `vocabulary`.
        prompt_ids: the token ids given to `generate`, padding included (or the encoded batch).
        max_new_tokens: as given to `generate`. Then every output is complete within it;
            without it, `generate` may cut an output short.
        stop_ids: tokens that end an output, where `vocabulary` is a tokenizer whose
            `eos_token_id` is not the one that `generate` stops at.
        cache_bytes: limit of the cache of states, which changes speed only.

    Raises:
        ControlError: no grammar; the number of prompts is no multiple of that of the grammars.
        VocabularyError: no stop token; the tokenizer has no byte mapping.
        BudgetError: no output is known to fit into `max_new_tokens`.
    """

    # Continuous batching mixes the tokens of many requests in one call, without saying which.
    supports_continuous_batching = False

    def __init__(
        self,
        grammar: Grammar | Sequence[Grammar],
        vocabulary: Any,
        *,
        prompt_ids: Any = None,
        max_new_tokens: int | None = None,
        stop_ids: Iterable[int] | None = None,
        cache_bytes: int = 32 << 20,
    ) -> None:
        self.grammars = (grammar,) if isinstance(grammar, Grammar) else tuple(grammar)
        if not self.grammars:
            raise ControlError("no grammar was given")
        self.vocabulary = _vocabulary(vocabulary, stop_ids)
        self.max_new_tokens = max_new_tokens
        share = cache_bytes // len(self.grammars)
        # Rows with equal grammars share one cache.
        caches = {g: PrefixStates(g.start(self.vocabulary), share) for g in set(self.grammars)}
        self._states = [caches[g] for g in self.grammars]
        self._prompts: GivenPrompts | ObservedPrompts
        self.reset(prompt_ids)
        self._check_budget()

    def reset(self, prompt_ids: Any = None) -> None:
        """Forget the prompts; `prompt_ids` names those of the next call.

        Raises:
            ControlError: the number of prompts is no multiple of that of the grammars.
        """
        self._prompts = ObservedPrompts() if prompt_ids is None else self._given(prompt_ids)

    def drop_cache(self) -> None:
        """Free the states kept so far. The next call finds them again from its tokens."""
        for states in self._states:
            states.drop()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` with minus infinity wherever the grammar does not allow the token.

        Raises:
            ControlError: the rows contradict the prompts.
            VocabularyError: the logits are narrower than the vocabulary.
            LogitsError: a score is NaN.
            DeadEndError: another processor forbids every token that the grammar allows.
        """
        rows = input_ids.detach().cpu().numpy()
        if scores.shape[0] != len(rows):
            raise ControlError(f"{len(rows)} rows of tokens but {scores.shape[0]} rows of scores")
        if len(rows) % len(self.grammars):
            raise ControlError(
                f"generate runs {len(rows)} rows, which is no multiple of the "
                f"{len(self.grammars)} grammars; give one grammar, or one for each prompt"
            )
        if scores.shape[1] < self.vocabulary.size:
            raise VocabularyError(
                f"the logits have {scores.shape[1]} columns but the vocabulary has "
                f"{self.vocabulary.size}; is the tokenizer that of the model?"
            )
        width = self._prompts.width(rows)
        states = self._row_states(rows, width)
        allowed = self._allowed(states, rows.shape[1] - width, scores.shape[1])
        # A new tensor: prompt lookup hands the same scores over again for its next position.
        masked = scores.masked_fill(~allowed.to(scores.device), -torch.inf)
        _check(masked, states, rows.shape[1] - width)
        return masked

    def _row_states(self, rows: NDArray[np.int64], width: int) -> list[GrammarState | None]:
        found: list[GrammarState | None] = []
        for row, which in enumerate(spread(len(self.grammars), len(rows))):
            state = self._states[which].at(rows[row, width:])
            if state is None and isinstance(self._prompts, ObservedPrompts):
                self._prompts.check_jump(row)
            found.append(state)
        return found

    def _allowed(
        self, states: Sequence[GrammarState | None], position: int, width: int
    ) -> torch.Tensor:
        """Which tokens each row may take next, as booleans."""
        packed = np.zeros((len(states), (self.vocabulary.size + 31) // 32), dtype=np.int32)
        outside = []
        for row, state in enumerate(states):
            mask = self._mask(state, position)
            if mask is None:
                outside.append(row)
            else:
                packed[row] = mask
        bits = np.unpackbits(packed.view(np.uint8), axis=1, bitorder="little")
        allowed = np.zeros((len(states), width), dtype=np.bool_)
        allowed[:, : self.vocabulary.size] = bits[:, : self.vocabulary.size]
        if outside:
            allowed[np.ix_(outside, list(self.vocabulary.stop_ids))] = True
        return torch.from_numpy(allowed)

    def _mask(self, state: GrammarState | None, position: int) -> NDArray[np.int32] | None:
        """The packed mask of a row; None where it left the grammar or ran over the budget."""
        if state is None:
            return None
        if self.max_new_tokens is None or state.is_finished:
            return state.mask()
        left = self.max_new_tokens - position
        mask = state.mask_within(left) if left > 0 else None
        return mask if mask is not None and mask.any() else None

    def _given(self, prompt_ids: Any) -> GivenPrompts:
        prompts = as_rows(prompt_ids)
        if len(prompts) % len(self.grammars):
            raise ControlError(
                f"{len(self.grammars)} grammars for {len(prompts)} prompts: give one grammar, or "
                "one for each prompt"
            )
        return GivenPrompts(prompts)

    def _check_budget(self) -> None:
        if self.max_new_tokens is None:
            return
        for index, states in enumerate(self._states):
            if states.start.bound > self.max_new_tokens:
                raise BudgetError(
                    f"no output of grammar {index} is known to fit into max_new_tokens="
                    f"{self.max_new_tokens}; {states.start.bound} tokens suffice",
                    states.start.bound,
                )


def _vocabulary(source: Any, stop_ids: Iterable[int] | None) -> Vocabulary:
    found = source if isinstance(source, Vocabulary) else getattr(source, "vocabulary", None)
    if found is None:
        found = Vocabulary.from_tokenizer(source, stop_ids=stop_ids)
    elif stop_ids is not None and frozenset(stop_ids) != found.stop_ids:
        raise ControlError("stop_ids differ from those of the vocabulary that was given")
    if not found.stop_ids:
        raise VocabularyError(
            "the tokenizer has no end-of-sequence token; pass stop_ids=[...], the ids at which "
            "generate stops"
        )
    return found


def _check(masked: torch.Tensor, states: Sequence[GrammarState | None], position: int) -> None:
    """Refuse scores from which only a wrong token could be chosen."""
    if bool(masked.isnan().any()):
        raise LogitsError(f"a score is NaN at generated token {position}")
    open_rows = (masked > -torch.inf).any(dim=-1).tolist()
    for row, (state, is_open) in enumerate(zip(states, open_rows, strict=True)):
        if state is not None and not state.is_finished and not is_open:
            raise DeadEndError(
                f"row {row}: every token that the grammar allows at generated token {position} "
                "is forbidden by another processor or by the model (min_new_tokens, "
                "bad_words_ids, suppress_tokens?)",
                position,
            )
