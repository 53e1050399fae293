"""Writing a model folder that plain Hugging Face classes load."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from .model import BOS, EOS, PAD


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path, max_new_tokens: int) -> None:
    """Writes weights in fp16, configuration and tokenizer to `folder`."""
    model = copy.deepcopy(model).eval().to("cpu", torch.float16)
    model.generation_config = GenerationConfig(
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        do_sample=False,
        max_new_tokens=max_new_tokens,
    )
    model.save_pretrained(folder)
    # Models that only fill masks do not write it themselves.
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
