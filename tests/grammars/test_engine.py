"""The engine against brute force on random grammars, and its promises one by one."""

from __future__ import annotations

import itertools
import pickle
import random
import threading

import pytest

from guided.errors import EmptyGrammarError, GrammarError, VocabularyError
from guided.grammars.automata import byte_class, literal, literals
from guided.grammars.grammar import Grammar
from guided.grammars.ir import Alt, CountedString, GrammarSpec, Lex, Ref, Repeat, Seq, special_bytes
from guided.grammars.memo import Parser
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens, check_grammar_laws
from tests.grammars.random_grammars import random_spec, text, words_of

LONGEST = 5
TEXTS = [bytes(t) for n in range(5) for t in itertools.product(b"abc,", repeat=n)]


def toy(rng: random.Random) -> Vocabulary:
    """The four bytes and a few longer tokens; the last id stops."""
    longer = [bytes(rng.choice(b"abc,") for _ in range(rng.choice([2, 3]))) for _ in range(5)]
    tokens = list(dict.fromkeys([b"a", b"b", b"c", b",", *longer]))
    return Vocabulary.from_tokens([*tokens, None], [len(tokens)])


def one_rule(expr: object) -> Grammar:
    return Grammar(GrammarSpec({"start": expr}, "start"))  # type: ignore[dict-item]


EXPRESSION = GrammarSpec(
    {
        "sum": Alt((Seq((Ref("sum"), text(b"+"), Ref("term"))), Ref("term"))),
        "term": Alt((text(b"x"), Seq((text(b"("), Ref("sum"), text(b")"))))),
    },
    "sum",
)


@pytest.mark.parametrize("block", range(6))
def test_random_grammars_agree_with_brute_force(block: int) -> None:
    for i in range(8):
        rng = random.Random(f"{block} {i}")
        spec = random_spec(rng)
        words = words_of(spec, LONGEST)
        try:
            grammar = Grammar(spec)
        except EmptyGrammarError:
            assert not words
            continue
        for candidate in TEXTS:
            assert grammar.accepts(candidate) == (candidate in words), (block, i, candidate)
        _check_prefixes(grammar, words)
        some = sorted(words, key=lambda word: (len(word), word))
        outside = [candidate for candidate in TEXTS if candidate not in words][:3]
        check_grammar_laws(grammar, toy(rng), [*some[:3], *some[-2:]], outside)


def _check_prefixes(grammar: Grammar, words: set[bytes]) -> None:
    """A prefix is alive exactly if it can be completed, and the distance is the true one."""
    parser = grammar.engine(toy(random.Random(0))).parser
    for prefix in TEXTS:
        config, taken = parser.walk(parser.start, prefix)
        lengths = [len(word) - len(prefix) for word in words if word.startswith(prefix)]
        if lengths:
            assert taken == len(prefix)
            assert parser.distance(config) == min(lengths)
        elif config:
            # Alive without a short word: the nearest one is longer than what was enumerated.
            assert len(prefix) + parser.distance(config) > LONGEST


def test_left_recursion_right_recursion_and_ambiguity_terminate() -> None:
    assert Grammar(EXPRESSION).accepts(b"x+(x+x)+" * 200 + b"x")
    right = GrammarSpec({"s": Alt((text(b"a"), Seq((text(b"a"), Ref("s")))))}, "s")
    grammar = Grammar(right)
    assert grammar.accepts(b"a" * 5000)
    # Right recursion comes back to the same configuration: nothing grows with the text.
    assert int(grammar.engine(toy(random.Random(0))).parser.memo.size.max()) < 40
    both = GrammarSpec({"s": Alt((text(b"a"), Seq((Ref("s"), Ref("s")))))}, "s")
    assert Grammar(both).accepts(b"a" * 60)
    hidden = GrammarSpec(
        {
            "s": Seq((Ref("e"), Ref("s"), text(b"a"))).parts
            and Alt((Seq((Ref("e"), Ref("s"), text(b"a"))), text(b"b"))),
            "e": Repeat(text(b"c"), 0, 1),
        },
        "s",
    )
    grammar = Grammar(hidden)
    assert grammar.accepts(b"ccbaaa")
    assert not grammar.accepts(b"ccba")


def test_a_completion_leaves_a_terminal_that_could_go_on_for_ever() -> None:
    # After "a" the repeated terminal may end at any b; the way on is the "c" behind it.
    spelled = Lex((literal(b"ab") | literal(b"b")).repeat(1))
    grammar = one_rule(Seq((Alt((spelled, Seq(()))), text(b"c"))))
    state = grammar.start(Vocabulary.from_tokens([b"a", b"b", b"c", None], [3])).advance(0)
    assert state is not None
    assert state.completion() == [1, 2]
    assert state.bound == 3


