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
NO_STEPS = np.zeros((0, 256), np.int32)


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


def tree(rng: random.Random, nodes: int, source: int = 0) -> NDArray[np.int64]:
    """Tokens, parents, and the drafter's number."""
    found = [
        (rng.randrange(len(TOKENS)), rng.randrange(max(-1, node - 3), max(0, node)), source)
        for node in range(nodes)
    ]
    return np.array(found, np.int64).reshape(-1, 3)


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
        nodes = tree(rng, rng.randrange(12))
        tokens, parents, _ = nodes.T
        configs = np.full(len(tokens) + 1, 77)
        configs[0] = 1
        count, _, _ = draft_closing.find_ends(
            nodes, np.ones(len(tokens)), configs, 0, step, 0, INSIDE, DATA, OFFSETS, EDGES,
            np.empty(3, np.int64), np.empty(3),
        )  # fmt: skip
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
        nodes = tree(rng, rng.randrange(10))
        tokens, parents, _ = nodes.T
        chances = [rng.choice([1.0, 0.9, rng.random()]) for _ in tokens]
        configs = np.ones(len(tokens) + 1, np.int64)
        for node, parent in enumerate(parents):
            configs[node + 1] = configs[parent + 1] if rng.random() < 0.9 else 0
        ends, shares = np.empty(3, np.int64), np.empty(3)
        # The configurations are known already.
        at, count, strings = draft_closing.find_ends(
            nodes, np.array(chances, np.float64), configs, len(nodes), NO_STEPS, 0, string, DATA,
            OFFSETS, EDGES, ends, shares,
        )  # fmt: skip
        assert at == len(nodes)
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
        forced, copied = tree(rng, rng.randrange(6), 1), tree(rng, rng.randrange(1, 10), 2)
        given, chances = (np.array([rng.random() for _ in some]) for some in (forced, copied))
        configs = np.array([1, *(rng.random() < 0.9 for _ in copied)], np.int64)
        closings = [
            (rng.randrange(-1, len(copied)), [rng.randrange(4) for _ in range(rng.randrange(4))])
            for _ in range(rng.randrange(4))
        ]
        ways = [number for node, chain in closings for number in (node, len(chain), *chain)]
        shares, room = np.array([rng.random() for _ in closings]), rng.randrange(1, 16)
        into, sure = np.empty((room, 3), np.int64), np.empty(room)
        size = draft_closing.join(
            forced, given, copied, chances, configs, np.array(ways, np.int64), shares, 3, room,
            into, sure,
        )  # fmt: skip
        nodes = dict[tuple[int | None, int], tuple[int, int, float]]()

        def put(
            above: int | None,
            token: int,
            source: int,
            chance: float,
            nodes: dict[tuple[int | None, int], tuple[int, int, float]] = nodes,
            room: int = room,
        ) -> int | None:
            if above is None or ((above, token) not in nodes and len(nodes) == room):
                return None
            return nodes.setdefault((above, token), (len(nodes), source, chance))[0]

        for some, likely, legal in (
            (forced, given, [True] * len(forced)),
            (copied, chances, (configs[1:] != 0).tolist()),
        ):
            places: dict[int, int | None] = {-1: -1}
            for node, (token, parent, source) in enumerate(some.tolist()):
                above = places[parent] if legal[node] else None
                places[node] = put(above, token, source, float(likely[node]))
        for (node, chain), share in zip(closings, shares.tolist(), strict=True):
            at = places[node]
            for index, token in enumerate(chain):
                at = put(at, token, 3, share if index == 0 else 0.9)
        assert into[:size].tolist() == [
            [token, above, source] for (above, token), (_, source, _) in nodes.items()
        ]
        assert sure[:size].tolist() == [chance for _, _, chance in nodes.values()]
