"""Canvases of a masked-diffusion model, from prompts to results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from guided.controls.token_index import token_index
from guided.decoding.usage import Usage
from guided.diffusion.constraint import GrammarConstraint, Tally
from guided.diffusion.decoder import MaskedDiffusionDecoder, Track
from guided.diffusion.decodings import Decoding, LLaDA
from guided.diffusion.result import DiffusionResult, DiffusionUsage
from guided.diffusion_model import DiffusionModel
from guided.errors import DeadEndError, InputError, ValidationFailedError
from guided.model import Prompt
from guided.options import Settings
from guided.outputs import Output
from guided.prompts import describe_prompt
from guided.result import Result
from guided.sampling import token_limit

#: Options that change how the next token is drawn, and what they are without an effect.
_CAUSAL_ONLY: dict[str, Any] = {
    "controls": (), "min_p": None, "repetition_penalty": None, "stops": (), "after": None,
    "draft": "auto", "kv_limit": None, "align": "none", "trace": None,
}  # fmt: skip


@dataclass(frozen=True)
class CanvasRow:
    """One canvas: its prompt, what it is to be, and its slots."""

    model: DiffusionModel
    prompt: tuple[int, ...]
    output: Output
    length: int

    @property
    def constraint(self) -> GrammarConstraint | None:
        """What is allowed on it; None: anything."""
        grammar = self.output.grammar
        return None if grammar is None else GrammarConstraint(grammar, self.model.vocabulary)

    def result(self, found: DiffusionResult, seconds: float, discarded: int = 0) -> Result[Any]:
        """A decoded canvas as a result; its value is None where the canvas could not be filled.

        Args:
            seconds: wall time of its call; `discarded`: tokens drawn for values that were refused.

        Raises:
            ValidationFailedError: the text is in the grammar, its parser refused it.
        """
        return self._result(found, seconds, discarded, parses=True)

    def unread(self, found: DiffusionResult, seconds: float) -> Result[Any]:
        """The same for a text that is not to be parsed; its value is None."""
        return self._result(found, seconds, 0, parses=False)

    def _result(
        self, found: DiffusionResult, seconds: float, discarded: int, parses: bool
    ) -> Result[Any]:
        pieces = spelled(self.model, found.tokens)
        text = b"".join(pieces).decode(errors="replace")
        is_whole = found.is_complete and found.finish_reason not in ("cut", "interrupt")
        value = self.output.parse(text) if is_whole and parses else None
        usage = found.usage
        return Result(
            text,
            value,
            found.tokens,
            found.log_p[: len(found.tokens)],
            found.log_q[: len(found.tokens)],
            found.finish_reason,
            Usage(
                tokens=len(found.tokens),
                discarded=discarded,
                passes=usage.passes,
                positions=usage.positions,
                drafted=usage.drafted,
                accepted=usage.accepted,
                seconds=seconds,
            ),
            token_ends=tuple(accumulate(map(len, pieces))),
            certificate=found,
        )


def spelled(model: DiffusionModel, tokens: Sequence[int]) -> list[bytes]:
    """What every token spells; a slot that is still open, the mask's name."""
    mask = str(getattr(model.tokenizer, "mask_token", None) or "<mask>").encode()
    texts, mask_id = token_index(model.vocabulary).texts, model.adapter.mask_id
    pieces = [mask if token == mask_id else texts[token] for token in tokens]
    if model.vocabulary.drops_first_space:
        first = next((place for place, piece in enumerate(pieces) if piece), None)
        if first is not None:
            pieces[first] = pieces[first].removeprefix(b" ")
    return pieces


def canvas_rows(
    model: DiffusionModel, prompts: Sequence[Prompt], outputs: Sequence[Output], settings: Settings
) -> list[CanvasRow]:
    """`settings.n` rows for every prompt, in order.

    Raises:
        InputError: an option that only a causal model has, a prompt that fills the context.
    """
    _check_options(settings)
    rows = []
    for prompt, output in zip(prompts, outputs, strict=True):
        if settings.describe is not None and output.schema is not None:
            prompt = describe_prompt(prompt, settings.describe, output.schema)
        tokens = model.encode(prompt, settings.chat_options)
        length = token_limit(
            settings.max_new_tokens, model.generation_config, model.context_length, tokens
        )
        rows += [CanvasRow(model, tuple(tokens), output, length)] * settings.n
    return rows


