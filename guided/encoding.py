"""The tokens of a text, as a Hugging Face tokenizer gives them when it is called."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, cast

#: What a tokenizer's call goes through; a subclass may change any of it.
_CALLED = ("__call__", "_call_one", "encode_plus", "_encode_plus", "_batch_encode_plus")


def encode(tokenizer: Any, text: str) -> list[int]:
    """What `tokenizer(text)["input_ids"]` gives, special tokens included.

    Most of that call's time goes into options that are not given and outputs that are not asked
    for, so what lies behind it is asked where the call would do nothing else.
    """
    if _is_usual(cast(Hashable, type(tokenizer))):
        backend = tokenizer.backend_tokenizer
        splits = getattr(tokenizer, "split_special_tokens", False)
        if (
            backend.truncation is None
            and backend.padding is None
            and getattr(backend, "encode_special_tokens", splits) == splits
        ):
            return list(backend.encode(text, add_special_tokens=True).ids)
    return list(tokenizer(text)["input_ids"])


@lru_cache(maxsize=64)
def _is_usual(kind: Any) -> bool:
    """Whether tokenizers of a class only hand a text to the one behind them."""
    from transformers import PreTrainedTokenizerFast

    return (
        issubclass(kind, PreTrainedTokenizerFast)
        and not hasattr(kind, "_switch_to_input_mode")
        and all(
            getattr(kind, name, None) is getattr(PreTrainedTokenizerFast, name, None)
            for name in _CALLED
        )
    )
