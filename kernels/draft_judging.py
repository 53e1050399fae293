"""Which guesses have come true, and what that says of their drafters and of the row."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry
from guided.kernels.draft_choice import BINS, PRIOR

#: Guesses of one kind that are counted before older ones fade.
_MEMORY = 100.0
#: What is left of the luck so far after one more guess: of the row's, and of all.
_OWN, _ALL = 0.9, 0.97


@entry
def judge(nodes, chances, path, count, table, luck, recent):  # type: ignore[no-untyped-def]
    """(guesses that came true, guesses judged whose chance was below 1).

    Args:
        nodes: int64 `[n, 3]`, tokens, parents (-1: the root) and drafters; `chances` of all.
        path: int64 `[2, count or more]`: the nodes at which tokens were drawn, below 0: the root,
            and these tokens. All guesses at them are judged.
        table: `Tallies.table`; `luck`, `recent`: float64 `[2]`, guesses that came true and how many
            were expected to, of the row and of all. These are changed.
    """
    hits, tried = np.int64(0), np.int64(0)
    for k in range(count):
        parent, token = max(path[0, k], np.int64(-1)), path[1, k]
        for node in range(parent + 1, len(nodes)):
            if nodes[node, 1] != parent:
                continue
            hit = nodes[node, 0] == token
            hits += hit
            chance = chances[node]
            if chance >= 1:
                continue
            tried += 1
            source, at = nodes[node, 2], min(np.int64(chance * BINS), BINS - 1)
            came, seen = table[0, source, at], table[1, source, at]
            rate = (came + PRIOR * chance) / (seen + PRIOR)
            if seen >= _MEMORY:
                came, seen = came * 0.5, seen * 0.5
            table[0, source, at], table[1, source, at] = came + hit, seen + 1
            luck[0], luck[1] = _OWN * luck[0] + hit, _OWN * luck[1] + rate
            recent[0], recent[1] = _ALL * recent[0] + hit, _ALL * recent[1] + rate
    return hits, tried
