"""Masks of many rows at once are those of each row alone, whatever happens meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from guided.errors import GrammarTooLargeError
from guided.grammars import row_masks
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.known_index import MOST_BLOCKS
from guided.grammars.mask_work import Work
from guided.grammars.row_masks import make_masks
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.memo_arrays import TURN
from guided.testing import allowed_tokens
from tests.grammars.trust_subjects import FRONT_ENDS, vocabulary

UNIQUE = '{"type": "array", "items": {"type": "integer"}, "uniqueItems": true}'
MANY_KEYS = {
    "type": "object",
    "properties": {f"k{i}": {"type": "string", "pattern": f"^[a-f]{{{i},9}}$"} for i in range(9)},
    "additionalProperties": {"type": ["string", "number", "array"]},
}
Make = Callable[[], Grammar]


def many_keys() -> Grammar:
    """Members in any order: its rules are made as they are reached."""
    return json_schema(MANY_KEYS, property_order="any")


def unique() -> Grammar:
    """Its states are of another kind."""
    return json_schema(UNIQUE)


def fresh() -> Vocabulary:
    """A vocabulary that no mask was made with."""
    known = vocabulary()
    return Vocabulary.from_tokens(known.tokens, known.stop_ids)


def places(make: Make, tokens: Vocabulary, count: int) -> list[GrammarState]:
    """States of one grammar along random texts; nobody has asked for their masks."""
    rng, found, grammar, other = random.Random(5), [], make(), make()
    while len(found) < count:
        guide, state = other.start(fresh()), grammar.start(tokens)
        for _ in range(12):
            found.append(state)
            token = rng.choice(sorted(allowed_tokens(guide.mask(), tokens.size)))
            if token in tokens.stop_ids:
                break
            guide, state = guide.advance(token), state.advance(token)  # type: ignore[assignment]
    return found[:count]


def alone(make: Make, states: Sequence[GrammarState]) -> list[bytes]:
    """The masks of the same texts in a grammar and a vocabulary of their own, one by one."""
    found, start = [], make().start(fresh())
    for state in states:
        path, at = [], start
        while state._parent is not None:
            path.append(state._token)
            state = state._parent
        for token in reversed(path):
            at = at.advance(token)  # type: ignore[assignment]
        found.append(at.mask().tobytes())
    return found


def subjects(tokens: Vocabulary, each: int) -> tuple[list[GrammarState], list[bytes]]:
    """(states of all front ends, their masks), in random order."""
    pairs: list[tuple[GrammarState, bytes]] = []
    for make in (*FRONT_ENDS.values(), many_keys, unique):
        states = places(make, tokens, each)
        pairs += zip(states, alone(make, states), strict=True)
    random.Random(1).shuffle(pairs)
    return [state for state, _ in pairs], [mask for _, mask in pairs]


def test_threads_help_where_many_rows_share_a_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, many = [], Work.many

    def spied(self: Work, wanted: Sequence[tuple[TokenEngine, int]], threads: int) -> object:
        asked.append(threads)
        return many(self, wanted, threads)

    monkeypatch.setattr(Work, "many", spied)
    monkeypatch.setattr(row_masks, "n_cores", lambda: 3)
    monkeypatch.setattr(row_masks, "LEAST_SHARED", 4)
    make_masks(places(many_keys, fresh(), 40))
    make_masks(subjects(fresh(), 3)[0])
    assert asked == [3, 1]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_masks_made_together_are_those_made_alone(name: str, threads: int) -> None:
    tokens = fresh()
    states = places(FRONT_ENDS[name], tokens, 90)
    wanted = alone(FRONT_ENDS[name], states)
    assert not states[0].engine.masks
    make_masks(states, threads)
    assert [state.mask().tobytes() for state in states] == wanted


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_of_many_grammars_are_made_in_one_call(threads: int) -> None:
    states, wanted = subjects(fresh(), 30)
    assert not any(state.engine.masks for state in states)
    make_masks([*states, None, "no state"], threads)
    for state in states:
        engine = state.engine
        assert engine.representative(state.config) in engine.masks or engine.careful
    assert [state.mask().tobytes() for state in states] == wanted


def test_what_is_dropped_meanwhile_comes_back() -> None:
    # Neither blocks nor masks stay, and a grammar keeps two masks only.
    tokens = fresh()
    tokens.kept_masks._limit = 1
    states = places(many_keys, tokens, 40)
    wanted = alone(many_keys, states)
    states[0].engine._limit = 2
    for threads in (1, 2):
        make_masks(states, threads)
        assert [state.mask().tobytes() for state in states] == wanted
    assert len(states[0].engine.masks) <= 2


def test_the_index_of_blocks_is_begun_afresh_when_it_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("guided.grammars.known_index.MOST_BYTES", 1)
    tokens = fresh()
    states, wanted = subjects(tokens, 9)
    first = tokens.kept_masks.index
    make_masks(states, 2)
    assert [state.mask().tobytes() for state in states] == wanted
    assert tokens.kept_masks.index is not first
    assert len(tokens.kept_masks.index.blocks) <= 1 < MOST_BLOCKS
    assert not tokens.kept_masks._retired


def test_known_blocks_are_found_by_kernels() -> None:
    tokens = fresh()
    make_masks(places(many_keys, tokens, 40), 1)
    again = places(many_keys, tokens, 40)
    wanted = alone(many_keys, again)

    engine = again[0].engine
    make, asked = engine.make_block, []

    def make_block(state: int, lex: int, root: int) -> None:
        asked.append(state)
        make(state, lex, root)

    engine.make_block = make_block  # type: ignore[method-assign]
    make_masks(again, 1)
    # Those of counted strings are asked for once by each grammar.
    assert all(state < 0 for state in asked)
    assert [state.mask().tobytes() for state in again] == wanted
    assert any(place for place in engine._blocks)


def test_a_grammar_that_is_too_large_is_told_by_its_own_row() -> None:
    tokens = fresh()
    good = places(FRONT_ENDS["lark"], tokens, 9)
    bad = places(many_keys, tokens, 30)
    wanted = alone(FRONT_ENDS["lark"], good)
    parser = bad[0].engine.parser
    parser.limit = 1
    parser.memo.size[2] = len(parser.memo.parse_set)  # as if it were full
    make_masks(good + bad, 2)
    assert [state.mask().tobytes() for state in good] == wanted
    with pytest.raises(GrammarTooLargeError, match="memo"):
        [state.mask() for state in bad]


def test_who_waits_too_long_for_another_thread_tries_again() -> None:
    tokens = fresh()
    states = places(many_keys, tokens, 40)
    wanted = alone(many_keys, states)
    size = states[0].engine.parser.memo.size
    size[TURN] = 1
    timer = threading.Timer(0.2, lambda: size.__setitem__(TURN, 0))
    timer.start()
    make_masks(states, 2)
    assert size[TURN] == 0
    assert [state.mask().tobytes() for state in states] == wanted
    timer.join()


def test_threads_that_make_masks_at_once_get_those_of_one_alone() -> None:
    tokens = fresh()
    states, wanted = subjects(tokens, 20)
    found = {}

    def work(number: int) -> None:
        order = list(range(len(states)))
        random.Random(number).shuffle(order)
        for begin in range(0, len(order), 24):
            make_masks([states[i] for i in order[begin : begin + 24]], 2)
        found[number] = [state.mask().tobytes() for state in states]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == wanted for number in range(4))


FORKS = """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")
from tests.grammars.test_row_masks import FRONT_ENDS, alone, fresh, make_masks, places
tokens, stopped = fresh(), threading.Event()
def together():
    states = places(FRONT_ENDS["lark"], tokens, 30)
    make_masks(states, 2)
    return [state.mask().tobytes() for state in states]
wanted = alone(FRONT_ENDS["lark"], places(FRONT_ENDS["lark"], tokens, 30))
assert together() == wanted
def work():
    while not stopped.is_set():
        together()
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
codes = []
for number in range(6):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for ever is ended by this
        os._exit(0 if together() == wanted else 3)
    codes.append(os.waitpid(child, 0)[1])
stopped.set()
for thread in threads:
    thread.join()
assert together() == wanted
assert codes == [0] * 6, codes
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_while_masks_are_made_has_helpers_of_its_own() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FORKS], cwd=root, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def test_masks_in_the_index_are_read_only_and_shared() -> None:
    tokens = fresh()
    states = places(many_keys, tokens, 40)
    make_masks(states, 1)
    masks = [state.mask() for state in states]
    assert not any(mask.flags.writeable for mask in masks)
    by_content = {mask.tobytes(): mask for mask in masks}
    assert all(by_content[mask.tobytes()] is mask for mask in masks)
    assert np.array_equal(masks[0], states[0].mask())
