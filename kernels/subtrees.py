"""What lies below each node of the trie of all tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guided.kernels.compiling import lean_entry
from guided.kernels.trie import BYTE, DEPTH, SKIP

#: Bit that no kind has.
FREE_BIT = 62


def _kinds() -> NDArray[np.int64]:
    """The kind of every byte: terminals seldom tell bytes of one kind apart."""
    groups = [b"0", b"123456789", b"abcdf", b"e", b"ghijklmnopqrstuvwxyz"]
    groups += [group.upper() for group in groups[2:]]
    groups += [bytes([byte]) for byte in b" \t\n\r!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
    kinds = np.full(256, len(groups), np.int64)
    for kind, group in enumerate(groups):
        kinds[list(group)] = kind
    kinds[0x80:] = len(groups) + 1
    return kinds


#: int64[256], below FREE_BIT.
KINDS = _kinds()


@lean_entry
def fill_subtrees(node, begin, deepest, kinds):  # type: ignore[no-untyped-def]
    """Fills, for each node from `begin` on, the greatest depth at or below it and what kinds of
    bytes (a set of bits) there are below it. `deepest` int32[N], `kinds` int64[N].
    """
    for i in range(len(deepest) - 1, -1, -1):
        at = begin + i
        depth = np.int64(node[at, DEPTH])
        found = np.int64(0)
        child = at + 1
        while child < node[at, SKIP]:
            depth = max(depth, np.int64(deepest[child - begin]))
            found |= kinds[child - begin] | np.int64(1) << KINDS[node[child, BYTE]]
            child = np.int64(node[child, SKIP])
        deepest[i] = depth
        kinds[i] = found
