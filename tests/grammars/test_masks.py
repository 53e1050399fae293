"""Masks against every token tried by its bytes, where they are put together from kept parts."""

from __future__ import annotations

import pickle
import random
import string

import numpy as np
import pytest

from guided.grammars.automata import byte_class, literal
from guided.grammars.common_masks import keep_common
from guided.grammars.grammar import Grammar
from guided.grammars.ir import Alt, CountedString, Expr, GrammarSpec, Lex, Repeat, Seq
from guided.grammars.kept_masks import KeptMasks
from guided.grammars.memo import Parser
from guided.grammars.regex import regex
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens

MARKS = '",:}]\\ \n-_.'
LETTERS = "abcdefgxyzABCXYZ0123456789"
WIDE = "éß€\u0085\u2028\u2029\ufeff\u2030😀"


def vocabulary_of(rng: random.Random, size: int = 500) -> Vocabulary:
    """All bytes, and tokens of one to eighty characters as tokenizers have them, some twice."""
    found = [bytes([byte]) for byte in range(256)]
    for _ in range(size):
        letters = rng.choice((LETTERS, LETTERS + MARKS, LETTERS + MARKS + WIDE))
        length = rng.choice((2, 3, 5, 9, 20, 40, 80))
        data = "".join(rng.choices(letters, k=rng.randint(1, length))).encode()
        found.append(data[: rng.randint(1, len(data))] if rng.random() < 0.2 else data)
    found += [b'",', b'":', b'"}', b'","', b'a","b', b"a" * 70, b"a" * 33, b'a"' * 3]
    return Vocabulary.from_tokens([*found, *found[300:320], None], [len(found) + 20])


def tried(state: object, vocabulary: Vocabulary) -> set[int]:
    """Every token whose bytes the parser takes, and the stop id."""
    engine, config = state.engine, state.config  # type: ignore[attr-defined]
    found = {
        token
        for token in range(vocabulary.size)
        if (data := vocabulary.grammar_bytes(token)) is not None
        and engine.parser.walk(config, data)[0]
    }
    return found | (set(vocabulary.stop_ids) if engine.parser.is_accepting(config) else set())


def check(
    grammar: Grammar, rng: random.Random, walks: int = 6, steps: int = 12, limit: int = 1 << 24
) -> None:
    """Masks along random texts are what trying gives, in a fresh grammar and in a used one."""
    vocabulary = vocabulary_of(rng)
    vocabulary.kept_masks._limit = limit
    for _ in range(walks):
        state = grammar.start(vocabulary)
        for _ in range(steps):
            allowed = allowed_tokens(state.mask(), vocabulary.size)
            assert allowed == tried(state, vocabulary)
            after = state.advance(rng.choice(sorted(allowed)))
            assert after is not None
            if after.is_finished:
                break
            state = after


def grammar_of(expr: Expr) -> Grammar:
    return Grammar(GrammarSpec({"start": expr}, "start"))


def listed(expr: Expr) -> Grammar:
    """One or more of a terminal with commas between, in brackets: tokens go on behind it."""
    comma = Lex(literal(b",") | literal(b", ") | literal(b',"'))
    return grammar_of(
        Seq((Lex(literal(b"[")), expr, Repeat(Seq((comma, expr)), 0, None), Lex(literal(b"]"))))
    )


@pytest.mark.parametrize(
    ("least", "most"), [(0, None), (3, None), (0, 5), (2, 7), (1, 100), (40, 60)]
)
def test_counted_strings(least: int, most: int | None) -> None:
    check(listed(CountedString(least, most)), random.Random(f"{least} {most}"))


@pytest.mark.parametrize(
    "pattern",
    [
        '".*"', r'"[^"\\]*"', '"[a-z]{2,}.*"', r'"\w+"', "[a-z0-9]+", "(a|ab|abc)+b*", '"[^é]*"',
        '"(.|\u2028)*"', r'"[\s\S]{0,9}"', '"[^x€]{0,70}"', "[^,]*,",
    ],
)  # fmt: skip
def test_patterns(pattern: str) -> None:
    part = regex(pattern).spec
    rules = {**part.rules, "start": listed(next(iter(part.rules.values()))).spec.rules["start"]}
    check(Grammar(GrammarSpec(rules, "start")), random.Random(pattern))


