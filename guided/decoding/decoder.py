"""The only part that calls a model: it opens, grows, forks and closes branches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import TypeVar

import torch
from torch import Tensor

from guided.controls.pipeline import Pipeline, apply_all
from guided.controls.protocol import Context, Control
from guided.decoding.branch import Branch, Segment
from guided.decoding.memory import Memory, join
from guided.decoding.network import Network
from guided.decoding.sampling import Plain, Sampler, log_total
from guided.decoding.usage import Usage
from guided.errors import DeadEndError, InputError, LogitsError
from guided.grammars.vocabulary import Vocabulary

Until = Callable[[Branch], bool]
Limits = int | None | Sequence[int | None]
T = TypeVar("T")
_HALF = (torch.float16, torch.bfloat16)


class Decoder:
    """Plain batched decoding with the model's own cache, one token a pass.

    Args:
        network: the model.
        vocabulary: of the model's tokenizer, as wide as its logits.
        sampler: how a token is chosen from the controlled law.
    """

    def __init__(
        self, network: Network, vocabulary: Vocabulary, sampler: Sampler | None = None
    ) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.sampler = sampler if sampler is not None else Plain()
        self.usage = Usage()
        self._rows = count(1 << 64)

    def open(
        self,
        prompts: Sequence[Sequence[int]],
        controls: Sequence[Iterable[Control]] | None = None,
        seed: int = 0,
        *,
        max_new_tokens: Limits = None,
        rows: Sequence[int] | None = None,
    ) -> list[Branch]:
        """One branch for every prompt, after one pass over the prompts.

        Args:
            controls: the controls of every branch; none if not given.
            max_new_tokens: for all, or one for each; the stop token counts.
            rows: names of the branches' random streams; their positions if not given.

        Raises:
            InputError: empty prompts, counts that differ, controls that refuse.
        """
        branches = [
            self._branch(tuple(prompt), pipeline, seed, row, limit)
            for prompt, pipeline, row, limit in zip(
                prompts,
                _pipelines(controls, len(prompts)),
                _each(rows if rows is not None else range(len(prompts)), len(prompts), "rows"),
                _limits(max_new_tokens, len(prompts)),
                strict=True,
            )
        ]
        self._read([branch for branch in branches if branch.finish_reason is None])
        return branches

    def extend(self, branches: Sequence[Branch], until: Until | None = None) -> list[Segment]:
        """Grows every branch until it finishes or `until(branch)` holds; what was added to each.

        A keyboard interrupt ends the unfinished branches with the reason "interrupt".

        Raises:
            DeadEndError: the controls leave no token; carries the position.
            LogitsError: NaN in the model's logits.
        """
        began = time.perf_counter()
        lengths = [len(branch.tokens) for branch in branches]
        growing = [branch for branch in branches if branch.finish_reason is None]
        try:
            self._grow(growing, until)
        except KeyboardInterrupt:
            for branch in growing:
                if branch.finish_reason is None:
                    branch.finish("interrupt")
        self.usage.seconds += time.perf_counter() - began
        return [_segment(branch, at) for branch, at in zip(branches, lengths, strict=True)]

    def fork(self, branch: Branch, copies: int = 1) -> list[Branch]:
        """Branches that go on from `branch` with random streams of their own; nothing is copied."""
        return [branch.fork(next(self._rows)) for _ in range(copies)]

    def close(self, branches: Iterable[Branch]) -> None:
        """Gives up branches; the tokens of unfinished ones count as discarded."""
        for branch in branches:
            if branch.finish_reason is None:
                self.usage.discarded += len(branch.tokens)
                self.usage.tokens -= len(branch.tokens)
                branch.finish("closed")

    def _branch(
        self, prompt: tuple[int, ...], pipeline: Pipeline, seed: int, row: int, limit: int | None
    ) -> Branch:
        if not prompt:
            raise InputError("the prompt has no tokens; a model needs at least one to go on from")
        context = Context(prompt, self.vocabulary, limit, row, seed)
        branch = Branch(prompt, pipeline, pipeline.begin(context), row, seed, limit)
        branch.settle()
        return branch

    def _read(self, branches: list[Branch]) -> None:
        if not branches:
            return
        began = time.perf_counter()
        # Branches of one prompt share its memory.
        prompts = list(dict.fromkeys(branch.prompt for branch in branches))
        memory, logits = Memory.read(self.network, self.usage, prompts)
        index = {prompt: row for row, prompt in enumerate(prompts)}
        for branch in branches:
            row = index[branch.prompt]
            branch.place, branch.logits = (memory, row), logits[row]
            branch.was_read(len(branch.prompt))
        self.usage.seconds += time.perf_counter() - began

    def _grow(self, growing: list[Branch], until: Until | None) -> None:
        if not growing:
            return
        memory = join([branch.place for branch in growing if branch.place is not None])
        logits = torch.stack([branch.logits for branch in growing if branch.logits is not None])
        while growing:
            self._draw(growing, logits)
            staying = [i for i, branch in enumerate(growing) if branch.finish_reason is None]
            if not staying:
                return
            if len(staying) < len(growing):
                memory, growing = memory.select(staying), [growing[i] for i in staying]
            if len(growing) == 1 and until is None:
                logits = self._run_ahead(growing[0], memory)
                if growing[0].finish_reason is not None:
                    return
                continue
            logits = memory.append([branch.tokens[-1:] for branch in growing])[:, -1]
            for branch in growing:
                branch.was_read(1)
            if until is not None:
                growing, memory, logits = _pause(growing, memory, logits, until)

    def _run_ahead(self, branch: Branch, memory: Memory) -> Tensor:
        """The logits after the last token and all that must follow it, in one pass.

        Tokens that are the only legal ones have probability one under the law drawn from; the pass
        serves to know what the raw model thought of them.
        """
        ahead = branch.run_ahead(self.vocabulary.stop_ids)
        raw = _full(memory.append([[branch.tokens[-1], *ahead]])[0])
        branch.was_read(len(raw))
        if ahead:
            before = raw[: len(ahead)]
            ids = torch.tensor(ahead, device=raw.device)[:, None]
            total = log_total(before, before.softmax(dim=-1))
            log_p = before.gather(1, ids)[:, 0] - total
            told = torch.stack([log_p, total]).T.tolist()
            for token, (value, row_total) in zip(ahead, told, strict=True):
                _check_row(branch, row_total, 0.0)
                self._push(branch, token, value, 0.0)
        return raw[-1:]

    def _draw(self, branches: Sequence[Branch], raw: Tensor) -> None:
        """Adds one token to every branch."""
        raw = _full(raw)
        total = log_total(raw, raw.softmax(dim=-1))
        law, states = apply_all(
            [branch.pipeline for branch in branches],
            raw.clone(),
            [branch.states for branch in branches],
        )
        tokens, log_q = self.sampler.draw(law, [branch.stream for branch in branches])
        log_p = raw.gather(1, tokens[:, None])[:, 0] - total
        # One transfer for all that the host must know.
        best = law.gather(1, tokens[:, None])[:, 0]
        told = torch.stack([x.double() for x in (tokens, log_p, log_q, total, best)]).T.tolist()
        for branch, state, row in zip(branches, states, told, strict=True):
            _check_row(branch, total=row[3], best=row[4])
            branch.states = state
            self._push(branch, int(row[0]), row[1], row[2])

    def _push(self, branch: Branch, token: int, log_p: float, log_q: float) -> None:
        if branch.pipeline.forced(branch.states) is not None:
            branch.forced += 1
            self.usage.forced += 1
        self.usage.tokens += 1
        branch.push(token, log_p, log_q, self.vocabulary.stop_ids)


def _full(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in _HALF else logits


def _pause(
    growing: list[Branch], memory: Memory, logits: Tensor, until: Until
) -> tuple[list[Branch], Memory, Tensor]:
    """The branches that go on, with their memory and logits; the others get theirs to keep."""
    staying = []
    kept: Memory | None = None
    for index, branch in enumerate(growing):
        if until(branch):
            kept = kept or memory.snapshot()
            branch.place, branch.logits = (kept, index), logits[index]
        else:
            staying.append(index)
    if len(staying) == len(growing):
        return growing, memory, logits
    if staying:
        memory, logits = memory.select(staying), logits[staying]
    return [growing[index] for index in staying], memory, logits


def _check_row(branch: Branch, total: float, best: float) -> None:
    position = len(branch.tokens)
    if not math.isfinite(total):
        raise LogitsError(f"the model's logits at position {position} are not numbers (NaN or inf)")
    if best == -math.inf or math.isnan(best):
        raise DeadEndError(
            f"the controls leave no token at position {position}: "
            + ", ".join(type(control).__name__ for control in branch.pipeline.controls),
            position,
        )


def _segment(branch: Branch, at: int) -> Segment:
    return Segment(tuple(branch.tokens[at:]), tuple(branch.log_p[at:]), tuple(branch.log_q[at:]))


def _pipelines(controls: Sequence[Iterable[Control]] | None, wanted: int) -> list[Pipeline]:
    if controls is None:
        return [Pipeline(())] * wanted
    return [Pipeline(given) for given in _each(list(controls), wanted, "controls")]


def _limits(limits: Limits, wanted: int) -> list[int | None]:
    each: list[int | None]
    if limits is None or isinstance(limits, int):
        each = [limits] * wanted
    else:
        each = list(_each(limits, wanted, "max_new_tokens"))
    for limit in each:
        if limit is not None and limit < 1:
            raise InputError(f"max_new_tokens must be at least 1, not {limit}")
    return each


def _each(values: Sequence[T], wanted: int, name: str) -> Sequence[T]:
    if len(values) != wanted:
        raise InputError(f"{len(values)} {name} for {wanted} prompts; give one for each")
    return values
