"""Prompt lookup copies what followed the last tokens before, and finds its place again."""

from __future__ import annotations

from typing import Any

import pytest

from guided.decoding.drafters.lookup import Lookup, bare_ids
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary
from guided.testing import check_drafter_laws, table_model

MODEL = table_model(30)


def test_the_longest_match_wins(opened: Any, ask: Any) -> None:
    branch = opened(MODEL, [1, 2, 3, 9, 9, 2, 3, 8, 8], [7, 1, 2, 3])
    assert ask(Lookup(), branch, room=3).tokens == [9, 9, 2]


def test_the_latest_of_equal_matches_wins(opened: Any, ask: Any) -> None:
    branch = opened(MODEL, [5, 2, 3, 9, 6, 2, 3, 8, 7], [2, 3])
    assert ask(Lookup(), branch, room=2).tokens == [8, 7]


def test_a_second_guess_takes_a_quarter_of_a_large_room(opened: Any, ask: Any, chains: Any) -> None:
    branch = opened(MODEL, [2, 3, 9, 6, 6, 6, 2, 3, 8, 7, 7, 7, 7, 7], [2, 3])
    assert chains(ask(Lookup(), branch, room=8)) == [[8, 7, 7, 7, 7, 7], [9, 6]]
    assert chains(ask(Lookup(), branch, room=8, keeps_laws=True)) == [[8, 7, 7, 7, 7, 7, 2, 3]]


def test_nothing_is_guessed_where_nothing_stood_before(opened: Any, ask: Any) -> None:
    assert ask(Lookup(), opened(MODEL, [1, 2, 3], [4])).tokens == []


def test_a_copy_goes_on_after_a_token_that_differed(opened: Any, ask: Any, push: Any) -> None:
    drafter, source = Lookup(), [11, 12, 13, 14, 15, 16, 17, 18]
    branch = opened(MODEL, [*source, 1], source[:4])
    assert ask(drafter, branch, room=2).tokens == [15, 16]
    push(branch, [15, 20])  # instead of 16
    assert ask(drafter, branch, room=2).tokens == [17, 18]


@pytest.mark.parametrize(("said", "expected"), [([15, 17], [18, 19]), ([15, 16, 18], [19, 1])])
def test_a_copy_goes_on_after_what_was_left_out(
    opened: Any, ask: Any, push: Any, said: list[int], expected: list[int]
) -> None:
    # 17 and 18 also stand at the start, so that a search alone would find two places.
    drafter, source = Lookup(n_max=1), [11, 12, 13, 14, 15, 16, 17, 18, 19]
    branch = opened(MODEL, [*source, 1, 17, 2, 18, 3], source[:4])
    ask(drafter, branch)
    push(branch, said)
    assert ask(drafter, branch, room=2).tokens == expected


def test_chances_rise_with_the_match_and_along_the_copy(opened: Any, ask: Any) -> None:
    short = ask(Lookup(), opened(MODEL, [3, 9, 9, 9], [4, 3]), room=3)
    long = ask(Lookup(), opened(MODEL, [1, 2, 3, 9, 9, 9], [1, 2, 3]), room=3)
    assert short.chances[0] < long.chances[0]
    assert long.chances == sorted(long.chances)


def test_a_match_in_one_place_only_is_surer(opened: Any, ask: Any) -> None:
    one = ask(Lookup(), opened(MODEL, [3, 9, 4, 8], [3]), room=1)
    several = ask(Lookup(), opened(MODEL, [3, 9, 3, 8], [3]), room=1)
    assert one.chances[0] > several.chances[0]


def test_drafts_are_well_formed_and_repeatable(opened: Any) -> None:
    tokens = [1 + (i * i) % 7 for i in range(40)]
    branches = [opened(MODEL, tokens[:20], tokens[20:]), opened(MODEL, [1, 2], [3])]
    check_drafter_laws(Lookup(), branches, MODEL.vocabulary.size)


def test_a_fork_goes_on_with_its_own_index(opened: Any, ask: Any, push: Any) -> None:
    drafter = Lookup()
    branch = opened(MODEL, [1, 2], [3, 4, 5])
    ask(drafter, branch)
    child = branch.fork(7)
    drafter.fork(branch, child)
    push(branch, [6, 4, 5])
    push(child, [9, 4, 5])
    assert ask(drafter, branch, room=1).tokens == [6]
    assert ask(drafter, child, room=1).tokens == [9]
    assert ask(Lookup(), child).tokens == ask(drafter, child).tokens


def test_words_match_whatever_stands_before_them() -> None:
    spelled = [None, b"Sol", b" Sol", b'"', b' "Mira', b" Mira", b"Mira", b" ", b" x"]
    assert bare_ids(Vocabulary.from_tokens(spelled, [0])) == [0, 1, 1, 3, 6, 6, 6, 7, 8]


def test_a_value_in_quotes_is_found_in_running_text(opened: Any, ask: Any) -> None:
    spelled = [b" Mira", b" Sol", b" is", b" old", b"name", b'": "', b"Mira"]
    model = table_model(tokens=spelled)
    branch = opened(model, [4, 1, 2, 3, 4, 5, 6], [7])
    assert ask(Lookup(), branch, room=2).tokens == []
    assert ask(Lookup(model.vocabulary), branch, room=2).tokens == [2, 3]


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="n_max=0"):
        Lookup(n_max=0)
