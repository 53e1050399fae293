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


@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_chosen_is_what_its_parts_say(rows: int) -> None:
    rng = random.Random(rows)
    widths = set()
    for _ in range(200):
        drafts = [tree(rng, rng.randrange(14)) for _ in range(rows)]
        table = np.array([rng.random() for _ in range(2 * 3 * draft_choice.BINS)])
        table = table.reshape(2, 3, draft_choice.BINS) * 20
        table[0] = np.minimum(table[0], table[1])
        lucks = np.array([0.5 + rng.random() for _ in range(rows)])
        known = np.cumsum([1.0, *[0.3 * rng.random() for _ in draft_choice.WIDTHS[1:]]])
        known[[at for at in range(1, len(known)) if rng.random() < 0.4]] = np.nan
        if rng.random() < 0.1:
            known[:] = np.nan
        spent, level, least = rng.random() * 0.1, rng.random() * 0.05, 1.03
        bounds = np.cumsum([0, *map(len, drafts)])
        nodes = np.array(
            [
                (token, above, "abc".index(source))
                for draft in drafts
                for token, above, source in zip(
                    draft.tokens, draft.parents, draft.sources, strict=True
                )
            ],
            np.int64,
        ).reshape(-1, 3)
        kept, sure = np.empty_like(nodes), np.empty(len(nodes))
        chances = np.array([chance for draft in drafts for chance in draft.chances])
        width = draft_choice.choose(
            bounds, nodes, chances, lucks, table, known, spent, level, least, kept, sure
        )  # fmt: skip
        gains = []
        for row, draft in enumerate(drafts):
            believed = list[float]()
            for chance, source in zip(draft.chances, draft.sources, strict=True):
                hits, count = table[:, "abc".index(source), min(int(chance * 10), 9)]
                rate = (hits + 4 * chance) / (count + 4)
                believed.append(1.0 if chance >= 1 else min(1.0, lucks[row] * rate))
            twin = Draft(draft.tokens, draft.parents, believed, draft.sources)
            reached = draft.reached(plain_shared(twin)) if len(draft) else []
            gains.append(sorted(reached, reverse=True))
            # The likeliest, none without its parent; of equals the first.
            order = sorted(range(len(draft)), key=lambda node: -reached[node])
            twin = draft.keep(sorted(order[:width]))
            begin, end = bounds[row], bounds[row] + len(twin)
            assert kept[begin:end, 0].tolist() == twin.tokens
            assert kept[begin:end, 1].tolist() == twin.parents
            assert kept[begin:end, 2].tolist() == ["abc".index(s) for s in twin.sources]
            assert sure[begin:end].tolist() == twin.chances
        if not len(nodes):
            expected = 0
        elif np.isnan(known[0]):
            expected = min(8, max(sum(gain >= 0.9 for gain in some) for some in gains))
        else:
            costs = draft_choice.relative(known, 1 + max(map(len, drafts))).tolist()
            expected = plain_width(
                gains, costs, spent / known[0], level / known[0],
                least * rows / (1 + spent / known[0]),
            )  # fmt: skip
        assert width == expected
        widths.add(expected)
    assert len(widths) > 3


def test_costs_that_were_never_measured_lie_between_those_that_were() -> None:
    known = np.full(len(draft_choice.WIDTHS), np.nan)
    assert draft_choice.relative(known, 3) == pytest.approx([1, 1, 1.08, 1.16])
    known[[0, draft_choice.WIDTHS.index(6), draft_choice.WIDTHS.index(12)]] = 2.0, 4.0, 10.0
    costs = draft_choice.relative(known, 16)
    assert costs[[0, 1, 6, 12]] == pytest.approx([1, 1, 2, 5])
    assert costs[3] == pytest.approx(1 + 2 / 5)
    # A width counts as the next one that costs are kept of.
    assert costs[[7, 8]] == pytest.approx([2 + 3 * 2 / 6] * 2)
    assert costs[16] == pytest.approx(5 + 0.08 * 4)
