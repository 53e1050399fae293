"""One sequence to be decoded: from a prompt to a branch, from a finished branch to a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any

from guided.controls import GrammarMask, PrefixMask, StopStrings
from guided.controls.protocol import Control
from guided.controls.stop_strings import find_stop
from guided.controls.token_index import token_index
from guided.decoding import Branch, Usage
from guided.decoding.rng import stream
from guided.errors import InputError
from guided.grammars.grammar import Grammar
from guided.grammars.triggers import after as after_trigger
from guided.healing import heal
from guided.model import Model, Prompt
from guided.options import Settings
from guided.outputs import Output
from guided.prompts import describe_prompt
from guided.result import Result
from guided.sampling import token_limit


@dataclass(frozen=True)
class Row:
    """What one sequence needs to be opened, and to be read when it is finished.

    Attributes:
        tokens: the prompt, its end taken back where it is healed.
        prefix: the bytes that were taken back.
        copy: tells sequences of equal prompts apart.
        trigger: the text that ends the thinking, if there is any.
    """

    model: Model
    tokens: tuple[int, ...]
    prefix: bytes
    output: Output
    controls: tuple[Control, ...]
    limit: int
    copy: int
    trigger: str | None = None
    stops: tuple[str, ...] = ()

    def stream(self, seed: int, attempt: int) -> int:
        """The name of the row's random stream."""
        return stream(seed, self.tokens, self.copy, attempt)

    def result(
        self, branch: Branch, seconds: float, discarded: int = 0, kv_bytes_peak: int = 0
    ) -> Result[Any]:
        """The finished branch as a result.

        Args:
            seconds: wall time of its call; `kv_bytes_peak`: bytes of keys and values in it.

        Raises:
            ValidationFailedError: the text is in the grammar, its parser refused it.
        """
        return self._result(branch, seconds, discarded, kv_bytes_peak, parses=True)

    def unread(self, branch: Branch, seconds: float) -> Result[Any]:
        """The same for a text that is not to be parsed; its value is None."""
        return self._result(branch, seconds, 0, 0, parses=False)

    def _result(
        self, branch: Branch, seconds: float, discarded: int, kv_bytes_peak: int, parses: bool
    ) -> Result[Any]:
        texts = self.pieces(branch.tokens)
        ends = tuple(end - len(self.prefix) for end in accumulate(map(len, texts)))
        text = self.text(texts, branch.finish_reason)
        begin, thinking = self.body(branch.tokens, texts, text)
        value: Any = None
        if parses and branch.finish_reason not in ("interrupt", "memory", "cut"):
            value = self.output.parse(text[begin:].decode(errors="replace"))
        return Result(
            text.decode(errors="replace"),
            value,
            tuple(branch.tokens),
            tuple(branch.log_p),
            tuple(branch.log_q),
            branch.finish_reason or "interrupt",
            self._usage(branch, seconds, discarded, kv_bytes_peak),
            thinking.decode(errors="replace"),
            ends,
            begin,
            branch.pipeline.certificate(branch.states),
        )

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """What every token spells."""
        table = token_index(self.model.vocabulary).texts
        return [table[token] for token in tokens]

    def text(self, texts: Sequence[bytes], finish_reason: str | None) -> bytes:
        """The text so far, without the healed prompt end and without a stop string."""
        text = b"".join(texts)[len(self.prefix) :]
        if finish_reason == "stop_string":
            text = text[: find_stop(text, [stop.encode() for stop in self.stops])]
        return text

    def body(self, tokens: Sequence[int], texts: Sequence[bytes], text: bytes) -> tuple[int, bytes]:
        """Where the structure begins (at the end, if it has not), and the thinking before it."""
        if self.trigger is None:
            return 0, b""
        special = self.model.vocabulary.specials.get(self.trigger)
        if special is not None:
            if special not in tokens:
                return len(text), text
            before = b"".join(texts[: list(tokens).index(special)])[len(self.prefix) :]
            return len(before), before
        trigger = self.trigger.encode()
        at = text.find(trigger)
        return (len(text), text) if at < 0 else (at + len(trigger), text[:at])

    def _usage(self, branch: Branch, seconds: float, discarded: int, kv_bytes_peak: int) -> Usage:
        return Usage(
            tokens=len(branch.tokens),
            discarded=discarded,
            forced=branch.forced,
            passes=branch.passes,
            positions=branch.positions,
            drafted=branch.drafted,
            accepted=branch.accepted,
            kv_bytes_peak=kv_bytes_peak,
            seconds=seconds,
        )


def make_rows(
    model: Model,
    prompts: Sequence[Prompt],
    outputs: Sequence[Output],
    settings: Settings,
    controls: Sequence[Control],
) -> list[Row]:
    """`settings.n` rows for every prompt, in order."""
    seen: dict[tuple[int, ...], int] = {}
    rows = []
    for prompt, output in zip(prompts, outputs, strict=True):
        row = _row(model, prompt, output, settings, controls)
        first = seen.get(row.tokens, 0)
        seen[row.tokens] = first + settings.n
        for copy in range(first, first + settings.n):
            rows.append(replace(row, copy=copy) if copy else row)
    return rows


def _row(
    model: Model,
    prompt: Prompt,
    output: Output,
    settings: Settings,
    controls: Sequence[Control],
) -> Row:
    spaced = model.vocabulary.drops_first_space
    tokens, prefix = _encode(model, prompt, output, settings)
    limit = token_limit(
        settings.max_new_tokens, model.generation_config, model.context_length, tokens
    )
    # What was taken back of the prompt has to be drawn again on top of the limit.
    longer = 0 if spaced or not prefix else len(model.vocabulary.encode(prefix))
    own = list(controls)
    if settings.stops:
        own.append(StopStrings(settings.stops, skip=len(prefix)))
    grammar = output.grammar
    if grammar is not None:
        if settings.after is not None:
            is_special = settings.after in model.vocabulary.specials
            grammar = _after(settings.after, grammar, is_special)
        own.append(
            GrammarMask(
                # Every grammar knows the space of the vocabulary itself.
                grammar if spaced else _prefixed(grammar, prefix),
                thinking_budget=settings.thinking_budget,
                redrawn=longer,
            )
        )
    elif prefix:
        own.append(PrefixMask(prefix))
    return Row(
        model, tuple(tokens), prefix, output, tuple(own), limit + longer, 0,
        settings.after, settings.stops,
    )  # fmt: skip


def _encode(
    model: Model, prompt: Prompt, output: Output, settings: Settings
) -> tuple[list[int], bytes]:
    if settings.describe is not None and output.schema is not None:
        prompt = describe_prompt(prompt, settings.describe, output.schema)
    tokens = model.encode(prompt, settings.chat_options)
    if not tokens:
        raise InputError("the prompt has no tokens; a model needs at least one to go on from")
    if model.vocabulary.drops_first_space:
        # The answer is a text of its own, which a word begins.
        return tokens, b" "
    # A chat template ends exactly where the answer begins.
    if not settings.heal or not isinstance(prompt, str):
        return tokens, b""
    return heal(tokens, model.vocabulary)


@lru_cache(maxsize=256)
def _prefixed(grammar: Grammar, prefix: bytes) -> Grammar:
    return grammar.with_prefix(prefix) if prefix else grammar


@lru_cache(maxsize=64)
def _after(trigger: str, grammar: Grammar, special: bool) -> Grammar:
    return after_trigger(trigger, grammar, special=special)
