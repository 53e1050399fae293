"""The tokens of a vocabulary in tries, by slices of tokens that are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.kernels.liveness import LEFT_OUT
from guided.kernels.subtrees import fill_subtrees
from guided.kernels.trie import (
    SKIP,
    SLICE_LENGTHS,
    TOKEN,
    build_trie,
    index_edges,
    index_roots,
)

#: Which form of `TokenTries` this code makes and reads.
FORMAT = 2
#: Characters of a slice, from the smallest class to the widest: word characters, printable ASCII
#: that a JSON string may hold as it is, the same with non-ASCII code points (but LEFT_OUT).
N_CHARSETS = 3

_NON_ASCII = N_CHARSETS - 1


def _charsets() -> NDArray[np.int64]:
    """The smallest charset of every byte; `N_CHARSETS` where it is in none."""
    table = np.full(256, N_CHARSETS, np.int64)
    table[0x80:] = _NON_ASCII
    for byte in range(0x20, 0x7F):
        if byte not in b'"\\':
            word = chr(byte).isalnum() or byte == ord("_")
            table[byte] = 0 if word else 1
    return table


_CHARSETS = _charsets()


class TokenTries(NamedTuple):
    """All tokens in disjoint tries, and in one, one after the other in flat arrays.

    Trie k spans rows `first[k]` to `first[k + 1]` of `node` (see kernels.trie); `root[k]` indexes
    its first bytes. Trie 0 holds the tokens of no slice. Trie
    `1 + 3 * charset + j` holds the tokens over that charset (and no smaller one) with a length of
    at most `SLICE_LENGTHS[j]` characters; `slice_masks[k]` is the packed mask of all tokens over
    this charset or a smaller one that are as short. The last trie of `sliced_tries` holds all
    tokens, and `edge` finds its nodes by their parents and bytes.
    """

    first: NDArray[np.int32]
    root: NDArray[np.int32]
    node: NDArray[np.int32]
    next_same: NDArray[np.int32]
    slice_masks: NDArray[np.int32]
    stop_ids: NDArray[np.int32]
    edge: NDArray[np.int32]


class Subtrees(NamedTuple):
    """Of each node of the trie of all tokens (see kernels.subtrees).

    The tokens below node i are those of `ordered` from `rank[i + 1]` up to the rank of the first
    node behind the subtree.
    """

    deepest: NDArray[np.int32]
    kinds: NDArray[np.int64]
    rank: NDArray[np.int32]
    ordered: NDArray[np.int32]


def subtrees_of(tries: TokenTries) -> Subtrees:
    """What lies below each node of the last trie."""
    begin, end = tries.first[-2:].tolist()
    deepest, kinds = np.empty(end - begin, np.int32), np.empty(end - begin, np.int64)
    fill_subtrees(tries.node, begin, deepest, kinds)
    tokens = tries.node[begin:, TOKEN]
    rank = np.cumsum(np.append(0, tokens >= 0), dtype=np.int32)
    return Subtrees(deepest, kinds, rank, tokens[tokens >= 0])


def kept_tries(arrays: Mapping[str, NDArray[Any]] | None, size: int) -> TokenTries | None:
    """Tries that were kept; None where the arrays are none for logits of width `size`."""
    if arrays is None or set(arrays) != set(TokenTries._fields):
        return None
    tries = TokenTries(**arrays)
    begin, end = tries.first[-2:].tolist()
    fits = tries.next_same.shape == (size,) and tries.node.shape == (end, 4)
    return tries if fits and len(tries.edge) == 1 << (2 * (end - begin)).bit_length() else None


def sliced_tries(
    texts: Sequence[bytes], ids: Sequence[int], size: int, stop_ids: frozenset[int]
) -> TokenTries:
    """The tries of all tokens, whose sorted bytes are `texts`, for logits of width `size`."""
    slices = _slices(texts)
    groups: list[tuple[Sequence[bytes], Sequence[int]]] = []
    for number in range(1 + N_CHARSETS * len(SLICE_LENGTHS)):
        members = np.flatnonzero(slices == number).tolist()
        groups.append(([texts[i] for i in members], [ids[i] for i in members]))
    groups.append((texts, ids))
    tries = build_tries(groups, size, stop_ids)
    begin, end = tries.first[-2:].tolist()
    edge = np.empty(1 << (2 * (end - begin)).bit_length(), np.int32)
    index_edges(tries.node, begin, end, edge)
    masks = tries.slice_masks[1:-1].reshape(N_CHARSETS, len(SLICE_LENGTHS), -1)
    np.bitwise_or.accumulate(masks, axis=0, out=masks)
    np.bitwise_or.accumulate(masks, axis=1, out=masks)
    return tries._replace(edge=edge)


def build_tries(
    groups: Sequence[tuple[Sequence[bytes], Sequence[int]]], size: int, stop_ids: frozenset[int]
) -> TokenTries:
    """The tries of groups of sorted texts with their ids."""
    total = sum(sum(map(len, texts)) for texts, _ in groups)
    node = np.empty((total, 4), np.int32)
    next_same = np.full(size, -1, np.int32)
    first = np.zeros(len(groups) + 1, np.int32)
    masks = np.empty((len(groups), (size + 31) // 32), np.int32)
    members = np.empty(masks.shape[1] * 32, bool)
    at = 0
    for k, (texts, tokens) in enumerate(groups):
        ids = np.array(tokens, np.int64)
        data = np.frombuffer(b"".join(texts), np.uint8)
        ends = np.cumsum(np.array(list(map(len, texts)), np.int64))
        count = build_trie(data, ends, ids, node[at:], next_same)
        node[at : at + count, SKIP] += at
        members[:] = False
        members[ids] = True
        masks[k] = np.packbits(members, bitorder="little").view(np.int32)
        at += int(count)
        first[k + 1] = at
    node = node[:at].copy()
    root = np.empty((len(groups), 256), np.int32)
    index_roots(node, first, root)
    stops = np.array(sorted(stop_ids), np.int32)
    return TokenTries(first, root, node, next_same, masks, stops, np.full(1, -1, np.int32))


def _slices(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """For every token's bytes the index of the trie that holds it."""
    data = np.frombuffer(b"".join(texts), np.uint8)
    lengths = np.array(list(map(len, texts)), np.int64)
    begins = np.cumsum(lengths) - lengths
    charset = np.maximum.reduceat(_CHARSETS[data], begins)
    for i in np.flatnonzero(charset == _NON_ASCII).tolist():
        try:
            text = texts[i].decode()
        except UnicodeDecodeError:
            charset[i] = N_CHARSETS
            continue
        lengths[i] = len(text)
        if any(chr(point) in text for point in LEFT_OUT):
            charset[i] = N_CHARSETS
    place = np.searchsorted(SLICE_LENGTHS, lengths)
    in_slice = (charset < N_CHARSETS) & (place < len(SLICE_LENGTHS))
    return np.where(in_slice, 1 + charset * len(SLICE_LENGTHS) + place, 0)
