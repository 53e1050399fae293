"""MemFree decoding: no token may complete a protected n-gram."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from guided.controls.ngram_sets import BloomNgrams, ExactNgrams, Ngram, NgramSet, windows
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.errors import ControlError
from guided.grammars.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """The last n - 1 tokens, and those that must not follow."""

    vocabulary: Vocabulary
    tokens: Ngram
    blocked: frozenset[int]


class MemFree(Control):
    """Forbids every token that would complete a protected n-gram with the last n - 1 tokens.

    MemFree decoding (Ippolito et al. 2023, arXiv 2210.17546). Only exact copies of n tokens are
    stopped; a text that differs in one token of ten passes. Stop tokens are never blocked, so
    where everything else is, the text ends. A grammar that needs a blocked token is a dead end.

    Args:
        ngrams: the protected n-grams as sequences of n token ids each; see also `of_texts`.
        n: their length.
        false_positives: None: an exact set; a rate in (0, 1): a Bloom filter, smaller by far,
            which blocks this share of harmless n-grams too.
        prompt: whether the prompt's last tokens count, so that no n-gram may begin in it either.

    Raises:
        ControlError: no n-grams, one of another length, a rate out of range.
    """

    names_tokens: ClassVar[bool] = True
    stage: ClassVar[Stage] = Stage.MASK

    def __init__(
        self,
        ngrams: Iterable[Sequence[int]],
        n: int = 10,
        *,
        false_positives: float | None = None,
        prompt: bool = False,
    ) -> None:
        self.known: NgramSet = (
            ExactNgrams(ngrams, n)
            if false_positives is None
            else BloomNgrams(ngrams, n, false_positives)
        )
        self.n = n
        self.prompt = prompt

    @classmethod
    def of_texts(cls, texts: Iterable[str], model: Any, n: int = 10, **options: Any) -> MemFree:
        """A control for all n-grams of some texts, by the tokens of a `guided.Model`.

        Raises:
            ControlError: `texts` is one text instead of several, or all are shorter than n tokens.
        """
        if isinstance(texts, str):
            raise ControlError("texts must be a list of texts, not one text")
        return cls(windows((model.encode(text) for text in texts), n), n, **options)

    def begin(self, context: Context) -> Recent:
        return self._recent(context.vocabulary, context.prompt if self.prompt else ())

    def apply(
        self, logits: Tensor, states: Sequence[Recent], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Recent]]:
        for row, state in enumerate(states):
            if state.blocked:
                logits[row, sorted(state.blocked)] = -torch.inf
        return logits, states

    def step(self, state: Recent, token: int) -> Recent:
        return self._recent(state.vocabulary, (*state.tokens, token))

    def allows(self, state: Recent, token: int) -> bool:
        return token not in state.blocked

    def _recent(self, vocabulary: Vocabulary, tokens: Ngram) -> Recent:
        last = tokens[max(0, len(tokens) - self.n + 1) :]
        blocked = self.known.completing(last, vocabulary.size).tolist()
        return Recent(vocabulary, last, frozenset(blocked) - vocabulary.stop_ids)
