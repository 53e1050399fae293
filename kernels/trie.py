"""Token tries as flat arrays in depth-first order, so that skipping a subtree is one jump."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry

# Columns of a node.
BYTE, DEPTH, TOKEN, SKIP = range(4)


@entry
def build_trie(data, ends, ids, node, next_same):  # type: ignore[no-untyped-def]
    """Number of nodes written for tokens sorted by their bytes.

    `data` uint8 holds the tokens' bytes one after the other, token i ends at `ends[i]` and has id
    `ids[i]`. `node` int32[N, 4] is filled in preorder without the root: BYTE, DEPTH (1 for the
    root's children), the TOKEN that ends there (-1: none) and SKIP, the index after the subtree.
    One row is one visit to memory. `next_same[id]` chains tokens with equal bytes.
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
            node[path[open_depth - 1], SKIP] = nodes
            open_depth -= 1
        for k in range(common, length):
            node[nodes, BYTE] = data[begin + k]
            node[nodes, DEPTH] = k + 1
            node[nodes, TOKEN] = -1
            path[k] = nodes
            nodes += 1
        open_depth = length
        last = path[length - 1]
        next_same[ids[i]] = node[last, TOKEN]
        node[last, TOKEN] = ids[i]
        previous_begin = begin
        previous_length = length
        begin = ends[i]
    while open_depth > 0:
        node[path[open_depth - 1], SKIP] = nodes
        open_depth -= 1
    return nodes


@entry
def index_roots(node, first, root):  # type: ignore[no-untyped-def]
    """Fills root int32[K, 256]: the node of each first byte in trie k, -1 where there is none."""
    root[:] = -1
    for k in range(len(first) - 1):
        at = first[k]
        while at < first[k + 1]:
            root[k, node[at, BYTE]] = at
            at = node[at, SKIP]


@entry
def longest_token(data, node, root):  # type: ignore[no-untyped-def]
    """(token, length) of the longest token that is a prefix of `data`; token -1 if there is none.

    `node` and `root` are those of one trie over all tokens.
    """
    best = -1
    best_length = 0
    if len(data) == 0:
        return best, best_length
    at = root[0, data[0]]
    depth = 0
    while at >= 0:
        if node[at, TOKEN] >= 0:
            best = node[at, TOKEN]
            best_length = depth + 1
        depth += 1
        end = node[at, SKIP]
        at += 1
        if depth >= len(data):
            break
        while at < end and node[at, BYTE] != data[depth]:
            at = node[at, SKIP]
        if at >= end:
            break
    return best, best_length
