"""Chances of guesses beside each other, and the best width, are those of plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest

from guided.decoding.drafts import ROOT, Draft
from guided.kernels import draft_choice


def tree(rng: random.Random, nodes: int) -> Draft:
    draft = Draft()
    for node in range(nodes):
        chance = rng.choice((1.0, 0.5, rng.random(), rng.random() * 0.1))
        draft.add(node, rng.randrange(ROOT, max(0, node)), chance, rng.choice("abc"))
    return draft


def plain_shared(draft: Draft) -> list[float]:
    found = list(draft.chances)
    for parent in set(draft.parents):
        nodes = [node for node, above in enumerate(draft.parents) if above == parent]
        if len(nodes) == 1:
            continue
        taken: dict[str, float] = {}
        for node in sorted(nodes, key=lambda node: -draft.chances[node]):
            left = 1.0
            for source, share in taken.items():
                left *= 1 if source == draft.sources[node] else 1 - share
            found[node] *= left
            before = taken.get(draft.sources[node], 0.0)
            taken[draft.sources[node]] = min(1.0, before + draft.chances[node])
        total = sum(found[node] for node in nodes)
        for node in nodes:
            if total > draft_choice.ALL_SIBLINGS and draft.chances[node] < 1:
                found[node] *= draft_choice.ALL_SIBLINGS / total
    return found


def plain_width(
    gains: list[list[float]], costs: list[float], drafting: float, level: float, least: float
) -> int:
    best, rate = 0, least
    for width in range(1, max(map(len, gains)) + 1):
        firsts = [max([gain[i] for gain in gains if len(gain) > i]) for i in range(width)]
        if firsts[-1] < draft_choice.FAINT:
            break
        total = len(gains) + sum(sum(gain[:width]) for gain in gains)
        spent = costs[1 + width] + drafting + level * sum(firsts)
        if total / spent > rate:
            best, rate = width, total / spent
    return best


@pytest.mark.parametrize("seed", range(3))
def test_chances_and_order_are_those_of_plain_python(seed: int) -> None:
    rng = random.Random(seed)
    for nodes in [0, 1, 2, *(rng.randrange(3, 60) for _ in range(60))]:
        draft = tree(rng, nodes)
        names = {name: number for number, name in enumerate("abc")}
        sources = np.array([names[source] for source in draft.sources], np.int64)
        parents = np.array(draft.parents, np.int64)
        found = draft_choice.shared(parents, np.array(draft.chances), sources)
        assert found == pytest.approx(plain_shared(draft), abs=1e-12)
        order, gains = draft_choice.ranked(parents, found)
        reached = draft.reached(found.tolist()) if nodes else []
        assert order.tolist() == sorted(range(nodes), key=lambda node: -reached[node])
        assert gains.tolist() == [reached[node] for node in order]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_width_is_that_of_plain_python(rows: int) -> None:
    rng = random.Random(rows)
    widths = set()
    for _ in range(300):
        gains = [
            sorted((rng.random() ** 3 for _ in range(rng.randrange(12))), reverse=True)
            for _ in range(rows - 1)
        ]
        gains.append(sorted((rng.random() for _ in range(rng.randrange(1, 12))), reverse=True))
        most = max(map(len, gains))
        costs = np.cumsum([1.0, 0.0, *(rng.random() * 0.4 for _ in range(most))])
        drafting, level = rng.random() * 0.2, rng.random() * 0.1
        least = rows / (1 + drafting)
        table = np.zeros((rows, most))
        for row, gain in enumerate(gains):
            table[row, : len(gain)] = gain
        counts = np.array([len(gain) for gain in gains])
        found = draft_choice.best_width(table, counts, costs, drafting, level, least)
        assert found == plain_width(gains, costs.tolist(), drafting, level, least)
        widths.add(found)
    assert len(widths) > 3
