"""What a round says of its guesses, counted in a kernel, is what counting them one by one says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from guided.kernels.draft_choice import BINS, PRIOR
from guided.kernels.draft_judging import judge


@pytest.mark.parametrize("seed", range(30))
def test_every_guess_at_a_drawn_token_is_judged_once(seed: int) -> None:
    random_ = random.Random(seed)
    count = random_.randrange(1, 12)
    nodes, chances = np.zeros((count, 3), np.int64), np.empty(count)
    taken: set[tuple[int, int]] = set()
    for node in range(count):
        parent = random_.randrange(-1, node)
        token = next(t for t in range(99) if (parent, t) not in taken)
        taken.add((parent, token))
        nodes[node] = token, parent, random_.randrange(3)
        chances[node] = random_.choice([1.0, 0.95, 0.5, 0.03, random_.random()])
    stood, said = [-1], []
    while True:
        below = [n for n in range(count) if nodes[n, 1] == stood[-1]]
        if not below or random_.random() < 0.3:
            said.append(50)
            break
        hit = random_.choice(below)
        said.append(int(nodes[hit, 0]))
        if random_.random() < 0.2:
            break
        stood.append(hit)
    said = said[: len(stood)]
    table, luck, recent = np.full((2, 3, BINS), 99.5), np.array([1.0, 2.0]), np.array([3.0, 4.0])
    table[0] = 40
    expected = table.copy()
    own, everyone, hits, tried = [1.0, 2.0], [3.0, 4.0], 0, 0
    for at, token in zip(stood, said, strict=True):
        for node in range(count):
            if nodes[node, 1] != at:
                continue
            came = nodes[node, 0] == token
            hits += came
            if chances[node] >= 1:
                continue
            tried += 1
            cell = nodes[node, 2], min(int(chances[node] * BINS), BINS - 1)
            rate = (expected[0][cell] + PRIOR * chances[node]) / (expected[1][cell] + PRIOR)
            if expected[1][cell] >= 100:
                expected[0][cell] /= 2
                expected[1][cell] /= 2
            expected[0][cell] += came
            expected[1][cell] += 1
            own = [0.9 * own[0] + came, 0.9 * own[1] + rate]
            everyone = [0.97 * everyone[0] + came, 0.97 * everyone[1] + rate]
    path = np.array([[*stood, 7], [*said, 7]])
    assert judge(nodes, chances, path, len(stood), table, luck, recent) == (hits, tried)
    assert np.allclose(table, expected, rtol=1e-12)
    assert np.allclose(luck, own, rtol=1e-12)
    assert np.allclose(recent, everyone, rtol=1e-12)
