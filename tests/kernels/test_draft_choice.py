"""Chances of guesses beside each other, and the best width, are those of plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

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
    gains: list[list[float]],
    proven: list[list[float]],
    costs: list[float],
    dearest: list[float],
    drafting: float,
    level: float,
    least: float,
    credit: float,
    trust: float,
) -> tuple[int, float]:
    rows = len(gains)
    best, rate, lacking = 0, least, []
    for width in range(1, max(map(len, gains)) + 1):
        firsts = [max([gain[i] for gain in gains if len(gain) > i]) for i in range(width)]
        if firsts[-1] < draft_choice.FAINT:
            break
        total = rows + sum(sum(gain[:width]) for gain in gains)
        spent = costs[1 + width] + drafting + level * sum(firsts)
        if total / spent <= least:
            continue
        seen = rows + sum(sum(gain[:width]) for gain in proven)
        spare = credit + (trust if seen >= rows * dearest[1 + width] else 0)
        if dearest[1 + width] - 1 > spare:
            lacking.append(dearest[1 + width] - 1 - spare)
        elif total / spent > rate:
            best, rate = width, total / spent
    return best, 0 if best else min(lacking, default=0)


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
    widths, lacked = set(), 0
    for _ in range(300):
        gains = [
            sorted((rng.random() ** 3 for _ in range(rng.randrange(12))), reverse=True)
            for _ in range(rows - 1)
        ]
        gains.append(sorted((rng.random() for _ in range(rng.randrange(1, 12))), reverse=True))
        proven = [[gain * rng.choice((1.0, rng.random())) for gain in some] for some in gains]
        most = max(map(len, gains))
        costs = np.cumsum([1.0, 0.0, *(rng.random() * 0.4 for _ in range(most))])
        dearest = costs * (1 + 0.2 * rng.random() * np.arange(len(costs)))
        dearest[:2] = 1.0
        drafting, level = rng.random() * 0.2, rng.random() * 0.1
        least, credit, trust = rows / (1 + drafting), 1.5 * rng.random(), rng.random()
        table, seen = np.zeros((2, rows, most))
        for row in range(rows):
            table[row, : len(gains[row])] = gains[row]
            seen[row, : len(gains[row])] = proven[row]
        counts = np.array([len(gain) for gain in gains])
        found = draft_choice.best_width(
            table, seen, counts, costs, dearest, drafting, level, least, credit, trust
        )
        expected = plain_width(
            gains, proven, costs.tolist(), dearest.tolist(), drafting, level, least, credit, trust
        )
        assert found == pytest.approx(expected)
        widths.add(found[0])
        lacked += found[1] > 0
    assert len(widths) > 3
    assert lacked > 3


def plain_reached(
    draft: Draft, table: NDArray[np.float64], luck: float, weight: float
) -> list[float]:
    """How likely each node is reached, where its drafter's estimate has such a weight."""
    believed = list[float]()
    for chance, source in zip(draft.chances, draft.sources, strict=True):
        hits, count = table[:, "abc".index(source), min(int(chance * 10), 9)]
        rate = (hits + weight * chance) / (count + 4)
        believed.append(1.0 if chance >= 1 else min(1.0, luck * rate))
    twin = Draft(draft.tokens, draft.parents, believed, draft.sources)
    return draft.reached(plain_shared(twin))


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
        credit, trust = 1.5 * rng.random(), rng.random()
        width, lacking = draft_choice.choose(
            bounds, nodes, chances, lucks, table, known, spent, level, least, credit, trust,
            kept, sure,
        )  # fmt: skip
        gains, proven = [], []
        for row, draft in enumerate(drafts):
            reached, seen = (
                plain_reached(draft, table, lucks[row], weight) if len(draft) else []
                for weight in (4, 0)
            )
            # The likeliest, none without its parent; of equals the first.
            order = sorted(range(len(draft)), key=lambda node: -reached[node])
            gains.append([reached[node] for node in order])
            proven.append([seen[node] for node in order])
            twin = draft.keep(sorted(order[:width]))
            begin, end = bounds[row], bounds[row] + len(twin)
            assert kept[begin:end, 0].tolist() == twin.tokens
            assert kept[begin:end, 1].tolist() == twin.parents
            assert kept[begin:end, 2].tolist() == ["abc".index(s) for s in twin.sources]
            assert sure[begin:end].tolist() == twin.chances
        expected: tuple[int, float] = (0, 0)
        if len(nodes) and np.isnan(known[0]):
            safe = max(sum(gain >= 0.9 for gain in some) for some in gains)
            expected = min(8, safe, int(credit / (0.25 + 0.03 * rows))), 0
        elif len(nodes):
            costs = draft_choice.relative(known, 1 + max(map(len, drafts)))
            expected = plain_width(
                gains, proven, costs.tolist(), draft_choice.dearest(known, costs, rows).tolist(),
                spent / known[0], level / known[0], least * rows / (1 + spent / known[0]),
                credit, trust,
            )  # fmt: skip
        assert (width, lacking) == pytest.approx(expected)
        widths.add(width)
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


def test_a_width_that_was_never_tried_may_cost_more_than_is_hoped() -> None:
    known = np.full(len(draft_choice.WIDTHS), np.nan)
    known[0] = 2.0
    first = draft_choice.dearest(known, draft_choice.relative(known, 3), 1)
    assert first == pytest.approx([1, 1, 1.28, 1.56])
    # The more rows there are, the sooner a pass takes as long as it has tokens.
    many = draft_choice.dearest(known, draft_choice.relative(known, 3), 64)
    assert many == pytest.approx([1, 1, 1.75, 2.5])
    known[draft_choice.WIDTHS.index(5)] = 3.0
    costs = draft_choice.relative(known, 8)
    found = draft_choice.dearest(known, costs, 1)
    assert found[:6].tolist() == costs[:6].tolist()
    # Four tokens have taken half a pass more.
    assert found[6:] == pytest.approx([1.5 + 1.5 * more / 8 for more in (1, 2, 3)])
