"""The frontier: an order that depends on keys and, where they tie, on who came first."""

import itertools
import math

import pytest

from guided.search.frontier import Frontier
from guided.search.node import Node


def node(number: int) -> Node:
    return Node(None, None, number)  # type: ignore[arg-type]


def test_the_lowest_key_comes_first_whatever_the_order_of_pushing() -> None:
    keys = [(2.0, -1.0), (1.0, 0.0), (1.0, -3.0), (0.5, 0.0)]
    for order in itertools.permutations(range(4)):
        frontier = Frontier()
        for number in order:
            frontier.push(node(number), keys[number])
        assert [each.id for each in frontier] == [3, 2, 1, 0]
        assert [frontier.pop()[0].id for _ in range(4)] == [3, 2, 1, 0]
    with pytest.raises(IndexError):
        frontier.pop()


def test_of_equal_keys_the_first_one_pushed_comes_first() -> None:
    frontier = Frontier()
    for number in (4, 1, 3):
        frontier.push(node(number), (1.0,))
    assert [frontier.pop()[0].id for _ in range(3)] == [4, 1, 3]


def test_what_is_given_up_is_recorded() -> None:
    frontier = Frontier()
    for number in range(6):
        frontier.push(node(number), (float(number),))
    assert frontier.trim(9) == []
    assert frontier.lowest_dropped == math.inf
    assert [each.id for each in frontier.trim(2)] == [2, 3, 4, 5]
    assert (frontier.dropped, frontier.lowest_dropped, len(frontier)) == (4, 2.0, 2)
    frontier.push(node(7), (-1.0,))
    assert [frontier.pop()[0].id for _ in range(3)] == [7, 0, 1]
