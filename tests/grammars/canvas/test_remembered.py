"""What a canvas remembers of its answers never changes a later one."""

from __future__ import annotations

import random

import numpy as np

from guided.grammars.canvas import MASKED, Canvas
from guided.grammars.canvas.crossing import pruned, token_tree
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import sample
from guided.grammars.vocabulary import Vocabulary

TOKENS = [*(bytes((byte,)) for byte in b'{}[]":,a12 '), b'":', b'{"', b'"}', b'", "', b"aa", b"12"]
STOP = len(TOKENS)
VOCABULARY = Vocabulary.from_tokens([*TOKENS, None, None], [STOP])
GRAMMARS = (
    sample("json").grammar(),
    json_schema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
)


def fresh(canvas: Canvas, grammar: int) -> Canvas:
    """The same slots, nothing asked about."""
    return GRAMMARS[grammar].canvas(VOCABULARY, list(canvas.slots))


def test_ends_and_alike_tokens_are_answered_as_by_a_fresh_canvas() -> None:
    rng = random.Random(5)
    answers = set()
    for turn in range(60):
        which = turn % 2
        canvas = GRAMMARS[which].canvas(VOCABULARY, rng.randint(3, 12))
        for _ in range(6):
            masked = [at for at, slot in enumerate(canvas.slots) if slot is MASKED]
            if not masked:
                break
            for slot in rng.sample(masked, min(3, len(masked))):
                token = rng.choice([STOP, STOP, *range(STOP)])
                verdict = canvas.check(slot, token)
                assert verdict is fresh(canvas, which).check(slot, token), (canvas.slots, slot)
                answers.add((token == STOP, verdict))
                after = canvas.fix({slot: token})
                assert (after is None) is (verdict.name == "NO")
                if after is not None and (token != STOP or rng.random() < 0.2):
                    assert after.verdict is fresh(after, which).verdict
                    canvas = after
                    break
    assert len(answers) == 4


def test_ends_are_answered_the_same_in_any_order() -> None:
    rng = random.Random(7)
    answers = set()
    for which in (0, 1):
        for first in (b"{", b"[", b'"'):
            slots = [TOKENS.index(first), *[MASKED] * 8]
            canvas = GRAMMARS[which].canvas(VOCABULARY, slots)
            for slot in rng.sample(range(1, 9), 8):
                verdict = canvas.check(slot, STOP)
                assert verdict is fresh(canvas, which).check(slot, STOP), (first, slot)
                answers.add(verdict)
    assert len(answers) == 2


def test_several_tokens_are_fixed_as_on_a_fresh_canvas_whatever_ends_were_refused() -> None:
    rng = random.Random(6)
    answers = set()
    for turn in range(150):
        which = turn % 2
        canvas = GRAMMARS[which].canvas(VOCABULARY, 12)
        for slot in rng.sample(range(12), 3):
            canvas.check(slot, STOP)
        some = {
            slot: rng.choice([STOP, STOP, rng.randrange(STOP)])
            for slot in rng.sample(range(12), rng.randint(2, 4))
        }
        found, other = canvas.fix(some), fresh(canvas, which).fix(some)
        assert (found is None) is (other is None), some
        if found is not None and other is not None:
            assert found.verdict is other.verdict
            assert found.completion() == other.completion()
        answers.add(found is None)
    assert answers == {True, False}


def test_a_pruned_tree_is_the_tree_of_what_is_left() -> None:
    rng = random.Random(0)
    for _ in range(300):
        words = {bytes(rng.choices(b"abc", k=rng.randint(2, 5))) for _ in range(rng.randint(0, 25))}
        texts = tuple(sorted(words))
        node, skip = token_tree(texts)
        names = _names(node)
        useful = np.array([rng.random() < 0.4 for _ in names], np.bool_)
        chosen = {name for name, is_useful in zip(names, useful, strict=True) if is_useful}
        kept = tuple(t for t in texts if any(t[:n] in chosen for n in range(1, len(t))))
        expected, ends = token_tree(kept)
        tree, skips, numbers = pruned(node, skip, useful)
        assert tree.tolist() == expected.tolist()
        assert skips.tolist() == ends.tolist()
        inner = [n for n, name in enumerate(_names(tree)) if name in chosen and skips[n] > n + 1]
        assert numbers.tolist() == inner


def _names(node: np.ndarray) -> list[bytes]:
    """The text of every node of a tree in preorder."""
    names: list[bytes] = []
    path: list[int] = []
    for byte, depth, *_ in node.tolist():
        path[depth - 1 :] = [byte]
        names.append(bytes(path))
    return names
