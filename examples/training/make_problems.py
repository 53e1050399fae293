"""Writes `examples/data/word_problems.jsonl`, on which search and rewards are tested."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipe.chains import problem_as_json, problems

FILE = Path(__file__).resolve().parents[1] / "data" / "word_problems.jsonl"
COUNT, SEED = 500, 40_004


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    rows = [json.dumps(problem_as_json(one)) for one in problems(COUNT, SEED, "held")]
    options.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
