"""DeAL with keywords that must come, beside beam search and greedy decoding."""

from __future__ import annotations

import random
from collections.abc import Sequence

import guided
from guided.search import DeAL

from ..figures import Figure, Report, Table
from .setting import MODELS

SENTENCES = 60


def measure(count: int, report: Report) -> None:
    """Share of texts that hold all keywords: the hard coverage of CommonGen."""
    model = guided.load(str(MODELS / "tiny-math"))
    cases = _cases(count)
    ways = {"greedy": DeAL(weight=0), "beam 4": DeAL(beams=4, weight=0), "DeAL": DeAL(4, 24, 20.0)}
    table = Table(["method", "all keywords, %", "tokens"], title=f"{count} keyword cases")
    shares = {}
    for name, search in ways.items():
        hits, tokens = 0, 0.0
        for prompt, words in cases:
            found = search.run(model, prompt, _covered(words), max_new_tokens=40, heal=False)
            hits += all(word in found.text for word in words)
            tokens += found.spent["tokens"]
        shares[name] = 100 * hits / count
        table.rows.append([name, f"{shares[name]:.1f}", f"{tokens / count:.0f}"])
    report.tables.append(table)
    report.figures += [
        Figure("deal_coverage", shares["DeAL"], "%"),
        Figure("deal_minus_beam_coverage", shares["DeAL"] - shares["beam 4"], "points", ">= 0"),
    ]


def _covered(words: Sequence[str]) -> object:
    return lambda prompt, text: sum(word in text for word in words) / len(words)


def _cases(count: int) -> list[tuple[str, list[str]]]:
    """Beginnings of word problems, and two items that the steps should name: numbers."""
    rng = random.Random(0)
    cases = []
    for _ in range(count):
        a, b, c = rng.randint(10, 30), rng.randint(2, 9), rng.randint(2, 9)
        question = f"Question: Ana has {a} coins. Ana gets {b} coins. Ana loses {c} coins. "
        question += "How many coins does Ana have now?\n"
        # A result that a wrong order of the steps would have.
        cases.append((question, [f"{a}-{c}=", f"+{b}="]))
    return cases
