"""Passes, validity and accuracy of each way to decode, beside one slot a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import guided
from guided.diffusion import (
    Confident,
    Decoding,
    DiffusionResult,
    Dream,
    EntropyBound,
    FastDLLM,
    FreeDave,
    LLaDA,
    MaskedDiffusionDecoder,
    Prophet,
)

from ..figures import Figure, Report, Table
from .tasks import LISTS, Question, questions

STATIC = "LLaDA()"
WAYS: Mapping[str, Decoding] = {
    STATIC: LLaDA(),
    "LLaDA(steps=4)": LLaDA(steps=4),
    "LLaDA(steps=1)": LLaDA(steps=1),
    "Dream(steps=8)": Dream(steps=8),
    "FastDLLM(threshold=0.9)": FastDLLM(threshold=0.9),
    "FastDLLM(threshold=0.6)": FastDLLM(threshold=0.6),
    "FastDLLM(factor=1.0)": FastDLLM(factor=1.0),
    "EntropyBound(gamma=0.1)": EntropyBound(gamma=0.1),
    "Confident(threshold=0.95)": Confident(threshold=0.95),
    "Prophet()": Prophet(),
    "FreeDave(d=4)": FreeDave(d=4),
    "FreeDave(d=4, of=FastDLLM())": FreeDave(d=4, of=FastDLLM(threshold=0.9)),
}
KINDS = (*LISTS, "json")


@dataclass(frozen=True)
class Score:
    """Shares in percent, and passes of a row on average."""

    passes: float
    valid: float
    right: float
    tokens: tuple[tuple[int, ...], ...]


def decoded(
    model: guided.DiffusionModel, way: Decoding, asked: Sequence[Question]
) -> list[DiffusionResult]:
    """The canvases of questions; passes are counted for each row."""
    decoder = MaskedDiffusionDecoder(model.adapter, way)
    prompts = [model.encode(question.prompt) for question in asked]
    return decoder.generate(prompts, [question.slots for question in asked])


def scored(model: guided.DiffusionModel, way: Decoding, asked: Sequence[Question]) -> Score:
    """How a way does on questions."""
    found = decoded(model, way, asked)
    texts = [model.decode(each.tokens) for each in found]
    pairs = list(zip(asked, texts, strict=True))
    count = len(asked)
    return Score(
        sum(each.usage.passes for each in found) / count,
        100 * sum(question.is_valid(text) for question, text in pairs) / count,
        100 * sum(question.is_right(text) for question, text in pairs) / count,
        tuple(each.tokens for each in found),
    )


def measure(model: guided.DiffusionModel, count: int, report: Report) -> None:
    """A table of all ways, and the figures that have targets."""
    scores = {
        (name, kind): scored(model, way, questions(kind, count, seed=1))
        for kind in KINDS
        for name, way in WAYS.items()
    }
    table = Table(["decoding", *KINDS], title="passes / valid % / right %")
    for name in WAYS:
        cells = [scores[name, kind] for kind in KINDS]
        table.rows.append(
            [name, *(f"{c.passes:.1f} / {c.valid:.0f} / {c.right:.0f}" for c in cells)]
        )
    report.tables.append(table)
    report.notes.append(f"{count} questions of each kind, no constraint, greedy")
    for kind in KINDS:
        static, freedave = scores[STATIC, kind], scores["FreeDave(d=4)", kind]
        ratio = freedave.passes / static.passes
        same = sum(a == b for a, b in zip(static.tokens, freedave.tokens, strict=True))
        report.figures += [
            Figure(f"{kind}_static_right", static.right, "%"),
            Figure(f"{kind}_freedave4_to_static_passes", ratio, "x", "<= 0.75"),
            Figure(f"{kind}_freedave4_same_tokens", 100 * same / count, "%", ">= 100"),
        ]
    passes = scores["FastDLLM(threshold=0.9)", "copy"].passes
    report.figures.append(Figure("copy_threshold_0.9_passes", passes, "passes", "<= 1.5"))