def test_a_grammar_without_words_is_refused() -> None:
    with pytest.raises(EmptyGrammarError, match="'s'"):
        Grammar(GrammarSpec({"s": Seq((text(b"a"), Ref("s")))}, "s"))
    with pytest.raises(EmptyGrammarError):
        one_rule(Alt(()))


def test_an_undefined_rule_is_named() -> None:
    with pytest.raises(GrammarError, match="'missing'"):
        one_rule(Ref("missing"))


def test_endless_branches_are_never_entered() -> None:
    spec = GrammarSpec(
        {"s": Alt((text(b"ab"), Seq((text(b"ac"), Ref("t"))))), "t": Seq((text(b"a"), Ref("t")))},
        "s",
    )
    state = Grammar(spec).start(Vocabulary.from_tokens([b"a", b"b", b"c", None], [3]))
    after = state.advance(0)
    assert after is not None
    assert allowed_tokens(after.mask(), 4) == {1}


def test_counted_strings_count_code_points_and_escapes_once() -> None:
    for least, most in [(0, 0), (0, 3), (2, 2), (1, None), (2, 4)]:
        grammar = one_rule(CountedString(least, most))
        for inside, length in [
            ("", 0),
            ("a", 1),
            ("é", 1),
            ("\\n", 1),
            ("\\u00e9", 1),
            ("\\ud83d\\ude00", 1),
            ("😀", 1),
            ("ab", 2),
            ("aé\\\\", 3),
            ("😀\\ud83d\\ude00é", 3),
            ("abcd", 4),
            ("abcde", 5),
        ]:
            fits = length >= least and (most is None or length <= most)
            assert grammar.accepts(f'"{inside}"'.encode()) == fits, (least, most, inside)
    plain = one_rule(CountedString(0, None))
    for wrong in ['"\\ud83d"', '"\\ude00"', '"\x01"', '"\\x"', '"', '""a']:
        assert not plain.accepts(wrong.encode()), wrong
    assert not plain.accepts(b'"\xff"')


def test_a_huge_length_limit_costs_no_memory_ahead() -> None:
    grammar = one_rule(CountedString(0, 10_000_000))
    vocabulary = Vocabulary.from_tokens([b'"', b"a", b"aaaa", None], [3])
    state = grammar.start(vocabulary)
    for token in [0, *[2] * 50]:
        following = state.advance(token)
        assert following is not None
        state = following
    # Far from the limit all lengths share one mask, near it they differ.
    assert state.mask() is state.advance(1).mask()  # type: ignore[union-attr]
    tight = one_rule(CountedString(0, 6)).start(vocabulary)
    for token in [0, 2]:
        tight = tight.advance(token)  # type: ignore[assignment]
    assert allowed_tokens(tight.mask(), 4) == {0, 1}


def test_masks_of_counted_strings_equal_trying_every_token() -> None:
    tokens = [b'"', b"a", b"aaaa", b'a"', "é".encode(), b"\xc3", b"\xa9", b"\\", b"n", b'"b']
    vocabulary = Vocabulary.from_tokens([*tokens, None], [len(tokens)])
    for least, most in [(0, 5), (3, 9), (9, None), (70, 200)]:
        spec = GrammarSpec({"s": Seq((CountedString(least, most), text(b"b")))}, "s")
        state = Grammar(spec).start(vocabulary)
        rng = random.Random(least)
        for _ in range(40):
            allowed = allowed_tokens(state.mask(), vocabulary.size)
            assert allowed == {t for t in range(vocabulary.size) if state.accepts(t)}
            following = state.advance(rng.choice(sorted(allowed)))
            assert following is not None
            state = following
            if state.is_finished:
                break


def test_a_vocabulary_that_cannot_spell_the_language_is_refused() -> None:
    grammar = one_rule(text(b"abc"))
    with pytest.raises(VocabularyError, match="no sequence of tokens"):
        grammar.start(Vocabulary.from_tokens([b"ab", b"d", None], [2]))


def test_prefixes_without_a_spelling_to_the_end_are_masked() -> None:
    # "ab" can only go on to "abc" through the token "bc": after "ab" there would be no way out.
    grammar = one_rule(Lex(literals([b"abc", b"ad"])))
    state = grammar.start(Vocabulary.from_tokens([b"a", b"ab", b"bc", b"d", None], [4]))
    assert allowed_tokens(state.mask(), 5) == {0}
    check_grammar_laws(
        grammar, Vocabulary.from_tokens([b"a", b"ab", b"bc", b"d", None], [4]), [b"ad"]
    )


