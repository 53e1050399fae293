"""Random GBNF grammars mean what a plain matcher over characters says, and so do their masks."""

from __future__ import annotations

import itertools
import random

import pytest

from guided.errors import EmptyGrammarError
from guided.grammars.gbnf import gbnf
from guided.grammars.grammar import Grammar
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens
from tests.grammars.gbnf.reference import Matcher, Rules, random_rules, random_word, written

SHORT = ["".join(w) for n in range(4) for w in itertools.product("abcé", repeat=n)]
TOKENS = ["a", "b", "c", "é", "ab", "bé", "cc", "éa", "abc", "bbb", "aéa", "d"]
VOCABULARY = Vocabulary.from_tokens([*(t.encode() for t in TOKENS), None], [len(TOKENS)])


def compiled(seed: int) -> tuple[Rules, Grammar | None, random.Random]:
    rng = random.Random(seed)
    rules = random_rules(rng)
    text = written(rules, rng)
    try:
        return rules, gbnf(text), rng
    except EmptyGrammarError:
        assert not Matcher(rules, "", open_ended=True).can_go_on(), text
        return rules, None, rng


@pytest.mark.parametrize("block", range(4))
def test_a_random_grammar_accepts_what_the_plain_matcher_accepts(block: int) -> None:
    accepted = 0
    for seed in range(15 * block, 15 * block + 15):
        rules, grammar, rng = compiled(seed)
        if grammar is None:
            continue
        words = [w for w in (random_word(rules, rng) for _ in range(20)) if w and len(w) < 12]
        for word in words:
            assert grammar.accepts(word.encode()), (seed, word)
            accepted += 1
        cut = [w[:k] + w[k + 1 :] for w in words for k in (rng.randrange(len(w)),)]
        for text in [*rng.sample(SHORT, 40), *cut]:
            wanted = Matcher(rules, text).accepts()
            assert grammar.accepts(text.encode()) == wanted, (seed, text)
            accepted += wanted
    assert accepted > 100


@pytest.mark.parametrize("block", range(3))
def test_masks_of_random_grammars_are_those_of_brute_force(block: int) -> None:
    looked = 0
    for seed in range(1000 + 10 * block, 1000 + 10 * block + 10):
        rules, grammar, rng = compiled(seed)
        if grammar is None:
            continue
        state, text = grammar.start(VOCABULARY), ""
        for _ in range(4):
            wanted = {
                token
                for token, more in enumerate(TOKENS)
                if Matcher(rules, text + more, open_ended=True).can_go_on()
            }
            if Matcher(rules, text).accepts():
                wanted.add(len(TOKENS))
            assert allowed_tokens(state.mask(), VOCABULARY.size) == wanted, (seed, text)
            looked += 1
            more = sorted(wanted - {len(TOKENS)})
            if not more:
                break
            token = rng.choice(more)
            state, text = state.advance(token), text + TOKENS[token]  # type: ignore[assignment]
    assert looked > 15
