"""Searches by name."""

import pytest

import guided.search
from guided.errors import InputError
from guided.search import AStar, BestOfN, Greedy, Majority
from guided.solving.methods import described, make_method, method_names


def test_every_search_has_a_name_that_makes_it() -> None:
    names = method_names()
    assert {"astar", "best-of-n", "greedy", "majority", "beam", "dvts"} <= set(names)
    for name in names:
        method = make_method(name)
        assert type(method).__name__ in guided.search.__all__
        assert described(method).split()[0] == name


@pytest.mark.parametrize("name", ["best-of-n", "BestOfN", "best_of_n", "bon", "BEST-OF-N"])
def test_names_are_read_generously(name: str) -> None:
    assert make_method(name) == BestOfN()


def test_settings_are_read_by_their_types() -> None:
    assert make_method("best-of-n:n=4") == BestOfN(4)
    assert make_method("astar:width=2,cost=consistent", ["reexpand-penalty=none"]) == AStar(
        2, cost="consistent", reexpand_penalty=None
    )
    assert make_method("a*", ["depth_bonus=0.5"]) == AStar(depth_bonus=0.5)
    assert make_method("self-consistency", ["n=3"]) == Majority(3)
    assert make_method("greedy") == Greedy()
    assert described(make_method("astar:width=2")) == "astar width=2"
    assert described(BestOfN(4)) == "best-of-n n=4"
    assert described(BestOfN()) == "best-of-n n=16"


@pytest.mark.parametrize(
    ("spec", "settings", "says"),
    [
        ("astra", [], "no method 'astra'. Did you mean astar"),
        ("best-of-n:k=4", [], "BestOfN has no setting 'k'; it has n"),
        ("best-of-n", ["n"], "'n' is no setting"),
        ("best-of-n:n=many", [], "BestOfN: n=many does not fit"),
        ("best-of-n:n=true", [], "n=true does not fit"),
        ("best-of-n:n=0", [], "n must be at least 1"),
        ("astar:cost=high", [], "AStar: cost=high does not fit"),
        ("astar:heuristic=h", [], "heuristic=h does not fit"),
        ("greedy:n=2", [], "Greedy has no setting 'n'; it has none"),
    ],
)
def test_what_does_not_fit_is_told(spec: str, settings: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_method(spec, settings)
