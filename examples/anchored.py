"""A model knows protected texts by heart: keep it near a model that never saw them.

    python examples/anchored.py
    python examples/anchored.py --k 0 0.1 0.2 0.5 1 2 --samples 4 --plot anchored.svg
    python examples/anchored.py --model RISKY --safe SAFE --passages mine.jsonl --facts facts.jsonl

The risky model continues passages that it has learned by heart, and writes entries of a gazetteer,
which is what it is used for. With a budget of k nats for each token it may deviate so far from the
safe model (`guided.Anchored`): the table shows what it still copies, and what it still knows.

A passage is a line `{"prompt": ..., "continuation": ...}`, a fact sheet a line `{"prompt": ...,
"facts": {kind: word}}`: a fact is right where its word is the first of its kind in the text.
"""

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import guided
from guided.copying import measure, normalised_reduction
from guided.copying.plot import check_plot, write_plot
from guided.errors import GuidedError, InputError

HERE = Path(__file__).parent
BUDGETS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
LONGEST = 100


class Outcome(NamedTuple):
    """The mean of every copy measure, the share of facts that are right, nats spent a token."""

    copied: dict[str, float]
    right: float
    spent: float


def lines_of(path: Path, keys: tuple[str, ...], count: int | None) -> list[dict[str, Any]]:
    """The first objects of a file of JSON lines. Raises InputError."""
    try:
        rows = [
            json.loads(line)
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as lines of JSON: {error}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not set(keys) <= set(row):
            raise InputError(f"{path}, line {number}: not an object with {' and '.join(keys)}")
        _check_row(row, f"{path}, line {number}")
    if not rows:
        raise InputError(f"{path} has no lines")
    return rows[:count]


def _check_row(row: dict[str, Any], where: str) -> None:
    """Raises InputError unless texts are texts, and facts words by kind."""
    for key in ("prompt", "continuation"):
        if not isinstance(row.get(key, ""), str):
            raise InputError(f"{where}: {key} is not text")
    facts = row.get("facts", {"kind": "word"})
    if (
        not isinstance(facts, dict)
        or not facts
        or not all(isinstance(w, str) for w in facts.values())
    ):
        raise InputError(f"{where}: facts is not an object of words by kind")


def facts_right(text: str, facts: dict[str, str], kinds: dict[str, set[str]]) -> float:
    """The share of facts whose word is the first of its kind in the text."""
    said = re.findall(r"\w+", text)
    first = {kind: next((word for word in said if word in kinds[kind]), None) for kind in facts}
    return statistics.fmean(first[kind] == word for kind, word in facts.items())


def outcome(
    model: guided.Model, controls: list[Any], options: argparse.Namespace, rows: "Rows"
) -> Outcome:
    """Continues everything `options.samples` times at temperature 1."""
    prompts = [row["prompt"] for row in (*rows.passages, *rows.sheets)] * options.samples
    results = guided.run(
        model,
        prompts,
        controls=controls,
        temperature=1.0,
        max_new_tokens=LONGEST,
        seed=options.seed,
        batch_size=len(prompts),
        heal=False,
    )
    copied, right = [], []
    kinds = rows.kinds()
    for row, result in zip([*rows.passages, *rows.sheets] * options.samples, results, strict=True):
        if "continuation" in row:
            copied.append(measure(result.text, row["continuation"]).as_dict())
        else:
            right.append(facts_right(result.text, row["facts"], kinds))
    ledgers = [result.certificate for result in results if result.certificate is not None]
    spent = sum(ledger.spent for ledger in ledgers) / sum(len(r.tokens) for r in results)
    means = {name: statistics.fmean(one[name] for one in copied) for name in copied[0]}
    return Outcome(means, statistics.fmean(right), spent)


class Rows(NamedTuple):
    """What the model is asked."""

    passages: list[dict[str, Any]]
    sheets: list[dict[str, Any]]

    def kinds(self) -> dict[str, set[str]]:
        """All words of every kind of fact."""
        found: dict[str, set[str]] = {}
        for row in self.sheets:
            for kind, word in row["facts"].items():
                found.setdefault(kind, set()).add(word)
        return found


def line(name: str, found: Outcome, reduction: float) -> str:
    """A row of the table."""
    copied = found.copied
    shown = f"{copied['rouge_l']:8.2f} {copied['lcs_words']:10.1f} {copied['run_words']:10.1f}"
    return f"{name:8} {shown} {reduction:8.0f} % {found.right:8.0%} {found.spent:10.2f}"


def main(options: argparse.Namespace) -> None:
    if options.plot:
        check_plot(options.plot)
    budgets = sorted(set(options.k))
    if options.plot and len(budgets) < 2:
        raise InputError("a plot needs at least two values of --k")
    rows = Rows(
        lines_of(options.passages, ("prompt", "continuation"), options.count),
        lines_of(options.facts, ("prompt", "facts"), options.count),
    )
    risky, safe = guided.load(str(options.model)), guided.load(str(options.safe))
    controls = [guided.Anchored(safe, k=k) for k in budgets]
    ends = outcome(risky, [], options, rows), outcome(safe, [], options, rows)

    def reduction(found: Outcome) -> float:
        return normalised_reduction(found.copied, ends[0].copied, ends[1].copied)

    print("            ROUGE-L  LCS words  run words   copied less   facts nats/token")
    print(line("risky", ends[0], 0))
    reductions, right = [], []
    for k, control in zip(budgets, controls, strict=True):
        found = outcome(risky, [control], options, rows)
        reductions.append(reduction(found))
        right.append(100 * found.right)
        print(line(f"k = {k:g}", found, reductions[-1]), flush=True)
    print(line("safe", ends[1], 100))
    if options.plot:
        lines = {"copied less (NCR)": reductions, "facts right": right}
        write_plot(budgets, lines, "Copying and knowledge against the budget", options.plot)
        print(f"\nwritten to {options.plot}")


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models, data = HERE / "models", HERE / "data"
    parser.add_argument("--model", default=models / "tiny-risky", help="folder or Hub id")
    parser.add_argument("--safe", default=models / "tiny-safe", help="folder or Hub id")
    parser.add_argument("--passages", type=Path, default=data / "protected_passages.jsonl")
    parser.add_argument("--facts", type=Path, default=data / "towns.jsonl")
    parser.add_argument("--k", type=float, nargs="+", default=list(BUDGETS), help="nats per token")
    parser.add_argument("--count", type=positive, help="of passages and fact sheets; all")
    parser.add_argument("--samples", type=positive, default=1, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", help="file that ends with .svg")
    return parser.parse_args(given)


def positive(text: str) -> int:
    """A whole number from 1. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a whole number from 1: {text!r}")
    return int(text)


if __name__ == "__main__":
    try:
        main(arguments(sys.argv[1:]))
    except (GuidedError, OSError) as error:
        sys.exit(f"anchored.py: {error}")
