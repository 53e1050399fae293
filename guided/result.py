"""What decoding returns: text, value, tokens and what they were worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from guided.decoding.usage import Usage
from guided.json_spans import json_spans

T = TypeVar("T")


@dataclass(frozen=True)
class FieldScore:
    """How likely one JSON value was.

    Attributes:
        log_p: sum over its tokens under the raw model.
        log_q: sum over its tokens under the law they were drawn from.
        tokens: every token that spells some part of the value (a token may belong to two values).
        text: the value as it was written.
    """

    log_p: float
    log_q: float
    tokens: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Result(Generic[T]):
    """One finished sequence.

    Attributes:
        text: what was generated: thinking included, healed prompt end and stop strings not.
        value: the parsed and validated object; the text where nothing is to be parsed; None
            where decoding was interrupted or ran out of memory.
        tokens: all tokens drawn, healed prompt end and stop token included.
        log_p: of every token under the raw model, before any edit.
        log_q: of every token under the law it was drawn from (0 for greedy choices).
        finish_reason: "stop" (a stop token), "complete" (the grammar can only stop), "budget"
            (closed to fit into max_new_tokens), "stop_string", "length" (free text at
            max_new_tokens), "interrupt" (Ctrl-C), "memory" (it ran out), "cut" (a search ended
            before the text did). With `align=` a draw that is missing has "attempts" (too many
            were rejected) or "no_mass" (the model says nothing that is allowed), and no tokens.
        usage: what this sequence has cost; `seconds` is the wall time of the whole call.
        thinking: the free text before the structure, trigger not included.
        token_ends: for every token, the offset in UTF-8 bytes of `text` where it ends.
        body: the offset in bytes of `text` where the structured part begins.
        certificate: what is known about how the sequence was drawn: of `guided.Anchored` its
            ledger, of `align=` what the draws of the prompt prove (`guided.certificates`); else
            None.
    """

    text: str
    value: T
    tokens: tuple[int, ...] = field(repr=False)
    log_p: tuple[float, ...] = field(repr=False)
    log_q: tuple[float, ...] = field(repr=False)
    finish_reason: str
    usage: Usage
    thinking: str = ""
    token_ends: tuple[int, ...] = field(default=(), repr=False)
    body: int = field(default=0, repr=False)
    certificate: Any = field(default=None, repr=False)

    @cached_property
    def fields(self) -> Mapping[str, FieldScore]:
        """How likely every JSON value was, by its JSON pointer; empty where the text is no JSON."""
        encoded = self.text.encode()
        spans = json_spans(encoded[self.body :].decode(errors="replace"))
        return {
            pointer: self._score(encoded, self.body + begin, self.body + end)
            for pointer, (begin, end) in spans.items()
        }

    def _score(self, encoded: bytes, begin: int, end: int) -> FieldScore:
        starts = (min(0, *self.token_ends[:1]), *self.token_ends[:-1])
        inside = [
            index
            for index, (start, stop) in enumerate(zip(starts, self.token_ends, strict=True))
            if start < end and stop > begin
        ]
        return FieldScore(
            sum(self.log_p[index] for index in inside),
            sum(self.log_q[index] for index in inside),
            tuple(self.tokens[index] for index in inside),
            encoded[begin:end].decode(errors="replace"),
        )
