"""Rows decoded as there is room, again where a validator refuses, to results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from guided.controls.pipeline import Pipeline
from guided.decoding import Branch, Decoder, Usage
from guided.decoding.loop import Loop
from guided.errors import ValidationFailedError
from guided.options import Settings
from guided.result import Result
from guided.rows import Row


class RowDecoder:
    """Decodes all rows, so many at a time; new ones enter as others end. Ctrl-C keeps what is."""

    def __init__(self, decoder: Decoder, rows: Sequence[Row], settings: Settings) -> None:
        self.decoder = decoder
        self.rows = rows
        self.settings = settings
        self.results: dict[int, Result[Any]] = {}
        self.discarded = [0] * len(rows)
        self.attempts = [0] * len(rows)
        self.growing: dict[int, tuple[Branch, float]] = {}
        self._pipelines: dict[int, Pipeline] = {}
        #: Why decoding stopped early: "interrupt" or "memory".
        self.stopped = ""

    def run(self) -> list[Result[Any]]:
        """The results of all rows in their order.

        Raises:
            ValidationFailedError: a validator has refused a value once more than `retries`.
        """
        waiting = deque(range(len(self.rows)))
        models = self._pipeline(self.rows[0]).models if self.rows else {}
        loop = self.decoder.loop(models=models)
        while (waiting or self.growing) and not self.stopped:
            self._admit(loop, waiting)
            if not self.stopped:
                # Nobody waits for the end of the last row: it needs no look after every token.
                is_last = not waiting and len(self.growing) == 1
                self.stopped = self.decoder.run(loop, steps=None if is_last else 1)
            self._collect(waiting)
        missing: Result[Any] = Result("", None, (), (), (), self.stopped, Usage())
        return [self.results.get(index, missing) for index in range(len(self.rows))]

    def _admit(self, loop: Loop, waiting: deque[int]) -> None:
        """Opens rows where there is room for several, so that their prompts are read together."""
        most = self._most()
        free = most - len(self.growing)
        if not waiting or (self.growing and free < min(len(waiting), max(1, most // 4))):
            return
        chunk = [waiting.popleft() for _ in range(min(free, len(waiting)))]
        rows = [self.rows[index] for index in chunk]
        seed, began = self.settings.seed, time.perf_counter()
        try:
            branches = self.decoder.open(
                [row.tokens for row in rows],
                [self._pipeline(row) for row in rows],
                seed,
                max_new_tokens=[row.limit for row in rows],
                rows=[
                    row.stream(seed, self.attempts[i]) for i, row in zip(chunk, rows, strict=True)
                ],
            )
        except KeyboardInterrupt:
            self.stopped = "interrupt"
            branches = []
        self.growing |= {i: (branch, began) for i, branch in zip(chunk, branches, strict=False)}
        if branches and not self.stopped:
            self.stopped = self.decoder.run(loop, branches, steps=0)

    def _pipeline(self, row: Row) -> Pipeline:
        """The controls of a row; rows with the same ones share it."""
        found = self._pipelines.get(id(row.controls))
        if found is None:
            found = self._pipelines[id(row.controls)] = Pipeline(row.controls)
        return found

    def _most(self) -> int:
        """Rows that are decoded at a time."""
        limit = self.settings.kv_limit
        if limit is None:
            return self.settings.batch_size
        longest = max(len(row.tokens) + row.limit for row in self.rows)
        need = max(1, longest * self.decoder.network.bytes_per_token)
        return max(1, min(self.settings.batch_size, limit // need))

    def _collect(self, waiting: deque[int]) -> None:
        for index, (branch, began) in list(self.growing.items()):
            if branch.finish_reason is not None:
                del self.growing[index]
                if not self._settle(index, branch, time.perf_counter() - began):
                    waiting.append(index)

    def _settle(self, index: int, branch: Branch, seconds: float) -> bool:
        """Keeps the result of a branch; False if its value was refused and may be tried again."""
        try:
            self.results[index] = self.rows[index].result(
                branch, seconds, self.discarded[index], self.decoder.usage.kv_bytes_peak
            )
        except ValidationFailedError:
            if self.attempts[index] == self.settings.retries:
                raise
            self.attempts[index] += 1
            self.discarded[index] += len(branch.tokens)
            return False
        return True
