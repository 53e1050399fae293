"""Sets of word n-grams: their exact Jaccard similarity and its MinHash estimate (Broder 1997)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from guided.errors import InputError

Shingle = tuple[str, ...]

# Affine maps modulo a prime over 32-bit hashes; their products stay within 64 bits.
_PRIME = (1 << 31) - 1


def shingles(words: Sequence[str], size: int = 3) -> frozenset[Shingle]:
    """All runs of `size` words; fewer words than that are one shingle of their own.

    Raises:
        InputError: a size below 1.
    """
    if size < 1:
        raise InputError(f"size={size}: a shingle has at least one word")
    if not words:
        return frozenset()
    last = max(0, len(words) - size)
    return frozenset(tuple(words[i : i + size]) for i in range(last + 1))


def jaccard(one: Collection[Shingle], other: Collection[Shingle]) -> float:
    """The share of all shingles that both have; 1 for two empty sets."""
    first, second = frozenset(one), frozenset(other)
    every = first | second
    return len(first & second) / len(every) if every else 1.0


class MinHash:
    """Estimates Jaccard similarities by the least hashes under random permutations.

    The standard deviation of an estimate is at most `1 / (2 sqrt(permutations))`. Signatures of one
    instance can be kept and compared with each other, of one seed across processes too.
    """

    def __init__(self, permutations: int = 128, seed: int = 0) -> None:
        """Raises InputError for fewer than one permutation."""
        if permutations < 1:
            raise InputError(f"permutations={permutations}: at least one is needed")
        generator = np.random.default_rng(seed)
        self._factors = generator.integers(1, _PRIME, (permutations, 1), dtype=np.uint64)
        self._offsets = generator.integers(0, _PRIME, (permutations, 1), dtype=np.uint64)

    def signature(self, items: Collection[Shingle]) -> NDArray[np.uint64]:
        """The least hash of the items under each permutation; the prime itself if there is none."""
        hashes = np.array([_hash(item) for item in frozenset(items)], dtype=np.uint64)
        permuted = (self._factors * hashes + self._offsets) % np.uint64(_PRIME)
        least: NDArray[np.uint64] = permuted.min(axis=1, initial=_PRIME)
        return least

    def similarity(self, one: Collection[Shingle], other: Collection[Shingle]) -> float:
        """The share of permutations under which both have the same least hash."""
        return float((self.signature(one) == self.signature(other)).mean())


def _hash(item: Shingle) -> int:
    """A number below the prime, the same in every process."""
    text = "\x00".join(item).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % _PRIME
