"""Vocabularies of real and generated tokenizers, exact in bytes."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from guided.errors import VocabularyError
from guided.grammars.automata import literal, utf8
from guided.grammars.grammar import Grammar
from guided.grammars.ir import CountedString, GrammarSpec, Lex
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens


def _data(name: str) -> Path:
    package = pytest.importorskip("mistral_common")
    return Path(package.__file__).parent / "data" / name


@cache
def tekken() -> Vocabulary:
    """131,072 byte-level tokens."""
    content = json.loads(_data("tekken_240911.json").read_text())
    specials = content["config"]["default_num_special_tokens"]
    count = content["config"]["default_vocab_size"] - specials
    tokens = [base64.b64decode(item["token_bytes"]) for item in content["vocab"][:count]]
    return Vocabulary.from_tokens([None] * specials + tokens, [2])


@cache
def sentencepiece() -> tuple[Vocabulary, object]:
    """32,000 pieces with byte fallback, read through a Hugging Face tokenizer."""
    library = pytest.importorskip("sentencepiece")
    pieces = library.SentencePieceProcessor(str(_data("tokenizer.model.v1")))
    table = {pieces.IdToPiece(i): i for i in range(pieces.GetPieceSize())}
    model = Tokenizer(models.BPE(table, [], unk_token="<unk>", byte_fallback=True))
    model.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    model.add_special_tokens([AddedToken(text, special=True) for text in ("<unk>", "<s>", "</s>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=model, eos_token="</s>")
    return Vocabulary.from_tokenizer(tokenizer), pieces


def small_tokenizer(texts: Sequence[str] = ("the cat sat on the mat, naïve café 😀",)) -> object:
    """A byte-level BPE tokenizer trained on a few words."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "<eos>", "<tool>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=model, eos_token="<eos>", pad_token="<pad>")


def random_bytes(rng: random.Random, length: int) -> bytes:
    return bytes(rng.randrange(255) for _ in range(length))


@pytest.mark.parametrize("name", ["tekken", "sentencepiece", "trained"])
def test_random_bytes_round_trip(name: str) -> None:
    if name == "tekken":
        vocabulary = tekken()
    elif name == "sentencepiece":
        vocabulary = sentencepiece()[0]
    else:
        vocabulary = Vocabulary.from_tokenizer(small_tokenizer())
    rng = random.Random(1)
    for length in [0, 1, 2, 7, 60]:
        for _ in range(20):
            data = random_bytes(rng, length)
            ids = vocabulary.encode(data)
            assert vocabulary.decode(ids) == data
            assert all(vocabulary.tokens[i] for i in ids)


def test_tokens_spell_what_the_byte_level_tokenizer_decodes() -> None:
    tokenizer = small_tokenizer()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for text in ["the café 😀 sat", "naïve\n\t 12", "日本語 \u2028"]:
        ids = tokenizer(text)["input_ids"]  # type: ignore[operator]
        assert vocabulary.decode(ids) == text.encode()


def test_pieces_spell_what_sentencepiece_decodes() -> None:
    vocabulary, pieces = sentencepiece()
    assert vocabulary.size == 32000
    # All but 0xFF, which never occurs in text.
    assert len(vocabulary.single_bytes) == 255
    for text in ["Hello wörld 😀", "def f(x):\n    return x", "日本語"]:
        ids = pieces.EncodeAsIds(text)  # type: ignore[attr-defined]
        # A leading space mark stands before the first word.
        assert vocabulary.decode(ids) == b" " + text.encode()


def test_multibyte_characters_may_be_split_across_tokens() -> None:
    spec = GrammarSpec({"s": CountedString(0, None)}, "s")
    vocabulary = tekken()
    state = Grammar(spec).start(vocabulary)
    single = {data: token for data, token in vocabulary.spellings.items() if len(data) == 1}
    for byte in '"😀é"'.encode():
        following = state.advance(single[bytes([byte])])
        assert following is not None
        state = following
    assert state.is_accepting


@pytest.mark.parametrize("prefix", [b"", b'"', b'"ab', b'"ab\\', b'"\xc3', b'"\\u00', b'"ab"'])
def test_masks_over_a_real_vocabulary_equal_trying_every_token(prefix: bytes) -> None:
    grammar = Grammar(GrammarSpec({"s": CountedString(0, 9)}, "s"))
    vocabulary = tekken()
    state = grammar.start(vocabulary)
    for byte in prefix:
        state = state.advance(vocabulary.spellings[bytes([byte])])  # type: ignore[assignment]
    allowed = allowed_tokens(state.mask(), vocabulary.size)
    rng = random.Random(3)
    sample = {*rng.sample(range(vocabulary.size), 3000), *list(allowed)[:300], *vocabulary.stop_ids}
    for token in sample:
        data = vocabulary.grammar_bytes(token)
        if token in vocabulary.stop_ids:
            legal = grammar.accepts(prefix)
        else:
            parser = grammar.engine(vocabulary).parser
            legal = data is not None and parser.walk(parser.start, prefix + data)[0] != 0
        assert (token in allowed) == legal, (prefix, data)


