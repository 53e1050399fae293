"""Token tries as flat arrays in depth-first order, so that skipping a subtree is one jump."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def build_trie(  # type: ignore[no-untyped-def]
    data, ends, ids, node_byte, node_depth, node_token, node_skip, next_same
):
    """Number of nodes written for tokens sorted by their bytes.

    `data` uint8 holds the tokens' bytes one after the other, token i ends at `ends[i]` and has id
    `ids[i]`. Node arrays are filled in preorder without the root: byte, depth (1 for the root's
    children), the token that ends there (-1: none) and the index after the subtree.
    `next_same[id]` chains tokens with equal bytes.
    """
    nodes = 0
    path = np.empty(4096, np.int64)
    open_depth = 0
    previous_begin = 0
    previous_length = 0
    begin = 0
    for i in range(len(ends)):
        length = ends[i] - begin
        common = 0
        limit = min(length, previous_length)
        while common < limit and data[begin + common] == data[previous_begin + common]:
            common += 1
        while open_depth > common:
            node_skip[path[open_depth - 1]] = nodes
            open_depth -= 1
        for k in range(common, length):
            node_byte[nodes] = data[begin + k]
            node_depth[nodes] = k + 1
            node_token[nodes] = -1
            path[k] = nodes
            nodes += 1
        open_depth = length
        last = path[length - 1]
        next_same[ids[i]] = node_token[last]
        node_token[last] = ids[i]
        previous_begin = begin
        previous_length = length
        begin = ends[i]
    while open_depth > 0:
        node_skip[path[open_depth - 1]] = nodes
        open_depth -= 1
    return nodes


@njit(cache=True, nogil=True)
def longest_token(data, node_byte, node_token, node_skip):  # type: ignore[no-untyped-def]
    """(token, length) of the longest token that is a prefix of `data`; token -1 if there is none.

    The node arrays must be those of one trie over all tokens.
    """
    best = -1
    best_length = 0
    node = 0
    end = len(node_byte)
    for depth in range(len(data)):
        while node < end and node_byte[node] != data[depth]:
            node = node_skip[node]
        if node >= end:
            break
        if node_token[node] >= 0:
            best = node_token[node]
            best_length = depth + 1
        end = node_skip[node]
        node += 1
    return best, best_length


Bytes = NDArray[np.uint8]