def decoding_of(model: DiffusionModel, settings: Settings) -> Decoding:
    """How to decode: what the caller says, or else one slot a pass at the temperature asked for.

    Raises:
        InputError: a temperature beside a decoding that has its own; several equal outputs.
    """
    given = {name: getattr(settings, name) for name in ("temperature", "top_k", "top_p")}
    said = {name: value for name, value in given.items() if value is not None}
    if settings.decoding is not None:
        if said:
            raise InputError(
                f"{', '.join(said)} beside decoding=: give them to it, as in"
                f" {type(settings.decoding).__name__}(temperature=0.7)"
            )
        found = settings.decoding
    else:
        config = model.generation_config
        if getattr(config, "do_sample", None) and "temperature" not in said:
            said["temperature"] = getattr(config, "temperature", None) or 1.0
        found = LLaDA(**said)
    if not found.rules(model.adapter.block_length).warp.temperature:
        settings.check_greedy()
    return found


def canvas_results(
    model: DiffusionModel, prompts: Sequence[Prompt], outputs: Sequence[Output], settings: Settings
) -> list[Result[Any]]:
    """`settings.n` results for every prompt.

    Raises:
        InputError: an argument cannot work; BudgetError: a canvas that nothing valid fits into.
        ValidationFailedError: a validator has refused a value once more than `retries`.
    """
    rows = canvas_rows(model, prompts, outputs, settings)
    decoder = MaskedDiffusionDecoder(model.adapter, decoding_of(model, settings))
    tracks = decoder.open(
        [row.prompt for row in rows],
        [row.length for row in rows],
        constraint=[row.constraint for row in rows],
        seed=settings.seed,
    )
    results: list[Result[Any]] = []
    stopped = False
    for begin in range(0, len(rows), settings.batch_size):
        end = begin + settings.batch_size
        batch = _Batch(decoder, rows[begin:end], tracks[begin:end], settings, stopped)
        results += batch.results()
        stopped = batch.stopped
    return results


def check_complete(results: Sequence[Result[Any]]) -> None:
    """Refuses canvases that could not be filled.

    Raises:
        DeadEndError: one ended without a valid text.
    """
    for result in results:
        found = result.certificate
        if isinstance(found, DiffusionResult) and not found.is_complete:
            checks = found.checks
            raise DeadEndError(
                f"the canvas could not be completed ({result.finish_reason}): {checks.rejections}"
                f" proposals were refused, {checks.unknown} checks were not answered in time;"
                f" run returns what there is: {result.text!r}"
            )


@dataclass
class _Batch:
    """Rows that are decoded side by side, again where a validator refuses.

    Attributes:
        stopped: whether Ctrl-C has ended decoding, in a batch before it or in this one.
    """

    decoder: MaskedDiffusionDecoder
    rows: Sequence[CanvasRow]
    tracks: Sequence[Track]
    settings: Settings
    stopped: bool
    _found: dict[int, Result[Any]] = field(default_factory=dict)

    def results(self) -> list[Result[Any]]:
        began = time.perf_counter()
        discarded = [0] * len(self.rows)
        for attempt in range(self.settings.retries + 1):
            tracks = self._opened(attempt)
            self._run(list(tracks.values()))
            for at, track in tracks.items():
                read = self._read(track)
                seconds = time.perf_counter() - began
                try:
                    self._found[at] = self.rows[at].result(read, seconds, discarded[at])
                except ValidationFailedError:
                    if attempt == self.settings.retries:
                        raise
                    discarded[at] += len(read.tokens)
        return [self._found[at] for at in range(len(self.rows))]

    def _opened(self, attempt: int) -> dict[int, Track]:
        """The rows without a result, at their begin; each attempt has its own random numbers."""
        open_rows = [at for at in range(len(self.rows)) if at not in self._found]
        if attempt:
            return {at: self.tracks[at].fork(attempt) for at in open_rows}
        return {
            at: replace(self.tracks[at], usage=DiffusionUsage(), tally=Tally()) for at in open_rows
        }

    def _run(self, tracks: Sequence[Track]) -> None:
        """Decodes rows until all have ended, or Ctrl-C."""
        try:
            while not self.stopped and not all(track.is_done for track in tracks):
                self.decoder.step(tracks)
        except KeyboardInterrupt:
            self.stopped = True

    def _read(self, track: Track) -> DiffusionResult:
        found = self.decoder.result(track)
        return found if track.is_done else replace(found, finish_reason="interrupt")


def _check_options(settings: Settings) -> None:
    wrong = [
        "stop" if name == "stops" else name
        for name, neutral in _CAUSAL_ONLY.items()
        if getattr(settings, name) != neutral
    ]
    if wrong:
        raise InputError(
            f"{', '.join(wrong)} cannot be had from a masked-diffusion model, which does not draw"
            " its tokens one after the other"
        )
