"""Drawing one token for each of some nodes, under their controls."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.controls.grammar_mask import masks_of
from guided.controls.pipeline import Pipeline, Plain, States, apply_all
from guided.decoding.rng import uniform
from guided.decoding.sampling import Greedy, Sampler, Stream, log_total, uniforms
from guided.decoding.sampling import Plain as Inversion
from guided.errors import DeadEndError, LogitsError
from guided.kernels import masked_sampling, sampling_cpu
from guided.kernels.direct_calls import Direct
from guided.kernels.dispatch import Implementation, implementation, on_cpu
from guided.kernels.mask_table import mask_table

_HALF = (torch.float16, torch.bfloat16)
_LOCAL = threading.local()
#: Kinds of draws whose rooms are kept.
_ROOMS = 16


class Drawn(NamedTuple):
    """A token with its log-probabilities: under the raw model, under the law drawn from.

    `forced` says whether it was the only legal one, where whoever drew it knows.
    """

    token: int
    log_p: float
    log_q: float
    forced: bool | None = None


class Spot(Protocol):
    """A node of a token tree: a branch, or a guess that follows it."""

    pipeline: Pipeline
    states: States

    @property
    def stream(self) -> Stream:
        """Where the node's random number comes from."""
        ...

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens before it, the prompt's left out."""
        ...


@dataclass(slots=True)
class Guess:
    """A node that a draft holds; `stream` and `tokens` are those of a branch that got there."""

    pipeline: Pipeline
    states: States
    stream: Stream
    tokens: Sequence[int]


def full_precision(logits: Tensor) -> Tensor:
    """Half precision becomes single; the rest stays as it is."""
    return logits.float() if logits.dtype in _HALF else logits


def draw(
    sampler: Sampler,
    branches: Sequence[Spot],
    raw: Tensor,
    aux: Mapping[str, Tensor],
) -> list[Drawn]:
    """One token for every branch, from the raw logits `[n, V]` at its last token.

    The branches' control states become those that the controls have seen the law with.

    Raises:
        LogitsError: NaN, or nothing finite, in the logits.
        DeadEndError: the controls leave no token.
    """
    plain = _plain(sampler, branches)
    if plain is not None:
        return _fused(sampler, branches, raw, plain)
    raw = full_precision(raw)
    total = log_total(raw, raw.softmax(dim=-1))
    law, states = controlled(branches, raw, aux)
    tokens, log_q = sampler.draw(law, [branch.stream for branch in branches])
    log_p = raw.gather(1, tokens[:, None])[:, 0] - total
    best = law.gather(1, tokens[:, None])[:, 0]
    drawn = told(branches, tokens, log_p, log_q, total, best)
    for branch, state in zip(branches, states, strict=True):
        branch.states = state
    return drawn


def controlled(
    branches: Sequence[Spot], raw: Tensor, aux: Mapping[str, Tensor]
) -> tuple[Tensor, list[States]]:
    """The law `[n, V]` of the branches' controls, and the states that have seen it.

    Args:
        raw: `[n, V]` in full precision, which stay as they are; `aux`: of others.
    """
    return apply_all(
        [branch.pipeline for branch in branches],
        raw.clone(),
        [branch.states for branch in branches],
        {name: full_precision(logits) for name, logits in aux.items()},
    )


def told(
    branches: Sequence[Spot],
    tokens: Tensor,
    log_p: Tensor,
    log_q: Tensor,
    total: Tensor,
    best: Tensor,
) -> list[Drawn]:
    """What was drawn, in one transfer of all that the host must know.

    Args:
        total, best: of every branch, see `check_row`, which raises.
    """
    rows = torch.stack([x.double() for x in (tokens, log_p, log_q, total, best)]).T.tolist()
    for branch, row in zip(branches, rows, strict=True):
        check_row(branch, total=row[3], best=row[4])
    return [Drawn(int(row[0]), row[1], row[2]) for row in rows]


#: Samplers whose draws are a part of the kernel.
_FUSED = (Inversion, Greedy)


def _plain(sampler: Sampler, branches: Sequence[Spot]) -> Plain | None:
    """What all branches' controls amount to, where one kernel does it all."""
    if not isinstance(sampler, _FUSED):
        return None
    first = branches[0].pipeline.plain
    if len(branches) > 1 and any(branch.pipeline.plain != first for branch in branches):
        return None
    return first


def _fused(sampler: Sampler, branches: Sequence[Spot], raw: Tensor, plain: Plain) -> list[Drawn]:
    """The same in one kernel: temperature, mask, softmax and draw."""
    drawn, statuses = _kernel(sampler, branches, raw, plain)
    for branch, status in zip(branches, statuses, strict=True):
        if status != masked_sampling.Status.OK:
            is_number = status != masked_sampling.Status.NOT_NUMBERS
            check_row(branch, total=0.0 if is_number else math.nan, best=-math.inf)
    return drawn


def _kernel(
    sampler: Sampler, branches: Sequence[Spot], raw: Tensor, plain: Plain
) -> tuple[list[Drawn], list[int]]:
    """What was drawn, and the status of every row."""
    masks: masked_sampling.Masks | None = None
    forced: Sequence[bool | None] = [None] * len(branches)
    if plain.mask is not None:
        each = masks_of([branch.states[plain.mask] for branch in branches])
        if implementation(raw.device) is Implementation.NUMBA:
            masks = each[0][None] if len(each) == 1 else np.stack(each)
        else:
            masks, forced = mask_table(raw.device, len(each[0])).take(each)
    numbers = uniforms([branch.stream for branch in branches]) if sampler.is_random else None
    tokens, log_p, log_q, statuses = masked_sampling.draw_lists(
        raw, masks, plain.temperature, numbers
    )
    return [Drawn(*one) for one in zip(tokens, log_p, log_q, forced, strict=True)], statuses


