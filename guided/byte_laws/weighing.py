"""How likely a model finds what covers some bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Head
from guided.byte_laws.spelling import END, N_SYMBOLS, Range, Spelling
from guided.decoding.branch import Branch

Normalize = Literal["tokens", "bytes"]
Floats = NDArray[np.float64]
#: Logarithms above this have exponentials of which products of two are normal numbers.
_MILD = -340.0
#: Numbers that are worked on at a time.
_AT_ONCE = 1 << 20


@dataclass(slots=True, eq=False)
class Weighing:
    """The law of the next token after a head, restricted to what canonical sequences go on with.

    Attributes:
        logits: `[n]`, of the tokens of the canon's spelling; -inf of those that are refused.
        log_total: what these are normalised by.
        p: `[n]`, exp(logits - log_total) but for one factor, `scale`.
        log_end: log-probability of the stop tokens; -inf where the text cannot end.
        is_mild: whether nothing that is possible is too unlikely for `p` to tell.
        log_weight: log-probability of the head's tokens.
        branch: the head's tokens.
    """

    logits: Floats
    log_total: float
    p: Floats
    scale: float
    log_end: float
    is_mild: bool
    log_weight: float = 0.0
    branch: Branch | None = None

    def add_to(self, law: Floats, canon: Canon, some: Range) -> None:
        """Adds, in place, the log mass of every next symbol of a range to `law [257]`."""
        found = canon.spelling.next_bytes(some, self.logits) - self.log_total
        if some.depth == 0:
            found[END] = self.log_end
        np.logaddexp(law, found + self.log_weight, out=law)

    def goes_on(self, spelling: Spelling, some: Range) -> bool:
        """Whether a token of a range that some bytes have begun, or any at all, can follow."""
        if some.depth == 0:
            return True
        return bool((self.logits[spelling.longer(some) : some.high] > -np.inf).any())

    def by_itself(self) -> Weighing:
        """The same, holding no memory of the others that it was made with."""
        if self.p.base is not None:
            self.logits, self.p = self.logits.copy(), self.p.copy()
        return self

    def log_p_of(self, canon: Canon, token: int) -> float:
        """The log-probability of a next token."""
        return float(self.logits[canon.index[token]]) - self.log_total


def weighings(
    canon: Canon, heads: Sequence[Head], logits: Tensor, stop_ids: list[int], normalize: Normalize
) -> Iterator[Weighing]:
    """One of every head, from the model's logits `[n, V]` after them; all of weight one."""
    step = max(1, _AT_ONCE // logits.shape[-1])
    for begin in range(0, len(heads), step):
        some = slice(begin, begin + step)
        yield from _some(canon, heads[some], logits[some], stop_ids, normalize)


def _some(
    canon: Canon, heads: Sequence[Head], logits: Tensor, stop_ids: list[int], normalize: Normalize
) -> Iterator[Weighing]:
    raw: Floats = logits.double().cpu().numpy()
    spelled = raw[:, canon.spelling.ids]
    least = spelled.min(axis=1, initial=np.inf)
    ends = np.full(len(heads), -np.inf)
    for row, head in enumerate(heads):
        np.copyto(spelled[row], -np.inf, where=canon.refused(head.state, head.token))
        if stop_ids and canon.is_complete(head.state):
            stops = raw[row, stop_ids]
            ends[row] = np.nan if np.isposinf(stops).any() else log_sum(stops)
    top = np.maximum(spelled.max(axis=1, initial=-np.inf), ends)
    top[top == -np.inf] = 0.0
    # Logits that are no numbers make laws that are none, which is told where one is drawn from.
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.exp(spelled - top[:, None])
        if normalize == "tokens":
            total = top + np.log(p.sum(axis=1) + np.exp(ends - top))
            # Where nothing can follow, there is nothing to normalise.
            total[total == -np.inf] = 0.0
        else:
            most = raw.max(axis=1)
            total = most + np.log(np.exp(raw - most[:, None]).sum(axis=1))
        ends -= total
    mild = (least - total > _MILD) & ((ends > _MILD) | (ends == -np.inf))
    columns = (total, np.exp(top - total), ends, mild)
    for row, (log_total, scale, end, is_mild) in enumerate(
        zip(*(each.tolist() for each in columns), strict=True)
    ):
        yield Weighing(spelled[row], log_total, p[row], scale, end, is_mild)


def log_sum(values: Floats) -> float:
    """log of the sum of exponentials; -inf for none."""
    most = values.max(initial=-np.inf)
    if most == -np.inf:
        return -np.inf
    return float(np.log(np.exp(values - most).sum()) + most)


def next_law(canon: Canon, heads: Sequence[tuple[Range, Weighing]]) -> Floats | None:
    """The log law `[257]` of the next symbol after heads that go on in these ranges.

    None where nothing can follow; NaN where logits are no numbers.
    """
    if not heads:
        return None
    top = max(one.log_weight for _, one in heads)
    if any(math.isnan(one.log_total) for _, one in heads):
        return np.full(N_SYMBOLS, np.nan)
    if not all(one.is_mild and one.log_weight - top > _MILD for _, one in heads):
        return _next_law_by_logs(canon, heads)
    mass = np.zeros(N_SYMBOLS)
    for some, one in heads:
        weight = math.exp(one.log_weight - top)
        canon.spelling.add_next_bytes(some, one.p, weight * one.scale, mass)
        if some.depth == 0:
            mass[END] += weight * math.exp(one.log_end)
    total = float(mass.sum())
    if total == 0.0:
        return None
    with np.errstate(divide="ignore"):
        law: Floats = np.log(mass)
    law -= math.log(total)
    return law


def _next_law_by_logs(canon: Canon, heads: Sequence[tuple[Range, Weighing]]) -> Floats | None:
    """The same where probabilities are smaller than numbers can be."""
    mass = np.full(N_SYMBOLS, -np.inf)
    for some, one in heads:
        one.add_to(mass, canon, some)
    total = log_sum(mass)
    return None if total == -np.inf else mass - total
