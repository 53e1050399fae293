"""Memory of parsers that is used again."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from guided.grammars import memo_room
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema

TEXT = b'{"a":[1,2,{"b":"x"}]}'


@pytest.fixture(autouse=True)
def _no_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo_room, "_free", type(memo_room._free)())


def free_rooms() -> int:
    gc.collect()
    return len(memo_room._free)


def test_a_room_used_again_is_as_good_as_new() -> None:
    grammar = json_schema({"type": "object"})
    assert grammar.accepts(TEXT)
    del grammar
    assert free_rooms() == 1
    again = json_schema({"type": "array", "items": {"type": "integer"}})
    assert again.accepts(b"[1,20]")
    assert free_rooms() == 0
    assert not again.accepts(TEXT)
    (room,) = [memo_room.room()]
    fresh = memo_room.Room()
    for used, new in zip(room.memo(3)[0][:-1], fresh.memo(3)[0][:-1], strict=True):
        if used.shape != (7, memo_room.MAX_DEPTH + 1):
            assert (used[:64] == new[:64]).all()


def test_what_is_given_back_is_empty() -> None:
    grammar = json_schema({"type": "object"})
    memo = grammar._open_parser().memo
    grammar.accepts(TEXT)
    assert int(memo.size.sum()) > 3
    del grammar, memo
    assert free_rooms() == 1
    memo, handle = memo_room.room().memo(2)
    assert int(memo.size.sum()) == 3
    assert not memo.step[:512].any()
    assert not any(np.any(getattr(memo, name)) for name in ("live", "thread", "config_hash"))
    assert handle[-1] == 2


def test_parsers_at_the_same_time_share_nothing() -> None:
    grammars: list[Grammar] = [json_schema({"const": number}) for number in range(6)]
    for number, grammar in enumerate(grammars):
        assert grammar.accepts(b"%d" % number)
        assert not grammar.accepts(b"9")
    del grammar, grammars
    assert free_rooms() == memo_room._MOST_FREE
