"""Encoding without a tokenizer's call gives what its call gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from guided import encoding

FOLDER = Path(__file__).parents[1] / "examples" / "models" / "tiny-lm"
TEXTS = ["", "a", "Hello, wörld 🙂", '{"name": "Ann"}', "<eos>in<bos> between<pad>", " \n\t x"]


@pytest.fixture
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("splits", [False, True])
def test_it_is_what_the_call_gives(tokenizer: Any, text: str, splits: bool) -> None:
    assert encoding._is_usual(type(tokenizer))
    tokenizer.split_special_tokens = splits
    assert encoding.encode(tokenizer, text) == list(tokenizer(text)["input_ids"])
    # The call has left its options behind by now.
    assert encoding.encode(tokenizer, text) == list(tokenizer(text)["input_ids"])


def test_truncation_that_was_left_behind_is_undone(tokenizer: Any) -> None:
    whole = encoding.encode(tokenizer, "one two three four five")
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    assert encoding.encode(tokenizer, "one two three four five") == whole
    assert len(whole) > 2


def test_a_tokenizer_with_a_call_of_its_own_is_called(tokenizer: Any) -> None:
    class Odd(PreTrainedTokenizerFast):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return {"input_ids": [7]}

    odd = Odd(tokenizer_object=tokenizer.backend_tokenizer)
    assert encoding.encode(odd, "x") == [7]
    assert encoding.encode(lambda text: {"input_ids": (3,)}, "x") == [3]
