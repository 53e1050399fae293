"""Counter-based random numbers: a draw is a pure function of (seed, row, position, purpose)."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

_MASK = (1 << 64) - 1


class Purpose(IntEnum):
    """What a number is drawn for; different purposes never share a stream."""

    TOKEN = 1
    ROW = 2
    RETRY = 3
    DRAFT = 4
    ACCEPT = 5
    RESIDUAL = 6
    FORK = 7
    RESAMPLE = 8
    MOVE = 9
    CHOICE = 10


def _mix(value: int) -> int:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014, figure 16)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def fold(values: Iterable[int]) -> int:
    """A 64-bit hash of a sequence of integers; its order and length matter."""
    state = 0
    for value in values:
        state = _mix(state ^ _mix(value & _MASK))
    return state


def uniform(seed: int, row: int, position: int, purpose: Purpose = Purpose.TOKEN) -> float:
    """A number in [0, 1) with 53 random bits."""
    state = _mix(_begun(seed, row) ^ _mixed(position & _MASK))
    return (_mix(state ^ _mixed(purpose)) >> 11) * 2.0**-53


@lru_cache(maxsize=1 << 10)
def _begun(seed: int, row: int) -> int:
    return fold((seed, row))


@lru_cache(maxsize=1 << 12)
def _mixed(value: int) -> int:
    return _mix(value)


def stream(seed: int, prompt: Iterable[int], copy: int, attempt: int = 0) -> int:
    """The row id of the `copy`-th sequence that is grown from this very prompt.

    It does not depend on where the prompt stands in a batch, so that a prompt alone and in a batch
    gets the same draws.
    """
    digest = hashlib.blake2b(array("q", prompt).tobytes(), digest_size=8).digest()
    return fold((seed, Purpose.ROW, int.from_bytes(digest, "little"), copy, attempt))
