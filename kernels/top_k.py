"""The greatest entries of a few long rows: a torch reference, and a faster twin for CPUs."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)
#: Entries of which the maximum is taken before any of them is looked at alone.
_BLOCK = 64


def top_k_torch(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(values, ids), both `[n, k]`: the k greatest of each row in order, ties by lower id."""
    values, ids = rows.sort(dim=-1, descending=True, stable=True)
    return values[:, :k], ids[:, :k]


@njit(cache=True, nogil=True, fastmath={"nnan"})
def _block_maximum(row, begin, end):  # type: ignore[no-untyped-def]
    # Without NaN the maximum can be taken of several entries at once.
    best = row[begin]
    for i in range(begin + 1, end):
        best = max(best, row[i])
    return best


@njit(cache=True, nogil=True)
def _scan(rows, k, values, ids):  # type: ignore[no-untyped-def]
    count, width = rows.shape
    for r in range(count):
        row = rows[r]
        best, at = values[r], ids[r]
        filled = 0
        for begin in range(0, width, _BLOCK):
            end = min(begin + _BLOCK, width)
            if filled == k and not _block_maximum(row, begin, end) > best[k - 1]:
                continue
            for i in range(begin, end):
                value = row[i]
                if filled == k and not value > best[k - 1]:
                    continue
                # Insertion from behind; an equal value that came before stays before.
                j = filled if filled < k else k - 1
                while j > 0 and value > best[j - 1]:
                    best[j] = best[j - 1]
                    at[j] = at[j - 1]
                    j -= 1
                best[j] = value
                at[j] = i
                filled = min(filled + 1, k)


def top_k(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(values, ids), both `[n, min(k, V)]`: the greatest entries of each row of `[n, V]`.

    The greatest comes first, equal ones in the order of their ids. Rows hold no NaN.
    """
    k = min(k, rows.shape[1])
    if rows.device.type != "cpu":
        return top_k_torch(rows, k)
    whole = (rows.float() if rows.dtype in _HALF else rows).detach().contiguous()
    values = torch.empty((len(rows), k), dtype=whole.dtype)
    ids = np.empty((len(rows), k), np.int64)
    if k > 0:
        _scan(whole.numpy(), k, values.numpy(), ids)
    return values.to(rows.dtype), torch.from_numpy(ids)
