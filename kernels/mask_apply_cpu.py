"""Packed token masks applied to logits, and read, on the CPU."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry


@entry
def fill(logits, masks):  # type: ignore[no-untyped-def]
    """Writes `-inf` into `logits [n, V]` wherever `masks [n, ceil(V/32)]` has no bit."""
    rows, width = logits.shape
    for row in range(rows):
        for word in range((width + 31) // 32):
            bits = masks[row, word]
            if bits == -1:
                continue
            begin = word * 32
            end = min(begin + 32, width)
            if bits == 0:
                logits[row, begin:end] = -np.inf
                continue
            for token in range(begin, end):
                if not (bits >> (token - begin)) & 1:
                    logits[row, token] = -np.inf


@entry
def first_two(mask):  # type: ignore[no-untyped-def]
    """The two lowest tokens that `mask` allows, -1 in place of what there is not."""
    first = -1
    for word in range(len(mask)):
        bits = mask[word]
        if bits == 0:
            continue
        for bit in range(32):
            if (bits >> bit) & 1:
                if first >= 0:
                    return first, word * 32 + bit
                first = word * 32 + bit
    return first, -1
