"""Legal copies, the ends of their strings, and trees of several drafts, beside plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from guided.kernels import draft_closing
from guided.kernels.draft_closing import BEGINS_BLANK, BEGINS_WORD, ENDS_WORD, INSIDE, OUTSIDE
from guided.kernels.memo_arrays import DEAD, UNKNOWN

TOKENS = [b"a", b"bc", b" d", b'"', b'", "', b"\\", b"e f", b".", b"", b'x"y']
DATA = np.frombuffer(b"".join(TOKENS), np.uint8)
OFFSETS = np.cumsum([0, *map(len, TOKENS)])


def is_word(data: bytes) -> bool:
    return data.isalnum()


EDGES = np.array(
    [
        ENDS_WORD * is_word(data[-1:])
        + BEGINS_WORD * is_word(data[:1])
        + BEGINS_BLANK * (data[:1] == b" ")
        for data in TOKENS
    ],
    np.uint8,
)


def tree(rng: random.Random, nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    tokens = [rng.randrange(len(TOKENS)) for _ in range(nodes)]
    parents = [rng.randrange(max(-1, node - 3), max(0, node)) for node in range(nodes)]
    return np.array(tokens, np.int64), np.array(parents, np.int64)


@pytest.mark.parametrize("seed", range(3))
def test_configurations_are_those_of_the_steps_byte_by_byte(seed: int) -> None:
    rng = random.Random(seed)
    unclear = 0
    for _ in range(200):
        step = np.full((6, 256), UNKNOWN, np.int32)
        for byte in set(DATA.tolist()):
            for config in range(1, 6):
                step[config, byte] = rng.choice([DEAD, *range(1, 6), *range(1, 6)])
                if rng.random() < 0.02:
                    step[config, byte] = UNKNOWN
        tokens, parents = tree(rng, rng.randrange(12))
        configs = np.full(len(tokens) + 1, 77)
        configs[0] = 1
        count = draft_closing.reach(tokens, parents, configs, 0, step, DATA, OFFSETS)
        for node in range(count):
            at = int(configs[parents[node] + 1])
            text = TOKENS[tokens[node]]
            for byte in text:
                at = int(step[at, byte]) if at else 0
                at = 0 if at == DEAD else at
            assert configs[node + 1] == (at if text else 0)
        unclear += count < len(tokens)
        assert (configs[count + 1 :] == 77).all()
    assert 0 < unclear < 200


def plain_ends(
    tokens: list[int], parents: list[int], chances: list[float], legal: list[bool], string: int
) -> list[tuple[float, int, float]]:
    """(chance, node, share) of all ends, the likeliest first."""
    texts, likely, following = {-1: b""}, {-1: 1.0}, dict[int, int]()
    for node, parent in enumerate(parents):
        following.setdefault(parent, tokens[node])
        if legal[node] and parent in likely:
            texts[node] = texts[parent] + TOKENS[tokens[node]]
            likely[node] = likely[parent] * chances[node]
    found = []
    for node, text in texts.items():
        token = TOKENS[0] if node < 0 else TOKENS[tokens[node]]
        inside, escaped = string != OUTSIDE, False
        for byte in text.decode():
            if escaped:
                escaped = False
            elif inside and byte == "\\":
                escaped = True
            elif byte == '"':
                inside = not inside
        after = TOKENS[following[node]] if node in following else None
        share = 0.6
        if after is not None and after[:1] == b" ":
            share = 0.25
        if not inside or not is_word(token[-1:]) or (after is not None and is_word(after[:1])):
            share = 0.0
        if likely[node] * 0.6 > 0.05 and likely[node] * share > 0.05:
            found.append((likely[node] * share, node, share))
    return sorted(found, key=lambda end: -end[0])


@pytest.mark.parametrize("string", [OUTSIDE, INSIDE])
def test_strings_end_where_words_do(string: int) -> None:
    rng = random.Random(string)
    seen = 0
    for _ in range(400):
        tokens, parents = tree(rng, rng.randrange(10))
        chances = [rng.choice([1.0, 0.9, rng.random()]) for _ in tokens]
        configs = np.ones(len(tokens) + 1, np.int64)
        for node, parent in enumerate(parents):
            configs[node + 1] = configs[parent + 1] if rng.random() < 0.9 else 0
        ends, shares = np.empty(3, np.int64), np.empty(3)
        count, strings = draft_closing.find_ends(
            tokens, parents, np.array(chances, np.float64), configs, 0, string, DATA, OFFSETS,
            EDGES, ends, shares,
        )  # fmt: skip
        expected = plain_ends(
            tokens.tolist(), parents.tolist(), chances, (configs[1:] != 0).tolist(), string
        )[:3]
        assert ends[:count].tolist() == [node for _, node, _ in expected]
        assert shares[:count].tolist() == [share for _, _, share in expected]
        for node in ends[:count].tolist():
            way, at = b"", node
            while at >= 0:
                way, at = TOKENS[tokens[at]] + way, int(parents[at])
            stays = string == INSIDE and b'"' not in way and b"\\" not in way
            assert (strings[node + 1] == INSIDE) == stays
        seen += count
    assert seen > 100


def test_drafts_are_joined_without_what_is_illegal_or_said_twice() -> None:
    rng = random.Random(4)
    for _ in range(300):
        tokens, parents = tree(rng, rng.randrange(1, 16))
        legal = np.array([rng.random() < 0.9 for _ in tokens])
        room = rng.randrange(1, 16)
        into = np.empty((3, len(tokens)), np.int64)
        size = draft_closing.join(tokens, parents, legal, room, into)
        places, nodes = {-1: -1}, dict[tuple[int, int], int]()
        origins = []
        for node, (token, parent) in enumerate(zip(tokens.tolist(), parents.tolist(), strict=True)):
            if not legal[node] or parent not in places:
                continue
            key = places[parent], token
            if key not in nodes and len(nodes) < room:
                nodes[key] = len(nodes)
                origins.append(node)
            if key in nodes:
                places[node] = nodes[key]
        assert into[1, :size].tolist() == [above for above, _ in nodes]
        assert into[0, :size].tolist() == [token for _, token in nodes]
        assert into[2, :size].tolist() == origins
