"""What a schema costs and gives: validity, accuracy, rescues, time of checks, share of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import guided
from guided.diffusion import (
    Decoding,
    FastDLLM,
    GrammarConstraint,
    LLaDA,
    MaskedDiffusionDecoder,
    Policy,
)
from guided.diffusion.protocols import Judged
from guided.grammars.canvas import Verdict
from guided.grammars.grammar import Grammar
from guided.outputs import output_of

from ..figures import Figure, Report, Table
from .programs import MISTAKES, SLOTS, Writer, writer
from .tasks import Question, questions

T = TypeVar("T")
#: A forward pass of LLaDA-8B over a prompt of 512 tokens and a canvas of 256 slots, assumed: 2 FLOP
#: for each of 8e9 parameters and position, at 400 TFLOP/s.
LARGE_PASS = 2 * 8e9 * (512 + 256) / 400e12


@dataclass
class Clock:
    """CPU times of single checks, and of all that a constraint does.

    Attributes:
        checks: every question about tokens, asked of one token or of many together.
        first: how many of them were the first about a canvas.
        total: all that the constraint did.
    """

    checks: list[float] = field(default_factory=list)
    first: int = 0
    total: float = 0.0

    def timed(self, work: Callable[[], T], is_check: bool = False) -> T:
        began = time.process_time()
        found = work()
        spent = time.process_time() - began
        self.total += spent
        if is_check:
            self.checks.append(spent)
        return found


@dataclass
class TimedFilling:
    """A filling whose answers are timed; what a check needs to go on belongs to the check."""

    inner: Judged
    clock: Clock
    is_fresh: bool = True

    def check(self, slot: int, token: int) -> Verdict:
        self._note()
        return self.clock.timed(lambda: self.inner.check(slot, token), is_check=True)

    def fix(self, tokens: Mapping[int, int]) -> TimedFilling | None:
        # One token was asked about before; of many this is the question.
        asks = len(tokens) > 1
        if asks:
            self._note()
        after = self.clock.timed(lambda: self.inner.fix(tokens), is_check=asks)
        return None if after is None else TimedFilling(after, self.clock)

    def completion(self) -> Any:
        return self.clock.timed(self.inner.completion)

    def _note(self) -> None:
        self.clock.first += self.is_fresh
        self.is_fresh = False

    @property
    def verdict(self) -> Verdict:
        return self.clock.timed(lambda: self.inner.verdict)


@dataclass(frozen=True)
class TimedConstraint:
    """A grammar constraint whose answers are timed."""

    inner: GrammarConstraint
    clock: Clock

    def begin(self, slots: Sequence[int | None]) -> TimedFilling:
        return TimedFilling(self.clock.timed(lambda: self.inner.begin(slots)), self.clock)


@dataclass(frozen=True)
class Outcome:
    """Shares in percent; seconds of the constraint and of everything; passes."""

    valid: float
    right: float
    rescued: float
    clock: Clock
    seconds: float
    passes: int


def outcome(
    model: guided.DiffusionModel | Writer,
    way: Decoding,
    asked: Sequence[Question],
    constrained: bool,
    rescue: bool = True,
) -> Outcome:
    """How a way does with or without the questions' schemas."""
    clock = Clock()
    decoder = MaskedDiffusionDecoder(model.adapter, way, policy=Policy(rescue=rescue))
    began = time.process_time()
    found = decoder.generate(
        [model.encode(question.prompt) for question in asked],
        [question.slots for question in asked],
        constraint=[
            TimedConstraint(GrammarConstraint(grammar, model.vocabulary), clock)
            if constrained and grammar is not None
            else None
            for grammar in map(grammar_of, asked)
        ],
    )
    seconds = time.process_time() - began
    pairs = [(q, model.decode(each.tokens)) for q, each in zip(asked, found, strict=True)]
    share = 100 / len(asked)
    return Outcome(
        share * sum(question.is_valid(text) for question, text in pairs),
        share * sum(question.is_right(text) for question, text in pairs),
        share * sum(each.finish_reason == "rescued" for each in found),
        clock,
        seconds,
        sum(each.usage.passes for each in found),
    )


def grammar_of(question: Question) -> Grammar | None:
    """The grammar of a question or its schema, compiled outside of what is timed."""
    return question.grammar or output_of(schema=question.schema).grammar