def test_ways_that_part_within_a_token() -> None:
    # A terminal that may end at every byte, beside one that may not, beside a string.
    words = Lex(byte_class(set(string.ascii_letters.encode())).repeat(1))
    check(listed(Alt((words, Lex(literal(b"abc") | literal(b'a"')), CountedString(0, 3)))),
          random.Random(3))  # fmt: skip


def test_equal_places_of_different_grammars_share_their_masks() -> None:
    vocabulary = vocabulary_of(random.Random(5))
    one = listed(CountedString(0, None)).start(vocabulary)
    other = grammar_of(Seq((CountedString(0, None), Lex(literal(b"]") | literal(b","))))).start(
        vocabulary
    )
    first = one.advance(ord("[")).advance(ord('"'))  # type: ignore[union-attr]
    second = other.advance(ord('"'))
    assert first is not None
    assert second is not None
    kept = vocabulary.kept_masks
    mask = first.mask()
    before = len(kept._blocks)
    # What comes behind differs, the inside of the string is one block.
    assert second.mask() is not mask
    assert len(kept._blocks) == before == 1
    again = listed(CountedString(0, None)).start(vocabulary)
    assert again.advance(ord("[")).advance(ord('"')).mask() is mask  # type: ignore[union-attr]


def test_what_is_kept_is_bounded_and_masks_in_use_stay() -> None:
    kept = KeptMasks(4, limit=100)
    words = np.arange(4, dtype=np.int32)
    first = kept.mask(words, 1)
    assert kept.mask(words, 1) is first
    assert not first.flags.writeable
    # Another mask with the same hash is not taken for it.
    other = kept.mask(words + 1, 1)
    assert (other == words + 1).all()
    assert (first == words).all()
    for i in range(20):
        kept.mask(words + i, i)
        kept.keep_block(i, np.zeros(10, np.int32))
        assert kept.n_bytes <= 200
    assert kept.block(0) is None
    assert kept.block(19) is not None
    kept.keep_block(19, np.zeros(10, np.int32))
    assert kept.n_bytes <= 200


def test_blocks_that_are_dropped_stay_while_a_grammar_reads_them() -> None:
    check(listed(CountedString(2, 9)), random.Random(8), walks=2, limit=1)


def test_what_strings_need_is_made_with_a_large_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("guided.grammars.common_masks._LARGE", 1)
    vocabulary = vocabulary_of(random.Random(4))
    grammar_of(Lex(literal(b"x"))).start(vocabulary)
    assert len(vocabulary.kept_masks._blocks) == 2
    # Where the vocabulary cannot spell them nothing is made, and nothing fails.
    few = Vocabulary.from_tokens([b"a", b"b", None], [2])
    keep_common(few, TokenEngine)
    assert few.kept_masks.n_bytes == 0


def test_a_vocabulary_leaves_addresses_behind_when_it_is_copied() -> None:
    vocabulary = vocabulary_of(random.Random(6))
    state = listed(CountedString(0, 4)).start(vocabulary)
    copy = pickle.loads(pickle.dumps(vocabulary))
    assert copy == vocabulary
    assert "handle" not in copy.__dict__
    assert (listed(CountedString(0, 4)).start(copy).mask() == state.mask()).all()


def test_a_parser_that_is_widened_answers_as_before() -> None:
    grammar = listed(CountedString(0, 4))
    parser = Parser(grammar.rules, grammar.marks)
    words = [b'["ab"', b'["ab","', b'["abcde', b'["\xc3\xa9"]']
    before = [parser.walk(parser.start, word) for word in words]
    for _ in range(3):
        parser.widen()
    assert [parser.walk(parser.start, word) for word in words] == before