def test_text_that_slices_take_over_is_exactly_the_text_that_a_walk_accepts() -> None:
    vocabulary = tekken()
    grammar = Grammar(GrammarSpec({"s": Lex(utf8())}, "s"))
    allowed = allowed_tokens(grammar.start(vocabulary).mask(), vocabulary.size)
    parser = grammar.engine(vocabulary).parser
    for token in range(0, vocabulary.size, 7):
        data = vocabulary.grammar_bytes(token)
        legal = data is not None and parser.walk(parser.start, data)[0] != 0
        assert (token in allowed) == (legal or token in vocabulary.stop_ids)


def test_specials_are_found_and_spell_no_text() -> None:
    vocabulary = Vocabulary.from_tokenizer(small_tokenizer())
    assert vocabulary.specials == {"<pad>": 0, "<eos>": 1, "<tool>": 2}
    assert vocabulary.stop_ids == {1}
    assert b"<tool>" not in vocabulary.spellings
    assert vocabulary.decode([0, 1, 2]) == b""
    grammar = Grammar(GrammarSpec({"s": Lex(utf8())}, "s"))
    allowed = allowed_tokens(grammar.start(vocabulary).mask(), vocabulary.size)
    assert not allowed & {0, 2}


def test_a_token_with_a_byte_that_no_text_has_stands_for_nothing() -> None:
    tokens = [b"\xff", None, b"a\xff", b"b", b"", b"\xffc\xff", b"de", b"c", b"f\xff\xff", b"g"]
    vocabulary = Vocabulary.from_tokens(tokens, stop_ids=[9], specials={"<c>": 7}, width=12)
    spelled = [vocabulary.grammar_bytes(token) for token in range(12)]
    expected: list[bytes | None] = [None] * 12
    expected[3], expected[6], expected[7] = b"b", b"de", b"\xff<c>\xff"
    assert spelled == expected
    assert vocabulary.single_bytes == {ord("b")}
    assert vocabulary.longest == 5


def test_the_same_bytes_in_other_tokens_are_another_vocabulary() -> None:
    tokens: list[list[bytes | None]] = [
        [b"ab", b"c"],
        [b"a", b"bc"],
        [b"abc", None],
        [None, b"abc"],
    ]
    keys = {Vocabulary.from_tokens(given, stop_ids=[]).key for given in tokens}
    assert len(keys) == len(tokens)


def test_the_width_comes_from_the_logits() -> None:
    tokenizer = small_tokenizer()
    narrow = Vocabulary.from_tokenizer(tokenizer)
    wide = Vocabulary.from_tokenizer(tokenizer, width=narrow.size + 100, stop_ids=[1, 5])
    assert wide.size == narrow.size + 100
    assert wide.n_words == -(-wide.size // 32)
    assert wide.stop_ids == {1, 5}
    assert wide.tokens[narrow.size :] == (None,) * 100
    with pytest.raises(VocabularyError, match="logits"):
        Vocabulary.from_tokenizer(tokenizer, width=10)


def test_equal_content_means_equal_keys() -> None:
    tokenizer = small_tokenizer()
    assert Vocabulary.from_tokenizer(tokenizer) == Vocabulary.from_tokenizer(tokenizer)
    other = Vocabulary.from_tokenizer(tokenizer, stop_ids=[0])
    assert other != Vocabulary.from_tokenizer(tokenizer)


def test_tokenizers_without_a_byte_mapping_are_refused_by_name() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2}, unk_token="[UNK]"))
    words.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    with pytest.raises(VocabularyError, match="WordLevel, Metaspace"):
        Vocabulary.from_tokenizer(tokenizer)
    with pytest.raises(VocabularyError, match="object"):
        Vocabulary.from_tokenizer(object())


def test_bad_ids_and_empty_vocabularies_are_refused() -> None:
    with pytest.raises(VocabularyError, match="no token"):
        Vocabulary.from_tokens([None, None], [0])
    with pytest.raises(VocabularyError, match="stop id 9"):
        Vocabulary.from_tokens([b"a"], [9])
    with pytest.raises(VocabularyError, match="0x62"):
        Vocabulary.from_tokens([b"a", None], [1]).encode(b"ab")


def test_tokens_with_equal_bytes_are_allowed_together() -> None:
    vocabulary = Vocabulary.from_tokens([b"a", b"a", b"b", b"a", None], [4])
    grammar = Grammar(GrammarSpec({"s": Lex(literal(b"ab"))}, "s"))
    mask = grammar.start(vocabulary).mask()
    assert allowed_tokens(mask, 5) == {0, 1, 3}
    assert mask.dtype == np.int32