def measure(
    model: guided.DiffusionModel, ways: Mapping[str, Decoding], count: int, report: Report
) -> None:
    """Tables and figures of JSON extraction with the schema enforced."""
    asked = questions("json", count, seed=2)
    outcome(model, LLaDA(), asked[:2], True)  # compiles kernels and grammars
    table = Table(
        ["decoding", "free valid", "free right", "valid, no rescue", "valid", "right", "rescued"],
        title="JSON extraction, in %: without and with the schema",
    )
    for name, way in ways.items():
        free = outcome(model, way, asked, False)
        bare = outcome(model, way, asked, True, rescue=False)
        held = outcome(model, way, asked, True)
        cells = [free.valid, free.right, bare.valid, held.valid, held.right, held.rescued]
        table.rows.append([name, *(f"{cell:.0f}" for cell in cells)])
        report.figures += [
            Figure(f"{name}_valid_with_rescue", held.valid, "%", ">= 100"),
            Figure(f"{name}_rescued", held.rescued, "%"),
            Figure(f"{name}_right_gain", held.right - free.right, "points", ">= 0"),
        ]
        _times(name, held, report)
    report.tables.append(table)
    report.notes.append(
        f"{count} notes on canvases of {asked[0].slots} slots. overhead_8b: CPU time of the "
        f"constraint beside a forward pass of {1e3 * LARGE_PASS:.0f} ms, assumed for 8e9 "
        "parameters and 768 positions at 400 TFLOP/s; overhead_embedded: beside all else here"
    )


def measure_wide(model: guided.DiffusionModel, count: int, report: Report) -> None:
    """Times of checks on canvases of 256 slots, which the model was not trained on."""
    asked = [replace(question, slots=256) for question in questions("json", count, seed=3)]
    for name, way in {"wide": FastDLLM(threshold=0.9), "wide_static": LLaDA()}.items():
        held = outcome(model, way, asked, True)
        report.figures.append(Figure(f"{name}_valid_with_rescue", held.valid, "%", ">= 100"))
        _times(name, held, report)


def measure_c_like(model: guided.DiffusionModel, count: int, report: Report) -> None:
    """The same for programs of the C-like grammar on canvases of 256 slots."""
    network, asked = writer(model, count)
    outcome(network, FastDLLM(threshold=0.9), asked[:1], True)
    table = Table(
        ["decoding", "free valid", "valid, no rescue", "valid", "rescued"],
        title="Programs of the C-like grammar, in %: without and with the grammar",
    )
    for name, way in {"c_like": FastDLLM(threshold=0.9), "c_like_static": LLaDA()}.items():
        free = outcome(network, way, asked, False)
        bare = outcome(network, way, asked, True, rescue=False)
        held = outcome(network, way, asked, True)
        cells = [free.valid, bare.valid, held.valid, held.rescued]
        table.rows.append([name, *(f"{cell:.0f}" for cell in cells)])
        report.figures += [
            Figure(f"{name}_valid_with_rescue", held.valid, "%", ">= 100"),
            Figure(f"{name}_rescued", held.rescued, "%"),
        ]
        _times(name, held, report)
    report.tables.append(table)
    report.notes.append(
        f"{count} programs on canvases of {SLOTS} slots. The embedded model knows no programs: a "
        "network without weights, over its vocabulary, leans towards one program for each prompt, "
        f"at {100 * MISTAKES:.0f} % of the slots towards another token of it, and fills the slots "
        "in random order"
    )


def _times(name: str, held: Outcome, report: Report) -> None:
    checks = sorted(held.clock.checks)
    if not checks:
        return
    # A check is one question, be it of one token or of all that a step takes together.
    decoding = held.seconds - held.clock.total
    report.figures += [
        Figure(f"{name}_check_median", 1e3 * statistics.median(checks), "ms", "<= 1"),
        Figure(f"{name}_check_p99", 1e3 * checks[int(0.99 * len(checks))], "ms", "<= 20"),
        Figure(f"{name}_first_checks", 100 * held.clock.first / len(checks), "%"),
        Figure(
            f"{name}_overhead_8b", 100 * held.clock.total / (LARGE_PASS * held.passes), "%", "<= 10"
        ),
        Figure(f"{name}_overhead_embedded", 100 * held.clock.total / decoding, "%"),
    ]