def test_a_vocabulary_of_few_letters_restricts_the_language_to_them() -> None:
    # Closed under bytes, but no accents and no escapes: masks are exact without any search.
    vocabulary = Vocabulary.from_tokens([b'"', b"a", b"aa", b'a"', b"\\", None], [5])
    grammar = one_rule(CountedString(2, 3))
    assert not grammar.engine(vocabulary).careful
    words = [b'"' + b"a" * n + b'"' for n in (2, 3)]
    check_grammar_laws(grammar, vocabulary, [*words, b'"\\\\a"'], [b'"a"', b'"aaaa"'])
    with pytest.raises(VocabularyError, match="no sequence of tokens"):
        grammar.start(Vocabulary.from_tokens([b"a", b"b", None], [2]))


def test_special_tokens_are_terminals_of_their_own() -> None:
    grammar = one_rule(Seq((text(b"a"), Lex(literal(special_bytes("<tool>"))), text(b"b"))))
    tokens = [b"a", b"b", b"<", b"tool", b">", b"<tool>", None]
    vocabulary = Vocabulary.from_tokens(tokens, [6], {"<tool>": 5})
    state = grammar.start(vocabulary).advance(0)
    assert state is not None
    assert allowed_tokens(state.mask(), 7) == {5}
    assert grammar.specials == {"<tool>"}
    with pytest.raises(VocabularyError, match="<tool>"):
        grammar.start(Vocabulary.from_tokens([b"a", b"b", None], [2]))


def test_states_move_to_a_fresh_parser_when_the_memo_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digits = Lex(byte_class(set(b"0123456789")))
    grammar = one_rule(Seq((text(b"["), Repeat(digits, 0, 3000), text(b"]"))))
    vocabulary = Vocabulary.from_tokens([b"[", b"]", b"7", b"42", None], [4])
    monkeypatch.setattr("guided.grammars.grammar.Parser", _small_parser)
    state = grammar.start(vocabulary)
    first = state._engine.parser
    path = [state]
    for token in [0, *[2, 3] * 900]:
        following = path[-1].advance(token)
        assert following is not None
        path.append(following)
    assert path[-1]._engine.parser is not first
    assert path[-1].advance(1) is not None
    # The old states still answer.
    assert allowed_tokens(path[1].mask(), 5) == {1, 2, 3}


def _small_parser(rules: object, builder: object) -> Parser:
    return Parser(rules, builder, limit=1_500_000)  # type: ignore[arg-type]


def test_masks_are_dropped_at_the_limit_and_come_back_equal() -> None:
    grammar = Grammar(EXPRESSION)
    vocabulary = Vocabulary.from_tokens([b"x", b"+", b"(", b")", b"x+", None], [5])
    engine = TokenEngine(Parser(grammar.rules, grammar.marks), vocabulary, limit=12)
    config = engine.parser.start
    seen = {}
    for token in [2, 2, 4, 0, 3, 1, 0, 3]:
        seen[config] = engine.mask(config).copy()
        config = engine.after(config, token)
        assert config
        assert engine.n_bytes <= 12
    for config, mask in seen.items():
        assert (engine.mask(config) == mask).all()


def test_threads_share_a_grammar() -> None:
    grammar = Grammar(EXPRESSION)
    vocabulary = Vocabulary.from_tokens([b"x", b"+", b"(", b")", b"x+", b"((", None], [6])
    results: list[list[bytes]] = [[] for _ in range(4)]

    def run(k: int) -> None:
        rng = random.Random(5)
        state = grammar.start(vocabulary)
        for _ in range(200):
            mask = state.mask()
            results[k].append(mask.tobytes())
            choice = rng.choice(sorted(allowed_tokens(mask, 7)))
            state = state.advance(choice) or state
            if state.is_finished:
                state = grammar.start(vocabulary)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == results[2] == results[3]


def test_grammars_are_values() -> None:
    grammar = Grammar(EXPRESSION)
    copy = pickle.loads(pickle.dumps(grammar))
    assert copy == grammar
    assert hash(copy) == hash(grammar)
    assert copy != one_rule(text(b"x"))
    assert copy.accepts(b"x+x")


def test_a_prefix_goes_before_the_grammar() -> None:
    grammar = Grammar(EXPRESSION).with_prefix(b"y=")
    assert grammar.accepts(b"y=x+x")
    assert not grammar.accepts(b"x+x")
    assert Grammar(EXPRESSION).with_prefix(b"") == Grammar(EXPRESSION)


def test_forced_bytes_end_where_there_is_a_choice() -> None:
    state = one_rule(Lex(literals([b"abcd", b"abce"]))).start(
        Vocabulary.from_tokens([b"a", b"b", b"c", b"d", b"e", None], [5])
    )
    assert state.forced() == b"abc"
    for token in (0, 1, 2):
        state = state.advance(token)  # type: ignore[assignment]
    assert state.forced() == b""
