"""Tokens for each pass of the large model, for every drafter and kind of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import guided
from guided.decoding.drafters.draft_model import DraftModel
from guided.decoding.drafters.grammar import GrammarText
from guided.decoding.drafters.lookup import Lookup
from guided.decoding.drafters.ngram import LogitNgram
from guided.decoding.drafters.protocol import Drafter
from guided.decoding.drafters.recycling import Recycling
from guided.decoding.drafters.spelling import spell_as
from guided.decoding.drafters.structured import Structured
from guided.decoding.drafters.suffix import Suffix
from guided.decoding.policy import Fixed
from guided.decoding.speculation import Speculation
from guided.drafting import drafters

from ..figures import Report, Table
from .timing import Plan
from .ways import guided_texts
from .workloads import Workload

Maker = Callable[[Workload], list[Drafter]]
#: Guesses for each row and pass: a fixed number, so that the table does not depend on the machine.
NODES = 12


def _grammar(workload: Workload) -> GrammarText:
    vocabulary = workload.model.vocabulary
    return GrammarText(vocabulary, spell_as(workload.model.tokenizer, vocabulary))


def _draft_model(workload: Workload) -> list[Drafter]:
    if workload.assistant is None:
        raise FileNotFoundError("no smaller model of the same vocabulary")
    vocabulary = workload.model.vocabulary
    small = guided.Model(workload.assistant, workload.model.tokenizer, vocabulary=vocabulary)
    return [DraftModel(small, vocabulary)]


MAKERS: dict[str, Maker] = {
    "grammar": lambda workload: [_grammar(workload)],
    "prompt lookup": lambda workload: [Lookup(workload.model.vocabulary)],
    "both, joined": lambda workload: [
        Structured(_grammar(workload), Lookup(workload.model.vocabulary))
    ],
    "suffix automaton": lambda workload: [Suffix(workload.model.vocabulary)],
    "n-grams with laws": lambda workload: [LogitNgram(workload.model.vocabulary)],
    "token recycling": lambda workload: [Recycling(workload.model.vocabulary)],
    "draft model": _draft_model,
    'those of draft="auto"': lambda workload: drafters(workload.model),
}


def measure(workloads: Sequence[Workload], plan: Plan, report: Report) -> None:
    """Adds the table: a row for each drafter. Every cell begins with a drafter that knows nothing.

    Two batches are decoded where there are prompts enough: in the second one the drafter has seen
    the texts of the first.
    """
    columns = [f"{workload.name}, {rows}" for workload in workloads for rows in plan.batches]
    title = f"Tokens for each pass, by workload and batch, with {NODES} guesses a row and pass"
    table = Table(["drafter", *columns], title=title)
    report.tables.append(table)
    for name, make in MAKERS.items():
        cells = []
        for workload in workloads:
            cells += [_cell(name, make, workload, rows, plan, report) for rows in plan.batches]
        table.rows.append([name, *cells])


def _cell(name: str, make: Maker, workload: Workload, rows: int, plan: Plan, report: Report) -> str:
    try:
        draft = Speculation(make(workload), policy=Fixed(NODES))
        parts = [workload.prompts[:rows]]
        if plan.warms_up:
            parts.append(workload.prompts[rows : 2 * rows])
        results = [r for part in parts if part for r in guided_texts(workload, part, draft)]
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        note = f"drafter {name} on {workload.name}: not run, {reason}"
        if note not in report.notes:
            report.notes.append(note)
        return "not run"
    tokens = sum(result.usage.tokens for result in results)
    passes = sum(result.usage.passes for result in results)
    return f"{tokens / passes:.2f}"
