"""What is known at configurations, and how it is forgotten."""

import gc
import weakref

import numpy as np

from guided.grammars.json_schema import json_schema
from guided.grammars.spots import FINISHED, Spots
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary

SCHEMA = {"type": "array", "items": {"enum": [1, 22, 333]}}


def _vocabulary() -> Vocabulary:
    return Vocabulary.from_tokens([bytes([b]) for b in range(256)] + [b""], stop_ids=[256])


def test_steps_lead_from_one_to_the_next_and_are_forgotten_all_at_once():
    stop = np.zeros(1, np.int32)
    spots = Spots(stop, 3)
    first = spots.at(1)
    assert spots.at(1) is first
    assert spots.at(FINISHED).mask is stop
    assert spots.link(first, 7, 2) is spots.at(2) is first.steps[7]
    assert spots.link(first, 8, 0) is None
    assert spots.link(spots.at(2), 7, 1) is first
    assert 8 in first.forbidden
    # The fourth does not fit beside them.
    spots.link(first, 9, 2)
    assert first.steps == {9: spots.at(2)}
    assert not first.forbidden
    assert not spots.at(2).steps


def test_an_engine_that_is_gone_leaves_no_masks_to_the_collector():
    gc.collect()
    gc.disable()
    try:
        grammar, vocabulary = json_schema(SCHEMA), _vocabulary()
        state = grammar.start(vocabulary)
        for byte in b"[1,22,333,1,22":  # round and round: the places refer to one another
            state.mask()
            state = state.advance(byte)
            assert state is not None
        engine = weakref.ref(state.engine)
        spot = state._spot
        mask = state.mask()
        assert spot.mask is mask
        assert spot.steps or state.advance(ord(",")) is not None
        del state, grammar, vocabulary
        assert engine() is None
        assert spot.mask is None
        assert not spot.steps
    finally:
        gc.enable()


def test_a_mask_that_is_dropped_is_made_anew(monkeypatch):
    grammar, vocabulary = json_schema(SCHEMA), _vocabulary()
    one_mask = 4 * vocabulary.n_words
    engine = TokenEngine(grammar.start(vocabulary).engine.parser, vocabulary, limit=one_mask)
    first = engine.parser.start
    second = engine.after(first, ord("["))
    wanted = [engine.mask(config).copy() for config in (first, second)]
    # There is room for one: the place forgets its mask where the engine does.
    assert list(engine.masks) == [second]
    assert engine.spot(first).mask is None
    assert np.array_equal(engine.spot(second).mask, wanted[1])
    assert np.array_equal(engine.mask(first), wanted[0])
    assert engine.spot(second).mask is None
    engine.forget_masks()
    assert engine.spot(first).mask is None
    assert np.array_equal(engine.mask(first), wanted[0])


def test_tokens_that_may_not_come_are_remembered_as_such():
    state = json_schema(SCHEMA).start(_vocabulary())
    for _ in range(2):
        assert state.advance(ord("x")) is None
        assert not state.accepts(ord("x"))
        assert state.advance(256) is None
        assert state.accepts(ord("["))
    assert ord("x") in state._spot.forbidden
    finished = state.advance(ord("[")).advance(ord("]")).advance(256)
    assert finished.is_finished
    assert finished.advance(ord("x")) is None
    assert finished.mask() is finished.engine.stop_mask
