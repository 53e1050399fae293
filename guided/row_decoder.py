"""Rows decoded in batches, again where a validator refuses, to results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from guided.decoding import Branch, Decoder, Usage
from guided.errors import ValidationFailedError
from guided.options import Settings
from guided.result import Result
from guided.rows import Row

_NOT_BEGUN: Result[Any] = Result("", None, (), (), (), "interrupt", Usage())


class RowDecoder:
    """Decodes all rows; Ctrl-C keeps what there is."""

    def __init__(self, decoder: Decoder, rows: Sequence[Row], settings: Settings) -> None:
        self.decoder = decoder
        self.rows = rows
        self.settings = settings
        self.results: dict[int, Result[Any]] = {}
        self.discarded = [0] * len(rows)
        self.is_interrupted = False

    def run(self) -> list[Result[Any]]:
        """The results of all rows in their order.

        Raises:
            ValidationFailedError: a validator has refused a value once more than `retries`.
        """
        waiting = list(range(len(self.rows)))
        for attempt in range(self.settings.retries + 1):
            waiting = self._attempt(waiting, attempt)
        return [self.results.get(index, _NOT_BEGUN) for index in range(len(self.rows))]

    def _attempt(self, waiting: Sequence[int], attempt: int) -> list[int]:
        """Decodes the waiting rows; those that were refused and may try again."""
        refused: list[int] = []
        size = self.settings.batch_size
        for at in range(0, len(waiting), size):
            if self.is_interrupted:
                break
            chunk = waiting[at : at + size]
            began = time.perf_counter()
            branches = self._grow(chunk, attempt)
            seconds = time.perf_counter() - began
            for index, branch in zip(chunk, branches, strict=False):
                if not self._settle(index, branch, seconds, attempt):
                    refused.append(index)
        return refused

    def _grow(self, chunk: Sequence[int], attempt: int) -> list[Branch]:
        """The finished branches of some rows; none if Ctrl-C came while the prompts were read."""
        rows = [self.rows[index] for index in chunk]
        seed = self.settings.seed
        try:
            branches = self.decoder.open(
                [row.tokens for row in rows],
                [row.controls for row in rows],
                seed,
                max_new_tokens=[row.limit for row in rows],
                rows=[row.stream(seed, attempt) for row in rows],
            )
        except KeyboardInterrupt:
            self.is_interrupted = True
            return []
        self.decoder.extend(branches)
        self.is_interrupted = any(branch.finish_reason == "interrupt" for branch in branches)
        return branches

    def _settle(self, index: int, branch: Branch, seconds: float, attempt: int) -> bool:
        """Keeps the result of a branch; False if its value was refused and may be tried again."""
        try:
            self.results[index] = self.rows[index].result(branch, seconds, self.discarded[index])
        except ValidationFailedError:
            if attempt == self.settings.retries:
                raise
            self.discarded[index] += len(branch.tokens)
            return False
        return True
