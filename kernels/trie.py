"""Token tries as flat arrays in depth-first order, so that skipping a subtree is one jump."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, folded
from guided.kernels.memo_arrays import mix

# Columns of a node.
BYTE, DEPTH, TOKEN, SKIP = range(4)
#: No token longer than this (in bytes) may stand in a slice; longer ones are always walked.
SLICE_LENGTHS = (6, 12, 64)


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


@entry
def index_edges(node, begin, end, edge):  # type: ignore[no-untyped-def]
    """Fills the hash table of the edges between the nodes from `begin` to `end`.

    `edge` int32[2^k] holds nodes by their parent and byte (open addressing, -1 is a free slot).
    """
    edge[:] = -1
    path = np.empty(4097, np.int64)
    last = len(edge) - 1
    for at in range(begin, end):
        depth = node[at, DEPTH]
        path[depth] = at
        if depth > 1:
            slot = _slot(path[depth - 1], node[at, BYTE], last)
            while edge[slot] >= 0:
                slot = (slot + 1) & last
            edge[slot] = at


@folded
def _slot(parent, byte, last):  # type: ignore[no-untyped-def]
    return np.int64(mix(np.uint64(17), parent * 256 + byte) & np.uint64(last))


@folded
def child_of(node, edge, parent, byte):  # type: ignore[no-untyped-def]
    """The child of node `parent` for a byte, -1 if there is none."""
    last = len(edge) - 1
    slot = _slot(parent, byte, last)
    end = node[parent, SKIP]
    depth = node[parent, DEPTH] + 1
    while edge[slot] >= 0:
        at = np.int64(edge[slot])
        # The only node below with this depth and byte is the child.
        if parent < at < end and node[at, DEPTH] == depth and node[at, BYTE] == byte:
            return at
        slot = (slot + 1) & last
    return np.int64(-1)
