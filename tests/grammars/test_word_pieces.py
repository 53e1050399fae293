"""WordPiece vocabularies: what generated ids decode to is a text of the grammar."""

from __future__ import annotations

import itertools
import random
import re
from functools import cache
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import guided
from guided.errors import VocabularyError
from guided.grammars.canvas import MASKED, Verdict
from guided.grammars.gbnf import gbnf
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary
from guided.testing import MaskModel, allowed_tokens, fake_model

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "##s", "##es", "y", "a", "##a", "1", "##1"),
    *("2", "{", "}", "[", "]", ",", "##,", ".", "!", "'", "'s", "n't", ":", "##:", '"', '##"'),
    *("##", "don", "do", "not", "é", "##é", "日"),
]
VOCABULARY = {word: number for number, word in enumerate([*WORDS, "[MASK]"])}


@cache
def tokenizer(*, cleanup: bool = True, prefix: str = "##") -> Any:
    table = {word.replace("##", prefix): number for word, number in VOCABULARY.items()}
    model = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer(lowercase=True)
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece(prefix=prefix, cleanup=cleanup)
    model.add_special_tokens(
        [AddedToken(f"[{name}]", special=True) for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]"
    )


def decoded(ids: list[int], **how: Any) -> str:
    text = tokenizer(**how).decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text)


@pytest.mark.parametrize("how", [{}, {"cleanup": False}, {"prefix": "@@"}])
def test_the_vocabulary_decodes_what_the_tokenizer_decodes(how: dict[str, Any]) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer(**how))
    mark = how.get("prefix", "##")
    rng = random.Random(1)
    for _ in range(400):
        ids = [rng.randrange(len(VOCABULARY)) for _ in range(rng.randint(0, 6))]
        words = [i for i in ids if i not in vocabulary.specials.values()]
        if words and tokenizer(**how).convert_ids_to_tokens(words[0]).startswith(mark):
            continue  # no text of a grammar begins so: the decoder leaves the mark in it
        if words and vocabulary.tokens[words[0]] in (b"'s", b"n't"):
            continue
        assert vocabulary.decode(ids) == decoded(ids, **how).encode(), ids


# The bare mark adds nothing to a text, so that no mask has it.
PLAIN = [n for word, n in VOCABULARY.items() if (word == "[" or word[0] != "[") and word != "##"]
PATTERNS = [
    "yes|no|yess+",
    r"(a|y) ?\w*( 1)*",
    r"\[( 1(, 2)*)?( \])?",
    r"do(n't| not)?( yes's)?[.!]?",
    r"(no )*yes|",
    r"日( é)+|éé",
]


def regex_over(pattern: str, vocabulary: Vocabulary) -> Any:
    return compiled(pattern).start(vocabulary)


compiled = cache(regex)


def begins_a_word(vocabulary: Vocabulary, token: int) -> bool:
    return (vocabulary.tokens[token] or b"").startswith(b" ")


@pytest.mark.parametrize("cleanup", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_exactly_the_spellings_of_the_language_are_accepted(pattern: str, cleanup: bool) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer(cleanup=cleanup))
    rng, seen = random.Random(0), 0
    short = [ids for n in range(3) for ids in itertools.product(PLAIN, repeat=n)]
    for ids in [*short, *(tuple(rng.choices(PLAIN, k=3)) for _ in range(300))]:
        state = regex_over(pattern, vocabulary)
        for token in ids:
            state = state and state.advance(token)
        taken = state is not None and state.is_accepting
        text = decoded(list(ids), cleanup=cleanup)
        if not ids or begins_a_word(vocabulary, ids[0]):
            assert taken == (re.fullmatch(pattern, text) is not None), (ids, text)
        else:
            assert not taken
        # Whatever is allowed has a way to the end.
        assert state is None or allowed_tokens(state.mask(), vocabulary.size)
        seen += taken
    assert seen >= 2


JSON = r"""
root  ::= value
value ::= "{" " }" | "{ " pair (", " pair)* " }" | "[" (" " value)* " ]" | "1" [12a]* | "yes"
pair  ::= "\" " ("a" | "y") " \"" ": " value
"""


@pytest.mark.parametrize("seed", range(6))
def test_texts_along_the_masks_are_texts_of_the_grammar(seed: int) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    grammar, rng = gbnf(JSON), random.Random(seed)
    state, ids = grammar.start(vocabulary), []
    for left in range(30, 0, -1):
        allowed = sorted(allowed_tokens(state.mask_within(left), vocabulary.size))
        token = rng.choice(allowed)
        state = state.advance(token)  # type: ignore[assignment]
        if token in vocabulary.stop_ids:
            break
        ids.append(token)
    assert state.is_finished
    assert grammar.accepts(decoded(ids).encode()), decoded(ids)


def test_a_text_that_no_words_spell_is_refused() -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    for pattern in ("yes  no", "Yes", " yes", "x"):
        with pytest.raises(VocabularyError, match="no sequence"):
            regex(pattern).start(vocabulary)


def test_generated_text_is_what_the_tokenizer_decodes() -> None:
    model = fake_model("no 1, 2", tokenizer())
    result = guided.run(model, "a :", regex=r"(yes|no)( \d(, \d)*)?", max_new_tokens=8)
    assert result.text == decoded(list(result.tokens)) == "no 1, 2"
    assert result.token_ends[-1] == len(result.text)
    assert guided.generate(model, "a :", choices=["yes", "no"]) == "no"
    streamed = list(guided.stream(model, "a :", regex="no 1+", max_new_tokens=6))
    text = "".join(event.delta for event in streamed)
    assert text == streamed[-1].text == decoded(list(streamed[-1].result.tokens))
    assert re.fullmatch("no 1+", text)


def test_a_masked_model_fills_a_canvas_with_words() -> None:
    names = tokenizer()
    stop, mask = VOCABULARY["[SEP]"], VOCABULARY["[MASK]"]
    size = len(VOCABULARY)
    model = guided.DiffusionModel(MaskModel(size, 3, eos=stop), names)
    assert mask == size - 1
    for seed in range(4):
        result = guided.run(
            model, "a :", regex=r"(yes|no)( \d(, \d)*)?!?", max_new_tokens=6, seed=seed
        )
        kept = [token for token in result.tokens if token != stop]
        assert result.text == decoded(kept)
        assert re.fullmatch(r"(yes|no)( \d(, \d)*)?!?", result.text)


@pytest.mark.parametrize("pattern", ["yes( 1)?", "no's|yes,"])
def test_canvas_slots_allow_what_some_filling_decodes_to(pattern: str) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    fitting = {
        pair[1]
        for pair in itertools.product(PLAIN, repeat=2)
        if re.fullmatch(pattern, decoded(list(pair))) and begins_a_word(vocabulary, pair[0])
    }
    canvas = regex(pattern).canvas(vocabulary, [MASKED, MASKED])
    verdicts = canvas.check_many(1, PLAIN)
    assert {t for t, v in zip(PLAIN, verdicts, strict=True) if v is Verdict.YES} == fitting
    assert fitting


def test_infilling_with_word_pieces_is_refused_by_name() -> None:
    with pytest.raises(VocabularyError, match="WordPiece"):
        guided.infill(fake_model("no", tokenizer()), "yes <hole>")
