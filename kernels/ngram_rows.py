"""Running means of short lists (token, probability) in slabs of fixed width."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def blend(ids, weights, counts, slots, new_ids, new_weights, most):  # type: ignore[no-untyped-def]
    """Moves slab row `slots[i]` towards the list `new_ids[i]`, `new_weights[i]`, for every i.

    The mean is over all lists so far, after `most` of them over the later ones. Of all tokens in
    either list the greatest stay, in falling order. An empty place has the id -1.
    """
    k = ids.shape[1]
    merged_ids = np.empty(2 * k, np.int32)
    merged = np.empty(2 * k, np.float32)
    for i in range(len(slots)):
        slot = slots[i]
        counts[slot] = min(counts[slot] + 1, most)
        share = np.float32(1.0) / np.float32(counts[slot])
        n = 0
        for j in range(k):
            if ids[slot, j] >= 0:
                merged_ids[n] = ids[slot, j]
                merged[n] = weights[slot, j] * (np.float32(1.0) - share)
                n += 1
        for j in range(new_ids.shape[1]):
            place = 0
            while place < n and merged_ids[place] != new_ids[i, j]:
                place += 1
            if place == n:
                if n == 2 * k:
                    continue
                merged_ids[n] = new_ids[i, j]
                merged[n] = np.float32(0.0)
                n += 1
            merged[place] += share * new_weights[i, j]
        for j in range(min(k, n)):
            best = j
            for other in range(j + 1, n):
                if merged[other] > merged[best]:
                    best = other
            merged[j], merged[best] = merged[best], merged[j]
            merged_ids[j], merged_ids[best] = merged_ids[best], merged_ids[j]
            ids[slot, j] = merged_ids[j]
            weights[slot, j] = merged[j]
