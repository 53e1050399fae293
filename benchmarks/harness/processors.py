"""Each peer inside Hugging Face `generate`: keyword arguments for one call.

xgrammar brings its own processor. llguidance and outlines-core bring masks only: they are wrapped
here in the fewest lines that do it. lm-format-enforcer's own wrapper does not import on
transformers 5; its enforcer is given to `prefix_allowed_tokens_fn`, as its wrapper does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerFast

Arguments = dict[str, Any]


class Masker(Protocol):
    """One row being written."""

    def accept(self, token: int) -> bool: ...

    def fill(self, words: np.ndarray) -> None: ...


class MaskProcessor(LogitsProcessor):
    """Keeps every row under a matcher of its own. For one call without beams."""

    def __init__(self, start: Callable[[], Masker], stop_id: int) -> None:
        self._start = start
        self._stop = stop_id
        self._rows: list[Masker | None] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows, width = scores.shape
        if not self._rows:
            self._rows = [self._start() for _ in range(rows)]
        else:
            self._take(input_ids[:, -1].tolist())
        words = np.full((rows, (width + 31) // 32), -1, dtype=np.int32)
        for row, matcher in enumerate(self._rows):
            if matcher is not None:
                matcher.fill(words[row])
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :width]
        return scores.masked_fill(torch.from_numpy(bits == 0), float("-inf"))

    def _take(self, tokens: list[int]) -> None:
        for row, token in enumerate(tokens):
            matcher = self._rows[row]
            if matcher is not None and (token == self._stop or not matcher.accept(token)):
                self._rows[row] = None


def xgrammar_arguments(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Arguments]:
    import xgrammar
    from xgrammar.contrib.hf import LogitsProcessor as Processor

    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    compiler = xgrammar.GrammarCompiler(info, max_threads=1)
    return lambda schema: {"logits_processor": [Processor(compiler.compile_json_schema(schema))]}


class _Llguidance:
    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def accept(self, token: int) -> bool:
        return bool(self._matcher.consume_token(token))

    def fill(self, words: np.ndarray) -> None:
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)


def llguidance_arguments(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Arguments]:
    import llguidance
    import llguidance.hf

    table = llguidance.hf.from_tokenizer(tokenizer, n_vocab=len(tokenizer))
    stop = int(tokenizer.eos_token_id)

    def arguments(schema: str) -> Arguments:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        first = llguidance.LLMatcher(table, grammar, log_level=0)
        if first.is_error():
            raise ValueError(first.get_error())
        processor = MaskProcessor(lambda: _Llguidance(first.deep_copy()), stop)
        return {"logits_processor": [processor]}

    return arguments


class _Outlines:
    def __init__(self, guide: Any) -> None:
        self._guide = guide

    def accept(self, token: int) -> bool:
        self._guide.advance(token, return_tokens=False)
        return True

    def fill(self, words: np.ndarray) -> None:
        self._guide.write_mask_into(words.ctypes.data, words.size, 4)


def outlines_arguments(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Arguments]:
    import outlines_core

    from guided.grammars.vocabulary import Vocabulary

    stop = int(tokenizer.eos_token_id)
    ids: dict[bytes, list[int]] = {}
    for i, token in enumerate(Vocabulary.from_tokenizer(tokenizer).tokens):
        if token:
            ids.setdefault(token, []).append(i)
    vocabulary = outlines_core.Vocabulary(stop, ids)
    built: dict[str, Any] = {}

    def arguments(schema: str) -> Arguments:
        if schema not in built:
            pattern = outlines_core.json_schema.build_regex_from_schema(schema)
            built[schema] = outlines_core.Index(pattern, vocabulary)
        index = built[schema]
        processor = MaskProcessor(lambda: _Outlines(outlines_core.Guide(index)), stop)
        return {"logits_processor": [processor]}

    return arguments


def enforcer_arguments(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Arguments]:
    import json

    import lmformatenforcer

    plain = [
        (i, tokenizer.decode([i]), False)
        for i in range(len(tokenizer))
        if i not in tokenizer.all_special_ids
    ]
    data = lmformatenforcer.TokenEnforcerTokenizerData(
        plain,
        lambda ids: tokenizer.decode(ids).rstrip("\ufffd"),
        tokenizer.eos_token_id,
        False,
        len(tokenizer),
    )

    def arguments(schema: str) -> Arguments:
        parser = lmformatenforcer.JsonSchemaParser(json.loads(schema))
        enforcer = lmformatenforcer.TokenEnforcer(data, parser)

        def allowed(row: int, ids: torch.Tensor) -> list[int]:
            tokens: list[int] = enforcer.get_allowed_tokens(ids.tolist()).allowed_tokens
            return tokens

        return {"prefix_allowed_tokens_fn": allowed}

    return arguments


PEERS = {
    "llguidance": llguidance_arguments,
    "xgrammar": xgrammar_arguments,
    "outlines-core": outlines_arguments,
    "lm-format-enforcer": enforcer_arguments,
}
