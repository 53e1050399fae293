"""A third-party Hugging Face logits processor as a control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.errors import ControlError

Processor = Callable[[Tensor, Tensor], Tensor]
Prefix = tuple[int, ...]


def check_pure(processor: Processor, prompt: Sequence[int], width: int) -> None:
    """Calls `processor` on repeated and permuted prefixes of made-up text after `prompt`.

    Raises:
        ControlError: an answer depends on what was asked before. Under drafts, beams or
            batches such a processor gives wrong results without a sign.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(width, (4,), generator=generator).tolist()
    prefixes = [(*prompt, *drawn[:length]) for length in range(5)]
    scores = torch.randn(width, generator=generator)
    first = [_call(processor, prefix, scores) for prefix in prefixes]
    for index in (3, 0, 4, 4, 2, 1, 3):
        again = _call(processor, prefixes[index], scores)
        if not torch.equal(first[index], again):
            raise ControlError(
                f"{type(processor).__name__} is no pure function of the prefix: the same "
                "input_ids gave different scores. It cannot be used as a control."
            )


def _call(processor: Processor, prefix: Sequence[int], scores: Tensor) -> Tensor:
    ids = torch.tensor([prefix], dtype=torch.long, device=scores.device)
    return processor(ids, scores.clone()[None])[0]


class FromProcessor(Control):
    """`processor(input_ids, scores)` of Hugging Face form, which must be a pure function.

    Args:
        processor: any callable of that form, for example a `transformers.LogitsProcessor`.
        stage: where it stands in the pipeline; one that forbids tokens belongs to `Stage.MASK`.
    """

    stage: Stage = Stage.LAW  # type: ignore[misc]  # set for each instance
    unique = False
    names_tokens = True

    def __init__(self, processor: Processor, stage: Stage = Stage.LAW) -> None:
        if not callable(processor):
            raise ControlError(f"{processor!r} is no logits processor")
        self.processor = processor
        self.stage = stage
        self._is_checked = False

    def begin(self, context: Context) -> Prefix:
        """The prompt; on first use the processor is checked for purity.

        Raises:
            ControlError: see `check_pure`.
        """
        if not self._is_checked:
            check_pure(self.processor, context.prompt, context.vocabulary.size)
            self._is_checked = True
        return context.prompt

    def apply(
        self, logits: Tensor, states: Sequence[Any], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Prefix]]:
        for row, prefix in zip(logits, states, strict=True):
            row.copy_(_call(self.processor, prefix, row))
        return logits, states

    def step(self, state: Prefix, token: int) -> Prefix:
        return (*state, token)
