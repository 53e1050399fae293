"""What guided's decoding returns in the place of `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils.generic import ModelOutput


@dataclass
class GuidedGenerationOutput(ModelOutput):
    """What `generate` returns with `return_dict_in_generate=True`.

    Attributes:
        sequences: prompts and new tokens `[rows, columns]`, padded on the right.
        log_p: of every new token under the raw model `[rows, new]`; 0 in the padding.
        log_q: of every new token under the law that it was drawn from (0 for greedy choices).
        finish_reasons: "stop", "complete", "budget", "length", "criteria" or "memory", by row;
            with `align`, why a draw is missing.
        certificates: what a control, or the sampler of `align`, says about how each row was drawn
            (see `guided.Result`).
    """

    sequences: Tensor | None = None
    log_p: Tensor | None = None
    log_q: Tensor | None = None
    finish_reasons: tuple[str, ...] | None = None
    certificates: tuple[Any, ...] | None = None
