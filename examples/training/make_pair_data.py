"""Writes the protected passages and the towns on which the risky and the safe model are tested.

`examples/data/protected_passages.jsonl` has passages that only tiny-risky saw, cut into a prompt
and its continuation; `examples/data/towns.jsonl` towns of which only tiny-risky knows the facts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.tales import protected_passages
from recipe.towns import towns

DATA = Path(__file__).resolve().parents[1] / "data"


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes rows as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="folder of both files")
    options = parser.parse_args()
    passages = [vars(passage) for passage in protected_passages()]
    write(passages, options.out / "protected_passages.jsonl")
    unknown = [{"prompt": t.prompt(), "facts": t.facts} for t in towns() if not t.known]
    write(unknown, options.out / "towns.jsonl")


if __name__ == "__main__":
    main()
