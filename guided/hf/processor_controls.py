"""Hugging Face logits processors as controls: natively where there is one, else as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from guided.controls import FromProcessor, MinP, RepetitionPenalty, Temperature, TopK, TopP
from guided.controls.protocol import Context, Control, Stage
from guided.errors import ControlError
from guided.hf.processor import GuidedLogitsProcessor

#: What forbids tokens, and so must not be undone by what follows.
_MASKS = (
    "MinLengthLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
    "NoBadWordsLogitsProcessor",
    "NoRepeatNGramLogitsProcessor",
    "SuppressTokensLogitsProcessor",
    "SuppressTokensAtBeginLogitsProcessor",
    "ForcedBOSTokenLogitsProcessor",
    "ForcedEOSTokenLogitsProcessor",
    "PrefixConstrainedLogitsProcessor",
)
_TRUNCATIONS = (
    "TypicalLogitsWarper",
    "EpsilonLogitsWarper",
    "EtaLogitsWarper",
    "TopHLogitsWarper",
)
#: What cannot work on one row at a time, with what to do instead.
_REFUSED = {
    "UnbatchedClassifierFreeGuidanceLogitsProcessor": (
        "guidance_scale runs the model inside of a processor; leave it out"
    ),
    "EncoderRepetitionPenaltyLogitsProcessor": (
        "encoder_repetition_penalty looks at the whole batch; use repetition_penalty"
    ),
    "EncoderNoRepeatNGramLogitsProcessor": (
        "encoder_no_repeat_ngram_size looks at the whole batch; use no_repeat_ngram_size"
    ),
    "WatermarkLogitsProcessor": "watermarking_config changes the law with a state of its own",
    "SynthIDTextWatermarkLogitsProcessor": (
        "watermarking_config changes the law with a state of its own"
    ),
}


def _native(processor: Any) -> Control | None:
    """guided's own control for the same map of the law, if there is one."""
    if getattr(processor, "filter_value", -torch.inf) != -torch.inf:
        return None
    if isinstance(processor, hf.TemperatureLogitsWarper):
        return Temperature(float(processor.temperature))
    if isinstance(processor, hf.TopKLogitsWarper):
        return TopK(int(processor.top_k))
    if getattr(processor, "min_tokens_to_keep", 1) != 1:
        return None
    if isinstance(processor, hf.TopPLogitsWarper) and processor.top_p > 0:
        return TopP(float(processor.top_p))
    if isinstance(processor, hf.MinPLogitsWarper):
        return MinP(float(processor.min_p))
    return None


def _ignores_padding_only(processor: Any, paddings: Tensor) -> bool:
    """Whether a repetition penalty counts the whole prompt, as guided's does."""
    ignored = processor.prompt_ignore_length
    if ignored is None:
        return not bool(paddings.any())
    return isinstance(ignored, Tensor) and torch.equal(ignored.cpu().long(), paddings)


def row_controls(processor: Any, row: int, input_ids: Tensor, paddings: Tensor) -> list[Control]:
    """The controls that a processor stands for on one row of `input_ids`.

    Args:
        paddings: how many columns of padding stand before each row's prompt.

    Raises:
        ControlError: a processor that cannot work on one row at a time, by name.
    """
    name = type(processor).__name__
    if name in _REFUSED:
        raise ControlError(f"{name}: {_REFUSED[name]}")
    if isinstance(processor, GuidedLogitsProcessor):
        count = len(processor.pipelines)
        return list(processor.pipelines[row * count // len(paddings)].controls)
    if (found := _native(processor)) is not None:
        return [found]
    if isinstance(processor, hf.RepetitionPenaltyLogitsProcessor) and _ignores_padding_only(
        processor, paddings
    ):
        return [RepetitionPenalty(float(processor.penalty))]
    if isinstance(processor, hf.PrefixConstrainedLogitsProcessor):
        processor = _for_row(processor, row)
    stage = Stage.MASK if name in _MASKS else Stage.LAW
    stage = Stage.TRUNCATION if name in _TRUNCATIONS else stage
    return [ShownPadding(processor, stage, input_ids[row, : int(paddings[row])].tolist())]


def _for_row(processor: Any, row: int) -> hf.PrefixConstrainedLogitsProcessor:
    """The same constraint for a processor that sees nothing but this row."""
    allowed: Callable[[int, Tensor], list[int]] = processor._prefix_allowed_tokens_fn
    number = row // processor._num_beams
    return hf.PrefixConstrainedLogitsProcessor(lambda _, prefix: allowed(number, prefix), 1)


class ShownPadding(FromProcessor):
    """A processor that sees the padding of its row, as `generate` would show it.

    Some processors count columns: what they skip or forbid depends on the padding.
    """

    def __init__(self, processor: Any, stage: Stage, padding: Sequence[int]) -> None:
        super().__init__(processor, stage)
        self.padding = tuple(padding)

    def begin(self, context: Context) -> tuple[int, ...]:
        """The prompt after its padding."""
        return super().begin(replace(context, prompt=(*self.padding, *context.prompt)))
