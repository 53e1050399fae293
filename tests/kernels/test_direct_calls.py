"""Kernels that are called without a look at the types of their arguments."""

from __future__ import annotations

import numpy as np

from guided.grammars.canvas import GAP, MASKED
from guided.grammars.lark import sample
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_check import check_bytes
from guided.kernels.canvas_left import fill_left
from guided.kernels.canvas_right import fill_right
from guided.kernels.compiling import entry
from guided.kernels.direct_calls import Direct


@entry
def _total(numbers, times):  # type: ignore[no-untyped-def]
    found = np.int64(0)
    for number in numbers:
        found += times * number
    return found


def test_a_direct_call_returns_what_the_kernel_returns() -> None:
    total = Direct(_total)
    for times in (1, 2, 3):
        assert total(np.arange(5), times) == 10 * times


def test_a_kernel_of_several_types_looks_at_them() -> None:
    _total(np.arange(5), 1)
    _total(np.arange(5.0), 1)
    total = Direct(_total)
    assert total(np.arange(5), 2) == 20
    assert total(np.array([0.5, 1.0]), 2) == 3


def test_the_tables_of_canvases_are_of_one_type() -> None:
    tokens = [bytes([byte]) for byte in b'{}[]":,a1 '] + [b'": ', b'{"', b"aa"]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [len(tokens)])
    grammar = sample("json").grammar()
    canvas = grammar.canvas(vocabulary, 40)
    for slot, token in enumerate(vocabulary.encode(b'{"a": [1, "a", {"aa": 1')):
        canvas.check(slot, token)
        canvas = canvas.fix({slot: token}) or canvas
        canvas.check(39, 0)
    canvas = canvas.fix(dict(enumerate(vocabulary.encode(b'": 1}]}'), 18))) or canvas
    assert canvas.check(30, len(tokens)) is not None
    assert grammar.canvas(vocabulary, [GAP, 0, GAP, MASKED, 1]).completion() is not None
    assert grammar.canvas(vocabulary, 0).verdict is not None
    for kernel in (fill_left, fill_right, check_bytes):
        assert len(kernel.overloads) == 1
