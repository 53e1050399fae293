"""Masks that are put together from the tokens of terminals, against every token tried by bytes."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from guided.grammars.gbnf import gbnf
from guided.grammars.grammar import Grammar
from guided.grammars.regex import regex
from guided.grammars.states import GrammarState
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.subtrees import FREE_BIT, KINDS
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN

NAME = "name ::= [a-z_] [a-z0-9_]*\n"
GRAMMARS = {
    "names and signs": 'root ::= name (" = " name | ", " name | "(" name ")")* ";"\n' + NAME,
    "names and numbers": (
        'root ::= item ((" + " | ".") item)*\nitem ::= name | [0-9]+ ("." [0-9]+)? | "None"\n'
    )
    + NAME,
    "names without a sign between them": "root ::= name name\n" + NAME,
    "calls whose name may end early": 'root ::= [a-z]+ call\ncall ::= [a-z] "(" root? ")"\n',
    "names behind spaces": 'root ::= ("if " name | "go " name " " name)+\n' + NAME,
    "words": r'root ::= ("- " word (" " word)* "\n")+' + "\n" + r"word ::= [^ \n-] [^ \n]*" + "\n",
    "quotes": r'root ::= ("\"" ([^"\\\n] | "\\" [^\n])* "\"" | " ")+' + "\n",
    "nested": 'root ::= item*\nitem ::= "(" root ")" | "[" root "]" | [a-z0-9 ]\n',
    "nested, at least one": 'root ::= item+\nitem ::= "(" root ")" | [a-z ]\n',
}
PATTERNS = {
    "a long count": r"[a-z ]{20,60}\.",
    "a count of anything": r"[^\n]{3,40}\n",
    "counted words": r"([a-z]+ ){2,12}[a-z]+",
}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """All bytes, and tokens as tokenizers have them: words behind a space, runs of signs."""
    rng = random.Random(0)
    signs = [b" ", b"(", b".", b" (", b", ", b"\n", b"- ", b'"', b" =", b"."]
    texts = {bytes([byte]) for byte in range(255)}
    texts |= {b" " * n for n in (2, 3, 8, 30)} | {b");\n", b"))", b'",', b" + ", b"1.5", b"a.b"}
    texts |= {b"%c%c(" % pair for pair in itertools.product(b"abcdefgxyz", repeat=2)}
    for _ in range(700):
        word = bytes(rng.choices(b"abcdefgxyz019_", k=rng.randint(1, 7)))
        before, after = rng.choice([*signs[:1] * 9, b"", *signs]), b""
        if rng.random() < 0.2:
            after = rng.choice([*signs, "é".encode(), b" ab", b"\xc3"])
        texts.add(before + word + after)
    tokens = sorted(texts)
    # Some spell the same.
    return Vocabulary.from_tokens([*tokens, b" ab", b" ab", None], [len(tokens) + 2])


def allowed(state: GrammarState) -> set[int]:
    mask = state.mask()
    return set(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist())


def tried(state: GrammarState) -> set[int]:
    """The tokens after which the text can be completed, each one tried by its bytes."""
    parser, vocabulary = state._engine.parser, state.vocabulary
    found = set(vocabulary.stop_ids) if state.is_accepting else set()
    for token in range(vocabulary.size):
        data = vocabulary.grammar_bytes(token)
        if data is not None and parser.walk(state.config, data)[0]:
            found.add(token)
    return found


def check(grammar: Grammar, vocabulary: Vocabulary, steps: int) -> None:
    rng = random.Random(1)
    state = grammar.start(vocabulary)
    for _ in range(steps):
        expected = tried(state)
        assert allowed(state) == expected
        going_on = sorted(expected - vocabulary.stop_ids)
        following = state.advance(rng.choice(going_on)) if going_on else None
        state = following or grammar.start(vocabulary)


@pytest.mark.parametrize("name", GRAMMARS)
def test_masks_of_grammars_have_the_tokens_that_may_follow(
    name: str, vocabulary: Vocabulary
) -> None:
    check(gbnf(GRAMMARS[name]), vocabulary, 25)


@pytest.mark.parametrize("name", PATTERNS)
def test_masks_of_counts_have_the_tokens_that_may_follow(name: str, vocabulary: Vocabulary) -> None:
    check(regex(PATTERNS[name]), vocabulary, 40)


def test_states_that_only_count_share_their_tokens(vocabulary: Vocabulary) -> None:
    state = regex(r"[a-z]{1,300}\.").start(vocabulary)
    for _ in range(200):
        state.mask()
        state = state.advance(vocabulary.spellings[b"a"]) or state
    assert len({block.ctypes.data for block in state._engine._blocks.values()}) < 20


def test_loops_over_characters_and_brackets_keep_their_language() -> None:
    def is_balanced(text: str) -> bool:
        depth = 0
        for char in text:
            depth += (char == "(") - (char == ")")
            if depth < 0:
                return False
        return depth == 0

    star = gbnf('root ::= item*\nitem ::= "(" root ")" | [ab]\n')
    plus = gbnf('root ::= item+\nitem ::= "(" root ")" | [ab]\n')
    for length in range(7):
        for chars in itertools.product("ab()", repeat=length):
            text = "".join(chars)
            assert star.accepts(text.encode()) == is_balanced(text)
            expected = is_balanced(text) and bool(text) and "()" not in text
            assert plus.accepts(text.encode()) == expected


def test_subtrees_say_what_lies_below_each_node(vocabulary: Vocabulary) -> None:
    begin, end = vocabulary.tries.first[-2:].tolist()
    node, below = vocabulary.tries.node, vocabulary.subtrees
    assert KINDS.max() < FREE_BIT
    for at in range(begin, end, 7):
        inner = node[at + 1 : node[at, SKIP]]
        deepest = max([node[at, DEPTH], *inner[:, DEPTH].tolist()])
        kinds = sum(1 << kind for kind in {int(KINDS[byte]) for byte in inner[:, BYTE].tolist()})
        first, last = below.rank[at + 1 - begin], below.rank[node[at, SKIP] - begin]
        tokens = [token for token in inner[:, TOKEN].tolist() if token >= 0]
        assert below.deepest[at - begin] == deepest
        assert below.kinds[at - begin] == kinds
        assert below.ordered[first:last].tolist() == tokens
