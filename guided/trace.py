"""A trace: what happened in a run, one JSON object a line.

Every line has a `kind`; all but the first also `problem`, the number of the prompt:

* `run`: `version`, `method`, `settings`, `vocabulary` (how many tokens there are); the first line.
  A file may hold several runs: a further `run` begins the next
* `problem`: `prompt`
* `node`: `id`, `parent`, `round`, `text` and `tokens` of its own segment, `log_p` and `log_q`
  (sums over the segment), `reason` (how it ended; null: it can grow)
* `score`: `id`, `value`, `steps`; `spent`: tokens and reward passes up to here
* `facts`: `id` and figures of the method: `g`, `f`, `weight`, …
* `round`: `number`, `alive` (ids), `info`, `best`, `spent`
* `tokens`: `id`, `tokens`: for every token of the segment its `text`, `log_p`, `log_q`, the number
  of tokens that the controls `allowed`, and the likeliest `alternatives` [text, p, q] by the raw
  model and by the controlled law, whose q is null where the controls forbid the token
* `result`: `best`, `stopped`, `spent`, `text`, `value`, `certificate` (in words; null: none)

Whoever reads a trace skips kinds and facts that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from guided.errors import InputError

VERSION = 1


class Trace:
    """Writes a trace to a file, or keeps it as a list of records where no file is given.

    Args:
        tokens: records the tokens of the result and of all complete candidates, each with what
            else could have come and what the controls allowed. These texts are read once more for
            that when a prompt is done; nothing that is drawn changes, nothing is counted as spent.
    """

    def __init__(self, path: str | Path | None = None, *, tokens: bool = False) -> None:
        self.tokens = tokens
        self.records: list[dict[str, Any]] = []
        self._file: IO[str] | None = None
        if path is not None:
            self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def write(self, kind: str, **facts: Any) -> None:
        """Adds a record; what JSON does not know is written as text."""
        record = {"kind": kind, **facts}
        if self._file is None:
            self.records.append(record)
        else:
            self._file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")

    def flush(self) -> None:
        """Makes sure that everything so far is in the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_trace(path: str | Path) -> Iterator[Mapping[str, Any]]:
    """The records of a trace file.

    Raises:
        InputError: a line that is no record; says which one.
    """
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {number}: no JSON ({error})") from error
            if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
                raise InputError(f"{path}, line {number}: a record is an object with a kind")
            yield record
