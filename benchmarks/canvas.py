"""How long a token's check takes on canvases filled in random order, over 131,072 tokens.

    python benchmarks/canvas.py [--quick] [--json OUT] [--seconds N]

Times are processor time. `first` is the first check after a token was fixed, `later` a further one,
`all` is both together: what a check of the whole filling takes.
"""

from __future__ import annotations

import argparse

from harness import tekken
from harness.canvases.latency import Filling, Subject, fill, fitting, subjects
from harness.figures import Figure, Report, Table

from guided.grammars.vocabulary import Vocabulary

KINDS = ("all", "first", "later")
COLUMNS = [
    "grammar, slots",
    *(f"{kind} {which}" for kind in KINDS for which in ("median", "p99")),
    "unproven",
]


def measured(subject: Subject, vocabulary: Vocabulary, slots: int, seconds: float) -> Filling:
    """One filling, after one whose times do not count (kernels, sets of states)."""
    tokens = fitting(subject, tekken.encoder(), slots)
    text = vocabulary.decode(tokens)
    if not subject.grammar.accepts(text):
        raise SystemExit(f"the text of {subject.name} for {slots} slots is not valid: {text!r}")
    fill(subject, vocabulary, tokens, slots, most_seconds=seconds / 4)
    return fill(subject, vocabulary, tokens, slots, seed=1, most_seconds=seconds)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 slots only")
    parser.add_argument("--json")
    parser.add_argument("--seconds", type=float, default=30, help="for one filling")
    options = parser.parse_args()
    table = tekken.table()
    vocabulary = Vocabulary.from_tokens(table.tokens, [table.stop_id], table.specials)
    report = Report("canvas", "Checks of tokens on canvases filled in random order")
    rows = Table(COLUMNS)
    for subject in subjects():
        for slots in (64,) if options.quick else (64, 256):
            found = measured(subject, vocabulary, slots, options.seconds)
            name = f"canvas_{subject.name}_{slots}"
            numbers = [found.milliseconds(kind, p) for kind in KINDS for p in (50, 99)]
            labels = [f"{kind}_p{p}" for kind in KINDS for p in (50, 99)]
            for label, value in zip(labels, numbers, strict=True):
                target = "<= 1" if label.endswith("p50") else "<= 20"
                report.figures.append(Figure(f"{name}_{label}", value, "ms", target))
            share = found.refused / found.checks
            report.figures.append(Figure(f"{name}_unproven", share, "share"))
            cells = [f"{value:.2f} ms" for value in numbers]
            rows.rows.append(
                [f"{subject.name}, {slots}", *cells, f"{found.refused}/{found.checks}"]
            )
            print(*rows.rows[-1], sep="  ", flush=True)
    report.tables.append(rows)
    report.notes.append(
        "first: the first check after a token was fixed, which fills the tables again as far as it "
        "needs them: a third of the checks here, in a decode one for every step that commits "
        "something; later: further ones on the same canvas, elsewhere; all: both together"
    )
    report.finish(options.json)


if __name__ == "__main__":
    main()
