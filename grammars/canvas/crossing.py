"""Tokens that may hold a boundary between two rules, and where in them it may be."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import Mids, Net

#: Vocabularies of which every token is tried; of larger ones the short ones of no word characters.
SMALL = 4096
_SHORT = 4
#: Of small vocabularies the tokens that are tried: all grammars have the same.
_ALL: WeakKeyDictionary[Vocabulary, tuple[bytes, ...]] = WeakKeyDictionary()
_WORD = frozenset(range(0x80, 0x100)) | frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
)


def candidates(
    vocabulary: Vocabulary, classes: bytes, longest: int | None = None
) -> tuple[tuple[bytes, ...], bool]:
    """(texts of two bytes or more that are tried, whether no token is left out).

    Of a large vocabulary those are the short ones of no word characters, and those with one word
    character behind another one, for each of its `classes`: what ends with a space may be followed
    by a word whose token begins with that space.
    """
    if longest is None and vocabulary in _ALL:
        return _ALL[vocabulary], True
    texts = [t for t in vocabulary.spellings if len(t) > 1 and not t.startswith(b"\xff")]
    if len(texts) <= SMALL and longest is None:
        return _ALL.setdefault(vocabulary, tuple(sorted(texts))), True
    most = _SHORT if longest is None else longest
    chosen = {t for t in texts if len(t) <= most and _WORD.isdisjoint(t)}
    pairs = (t for t in sorted(texts) if len(t) == 2 and t[0] not in _WORD and t[1] in _WORD)
    chosen |= set({(t[0], classes[t[1]]): t for t in pairs}.values())
    return tuple(sorted(chosen)), False


@lru_cache(maxsize=8)
def token_tree(texts: tuple[bytes, ...]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(nodes, index after each subtree) of sorted texts, in preorder; not to be changed."""
    path: list[int] = []
    rows: list[list[int]] = []
    skip: list[int] = []
    before = b""
    for text in texts:
        common = 0
        while common < min(len(before), len(text)) and before[common] == text[common]:
            common += 1
        while len(path) > common:
            skip[path.pop()] = len(rows)
        for depth in range(common, len(text)):
            path.append(len(rows))
            rows.append([text[depth], depth + 1, 0, -1])
            skip.append(0)
        rows[-1][2] = 1
        before = text
    while path:
        skip[path.pop()] = len(rows)
    return np.array(rows, np.int32).reshape(-1, 4), np.array(skip, np.int32)


def pruned(
    node: NDArray[np.int32], skip: NDArray[np.int32], useful: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The tree of the tokens that pass a useful node before they end, and the useful nodes in it.

    `useful` says it for every node.
    """
    count = len(node)
    depth = np.zeros(count + 1, np.int64)
    chosen = np.flatnonzero(useful)
    np.add.at(depth, chosen + 1, 1)
    np.add.at(depth, skip[chosen], -1)
    ends = (node[:, 2] != 0) & (np.cumsum(depth)[:count] > 0)
    before = np.concatenate([[0], np.cumsum(ends)])
    kept = before[skip] > before[:count]
    number = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    tree = node[kept]
    tree[:, 2] = ends[kept]
    ended = number[skip[kept]]
    inner = useful[kept] & (ended > np.arange(len(tree)) + 1)
    return tree, ended, np.flatnonzero(inner).astype(np.int32)


def with_mids(
    node: NDArray[np.int32], skip: NDArray[np.int32], chosen: Iterable[int], lexemes: int
) -> Mids:
    """The tree with the chosen nodes as mids, their runs still empty."""
    node_of = np.array(sorted(chosen), np.int32)
    numbered = node.copy()
    numbered[:, 3] = -1
    numbered[node_of, 3] = np.arange(len(node_of))
    run = np.zeros((len(node_of), lexemes, 3), np.int32)
    return Mids(numbered, skip, node_of, run, np.zeros(64, np.int32))


def followers(net: Net, lexemes: int) -> NDArray[np.bool_]:
    """bool[L, L]: terminals that may come right after a terminal in some text."""
    first: list[set[int]] = [set() for _ in net.final]
    after: list[set[int]] = [set() for _ in net.final]
    changed = True
    while changed:
        changed = False
        for q in range(len(net.final)):
            new = set(net.scan_lexeme[net.scan_begin[q] : net.scan_begin[q + 1]].tolist())
            for k in range(net.call_begin[q], net.call_begin[q + 1]):
                new |= first[net.start_of[net.call_rule[k]]]
            # What follows once the rule of q ends in q.
            onward = set(new)
            if net.final[q]:
                rule = net.rule_of[q]
                for k in range(net.caller_begin[rule], net.caller_begin[rule + 1]):
                    onward |= after[net.caller_target[k]]
            changed |= new != first[q] or onward != after[q]
            first[q], after[q] = new, onward
    table = np.zeros((lexemes, lexemes), np.bool_)
    for q in range(len(net.final)):
        for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
            table[net.scan_lexeme[k], sorted(after[net.scan_target[k]])] = True
    return table