#: The kernel that draws at one node, for logits of either type.
_DRAW_ONE = {kind: Direct(sampling_cpu.draw_one) for kind in (np.float32, np.float64)}


class _Room(NamedTuple):
    """What `draw_one` takes beside a row of logits: nothing in it outlasts a call."""

    row_bytes: int
    temperature: Any
    mask: NDArray[np.int32]
    arrays: tuple[NDArray[Any], ...]


def _room(plain: Plain, width: int, is_double: bool) -> _Room:
    """That of this thread."""
    known: dict[tuple[Plain, int, bool], _Room] | None = getattr(_LOCAL, "rooms", None)
    if known is None:
        known = _LOCAL.rooms = {}
    found = known.get((plain, width, is_double))
    if found is None:
        block = sampling_cpu.BLOCK
        kind = np.dtype(np.float64 if is_double else np.float32)
        arrays = np.empty(block), np.empty(block, kind), np.empty(-(-width // block))
        # The kernel is compiled for one kind of mask, and most of the grammars' are read-only.
        mask = np.empty((width + 31) // 32 if plain.mask is not None else 0, np.int32)
        if len(known) >= _ROOMS:
            known.clear()
        found = _Room(width * kind.itemsize, kind.type(plain.temperature), mask, arrays)
        known[plain, width, is_double] = found
    return found


class NodeDraws:
    """Draws at the nodes of one pass over some branches, one after the other, by one kernel.

    Only on a CPU, where it is `numba` that draws, and for the samplers and controls of `_fused`.
    """

    def __init__(self, sampler: Sampler, plain: Plain, width: int, dtype: torch.dtype) -> None:
        self.kind = (plain, width, dtype)
        self._is_half = dtype in _HALF
        self._width = width
        self._columns = 0
        self._mask_at = plain.mask
        self._is_random = sampler.is_random
        # Logits of half precision become single ones where they are drawn from, not all at once.
        is_double = dtype == torch.float64
        self._call = _DRAW_ONE[np.float64 if is_double else np.float32]
        self._raw: Tensor | None = None
        self._address = 0
        self._row_bytes, self._temperature, self._mask, self._room = _room(plain, width, is_double)

    @classmethod
    def of(
        cls, sampler: Sampler, spots: Sequence[Spot], raw: Tensor, before: NodeDraws | None = None
    ) -> NodeDraws | None:
        """For the logits `[n, q, V]` of a pass; None where the kernel cannot draw for all spots.

        Args:
            before: that of an earlier pass with the same sampler, which is used again if it can be.
        """
        plain = _plain(sampler, spots) if spots else None
        # Of a tensor's device torch makes a new object.
        if plain is None or not raw.is_cpu or on_cpu() is not Implementation.NUMBA:
            return None
        _, columns, width = raw.shape
        kind = (plain, width, raw.dtype)
        found = before
        if found is None or found.kind != kind:
            found = cls(sampler, *kind)
        found._stand_on(raw, columns)
        return found

    def goes_on(self, raw: Tensor) -> bool:
        """Stands on the logits of the next pass, if they are of the same kind as the last."""
        _, columns, width = raw.shape
        _, own_width, dtype = self.kind
        if width != own_width or raw.dtype is not dtype or not raw.is_cpu:
            return False
        if on_cpu() is not Implementation.NUMBA:
            return False
        self._stand_on(raw, columns)
        return True

    def _stand_on(self, raw: Tensor, columns: int) -> None:
        whole = raw if raw.is_contiguous() else raw.contiguous()
        self._raw, self._columns, self._address = whole, columns, whole.data_ptr()

    def draw(self, spot: Spot, row: int, position: int) -> tuple[int, float, float, bool]:
        """The token after one node of the pass, as in `Drawn`; raises as `draw` does."""
        if self._is_half and self._raw is not None:
            single = self._raw[row, position].float()
            address = single.data_ptr()
        else:
            address = self._address + (row * self._columns + position) * self._row_bytes
        if self._mask_at is not None:
            self._mask[:] = spot.states[self._mask_at].mask
        number = uniform(*spot.stream) if self._is_random else 0.0
        token, log_p, log_q, status, forced = self._call(
            address, self._width, self._mask, self._temperature, number,
            not self._is_random, *self._room,
        )  # fmt: skip
        if status != sampling_cpu.OK:
            is_number = status != sampling_cpu.NOT_NUMBERS
            check_row(spot, total=0.0 if is_number else math.nan, best=-math.inf)
        return token, log_p, log_q, forced


def draw_ahead(sampler: Sampler, spots: Sequence[Spot], raw: Tensor) -> list[Drawn] | None:
    """One token for every node of some trees at once, so that a GPU is waited for only once.

    None where the controls do not allow it, or where some node has no token to draw, which is an
    error only if the walk gets there.
    """
    plain = _plain(sampler, spots)
    if plain is None:
        return None
    drawn, statuses = _kernel(sampler, spots, raw, plain)
    return drawn if all(status == masked_sampling.Status.OK for status in statuses) else None


def check_row(branch: Spot, total: float, best: float) -> None:
    """Refuses logits that no token can be drawn from.

    Args:
        total: logarithm of the sum of the raw logits' exponentials.
        best: controlled logit of the token that was drawn.
    """
    position = len(branch.tokens)
    if not math.isfinite(total):
        raise LogitsError(f"the model's logits at position {position} are not numbers (NaN or inf)")
    if best == -math.inf or math.isnan(best):
        raise DeadEndError(
            f"the controls leave no token at position {position}: "
            + ", ".join(type(control).__name__ for control in branch.pipeline.controls),
            position,
        )
