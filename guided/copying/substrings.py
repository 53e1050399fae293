"""Common substrings: what two texts have in common without a gap."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.errors import InputError


class Run(NamedTuple):
    """Where a common substring begins in the text and in the reference, and its length."""

    start: int
    reference_start: int
    length: int


def longest_run(text: Sequence[Hashable], reference: Sequence[Hashable]) -> Run:
    """The longest common substring of two texts or lists of words; length 0 if there is none.

    Of several the one that begins first in the text, then first in the reference. Time is the
    product of both lengths, memory the length of the reference.
    """
    codes, others = _coded(text, reference)
    every = np.ones(len(others), dtype=bool)
    return _longest(codes, others, np.ones(len(codes), dtype=bool), every)


def common_runs(
    text: Sequence[Hashable], reference: Sequence[Hashable], shortest: int = 1
) -> list[Run]:
    """Common substrings of at least `shortest`, longest first, that overlap in neither text.

    Greedy string tiling (Wise 1993): the longest run is taken until none is left.

    Raises:
        InputError: `shortest` below 1.
    """
    if shortest < 1:
        raise InputError(f"shortest={shortest}: a run has at least one element")
    codes, others = _coded(text, reference)
    free, others_free = np.ones(len(codes), dtype=bool), np.ones(len(others), dtype=bool)
    found: list[Run] = []
    while (run := _longest(codes, others, free, others_free)).length >= shortest:
        found.append(run)
        free[run.start : run.start + run.length] = False
        others_free[run.reference_start : run.reference_start + run.length] = False
    return found


def accumulated_length(
    text: Sequence[Hashable], reference: Sequence[Hashable], shortest: int = 3
) -> int:
    """Accumulated common substrings: the total length of `common_runs`.

    Raises:
        InputError: `shortest` below 1.
    """
    return sum(run.length for run in common_runs(text, reference, shortest))


Codes = NDArray[np.int64]
Free = NDArray[np.bool_]


def _coded(text: Sequence[Hashable], reference: Sequence[Hashable]) -> tuple[Codes, Codes]:
    """Both sequences as numbers, equal where the elements are."""
    numbers: dict[Hashable, int] = {}
    coded = [[numbers.setdefault(one, len(numbers)) for one in each] for each in (text, reference)]
    return np.array(coded[0], dtype=np.int64), np.array(coded[1], dtype=np.int64)


def _longest(codes: Codes, others: Codes, free: Free, others_free: Free) -> Run:
    """The first of the longest common runs of elements that are free in both."""
    best = Run(0, 0, 0)
    # lengths[j]: the longest run that ends at the current element and at element j.
    lengths = np.zeros(len(others), dtype=np.int64)
    for end in range(len(codes)):
        before = np.concatenate(([0], lengths[:-1])) if len(others) else lengths
        same = (others == codes[end]) & others_free & free[end]
        lengths = np.where(same, before + 1, 0)
        longest = int(lengths.max(initial=0))
        if longest > best.length:
            at = int(lengths.argmax())
            best = Run(end - longest + 1, at - longest + 1, longest)
    return best
