"""The sample grammars accept and reject their sample texts, as Lark does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from guided.errors import GrammarError
from guided.grammars.lark import sample, sample_names
from guided.grammars.vocabulary import Vocabulary
from guided.testing import check_grammar_laws

NAMES = sample_names()


def test_there_are_samples_of_many_kinds() -> None:
    assert {"arithmetic", "sql", "statements", "c_subset", "json", "tool_calls"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_accepts_and_rejects_what_it_says(name: str, oracle: Any) -> None:
    chosen = sample(name)
    grammar, parser = chosen.grammar(), oracle(chosen.text)
    assert len(chosen.accepted) >= 6
    assert len(chosen.rejected) >= 6
    for text in chosen.accepted:
        assert grammar.accepts(text.encode()), text
        assert parser.accepts(text), text
    for text in chosen.rejected:
        assert not grammar.accepts(text.encode()), text
        assert not parser.accepts(text), text


@pytest.mark.parametrize("name", NAMES)
def test_small_changes_of_a_sample_are_judged_as_by_lark(name: str, oracle: Any) -> None:
    chosen = sample(name)
    grammar, parser = chosen.grammar(), oracle(chosen.text)
    rng = random.Random(name)
    alphabet = sorted({character for text in chosen.accepted for character in text})
    for _ in range(12):
        text = rng.choice([t for t in chosen.accepted if len(t) < 60])
        place = rng.randint(0, len(text))
        text = text[:place] + rng.choice(["", rng.choice(alphabet)]) + text[place + 1 :]
        assert grammar.accepts(text.encode()) == parser.accepts(text), text


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_obeys_the_laws_of_grammars(name: str) -> None:
    chosen = sample(name)
    accepted = sorted(filter(None, chosen.accepted), key=len)[:2]
    used = set("".join(accepted).encode())
    rejected = [text for text in chosen.rejected if set(text.encode()) <= used][:3]
    tokens: list[bytes | None] = [bytes([byte]) for byte in sorted(used)]
    tokens += [b"  ", b'":', b"(a", b")))", b"1, ", b"\xe2\x82", b"<", None]
    vocabulary = Vocabulary.from_tokens(tokens, stop_ids=[len(tokens) - 1])
    check_grammar_laws(chosen.grammar(), vocabulary, accepted, rejected, budgets=(2, 6))


def test_an_unknown_sample_is_an_error() -> None:
    with pytest.raises(GrammarError, match="there are ambiguous, arithmetic"):
        sample("nothing")
