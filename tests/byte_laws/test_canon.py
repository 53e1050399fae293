"""Which token sequences a tokenizer makes of texts."""

from __future__ import annotations

import json
import random
from itertools import product
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from guided.byte_laws.boundaries import DEAD
from guided.byte_laws.canon import NOTHING, Canon
from guided.errors import VocabularyError
from guided.grammars.vocabulary import Vocabulary
from tests.byte_laws.toys import bpe, encode

TEXTS = [
    'My name is Mira Sol, I\'m 34 and I like  chess.\n\n JSON: {"name": "Mira", "age": 34}',
    "neighbours isn't  \n x",
    "日本語 🎉 Straße  ",
    '", "a": [1,2]}, "x',
]


def canon(tokenizer: Any) -> tuple[Canon, Vocabulary]:
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    return Canon.of(tokenizer, vocabulary), vocabulary


def followed(found: Canon, tokens: Any) -> int:
    """The state after a token sequence."""
    state, last = found.boundaries.start, NOTHING
    for token in tokens:
        state = found.follow(state, last, token) if state != DEAD else DEAD
        last = token
    return state


def is_canonical(found: Canon, tokens: Any) -> bool:
    state = followed(found, tokens)
    return state != DEAD and found.is_complete(state)


def spaced(symbols: str, merges: list[str]) -> PreTrainedTokenizerFast:
    """A toy like SentencePiece's: characters, with bytes for those that have no token."""
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    texts = ["<eos>", *(f"<0x{byte:02X}>" for byte in range(256)), *symbols]
    texts += dict.fromkeys(left + right for left, right in pairs)
    tokenizer = Tokenizer(
        models.BPE({text: i for i, text in enumerate(texts)}, pairs, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


SPLIT = r" ?[ab]+|[0-9]|\s+(?!\S)|\s+"
TOYS = {
    "plain": bpe("abc", ["a b", "b c", "ab c", "a a", "aa aa", "c ab", "b b"]),
    "split": bpe("abĠ1", ["Ġ Ġ", "Ġ a", "a b", "ĠĠ Ġ", "Ġa b", "b b", "1 1", "Ġ 1", "b 1"], SPLIT),
    "bytes": bpe("aÃ©¨", ["Ã ©", "a Ã", "aÃ ¨", "Ã© a"]),
    "spaces": spaced("▁aé", ["▁ a", "a a", "é a", "▁a a", "▁ ▁"]),
}


@pytest.mark.parametrize("name", TOYS)
def test_a_sequence_is_complete_exactly_where_encoding_its_text_gives_it_back(name: str) -> None:
    tokenizer = TOYS[name]
    found, vocabulary = canon(tokenizer)
    ids = [int(token) for token in found.spelling.ids]
    if name == "spaces":
        some = b"\n\xc3\xa9\xa8"
        keep = {vocabulary.tokens[t] for t in ids if t > 256} | {bytes([b]) for b in some}
        ids = [t for t in ids if vocabulary.tokens[t] in keep]
    count = 0
    for length in (1, 2, 3):
        for tokens in product(ids, repeat=length):
            data = b"".join(vocabulary.tokens[token] or b"" for token in tokens)
            wanted = encode(tokenizer, data) == tokens
            assert is_canonical(found, tokens) == wanted, (tokens, data)
            count += wanted
    assert count > 30


def test_the_embedded_tokenizers_sequences_are_told_from_others() -> None:
    tokenizer = AutoTokenizer.from_pretrained("examples/models/tiny-lm")
    found, vocabulary = canon(tokenizer)
    ids, draw = found.spelling.ids.tolist(), random.Random(1)
    futures = ["a", "s ", " ", "\n", "1", "!", '"', "'", "  a", "is ", ": ", "(", "日", ' "', '" [']
    seen = {True: 0, False: 0}
    for _ in range(1500):
        text = draw.choice(TEXTS)
        begin = draw.randrange(len(text))
        tokens = list(encode(tokenizer, text[begin : begin + draw.randrange(1, 12)].encode()) or ())
        for _ in range(draw.randrange(3)):
            tokens.insert(draw.randrange(len(tokens) + 1), draw.choice(ids))
        data = b"".join(vocabulary.tokens[token] or b"" for token in tokens)
        wanted = encode(tokenizer, data) == tuple(tokens)
        assert is_canonical(found, tokens) == wanted, data
        seen[wanted] += 1
        if followed(found, tokens) == DEAD:
            for future in futures:
                encoded = encode(tokenizer, data + future.encode()) or ()
                assert encoded[: len(tokens)] != tuple(tokens), (data, future)
    assert min(seen.values()) > 200


def test_all_next_tokens_at_once_are_what_they_are_one_by_one() -> None:
    tokenizer = AutoTokenizer.from_pretrained("examples/models/tiny-math")
    found, _ = canon(tokenizer)
    draw = random.Random(3)
    state, last = found.boundaries.start, NOTHING
    for token in encode(tokenizer, b"Kim has 3  badges. isn't 10*3=30\n") or ():
        after = found.after(state, last)
        for at in draw.sample(range(len(found.spelling)), 150):
            assert after[at] == found.follow(state, last, int(found.spelling.ids[at]))
        assert np.count_nonzero(after != DEAD) > 100
        state, last = found.follow(state, last, token), token


def test_digits_are_split_one_by_one() -> None:
    found, vocabulary = canon(AutoTokenizer.from_pretrained("examples/models/tiny-lm"))
    one, two = (vocabulary.spellings[digit] for digit in (b"1", b"2"))
    assert is_canonical(found, [one, two, one])


def test_added_tokens_stand_in_no_text() -> None:
    tokenizer = bpe("ab", ["a b"])
    tokenizer.add_tokens(["abab"])
    found, vocabulary = canon(tokenizer)
    assert found.excluded == {vocabulary.spellings[b"abab"]}


def changed(**parts: Any) -> PreTrainedTokenizerFast:
    """A toy with other parts."""
    content = json.loads(bpe("ab", ["a b"]).backend_tokenizer.to_str())
    for name, value in parts.items():
        if name in content["model"]:
            content["model"][name] = value
        else:
            content[name] = value
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"dropout": 0.5}, "dropout=0.5"),
        ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix='</w>'"),
        ({"pre_tokenizer": {"type": "BertPreTokenizer"}}, "the pre-tokenizer BertPreTokenizer"),
        (
            {
                "pre_tokenizer": {
                    "type": "Split",
                    "pattern": {"String": "a"},
                    "behavior": "MergedWithNext",
                    "invert": False,
                }
            },
            "behavior 'mergedwithnext'",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(parts: dict[str, Any], named: str) -> None:
    tokenizer = changed(**parts)
    with pytest.raises(VocabularyError, match=named):
        Canon.of(tokenizer, Vocabulary.from_tokens([None, b"a", b"b", b"ab"], [0]))


def test_other_encoders_are_refused_by_name() -> None:
    vocabulary = Vocabulary.from_tokens([None, b"a"], [0])
    unigram = Tokenizer(models.Unigram([("a", 0.0), ("b", -1.0)]))
    unigram.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(VocabularyError, match="the tokenizer is Unigram"):
        Canon.of(PreTrainedTokenizerFast(tokenizer_object=unigram), vocabulary)
    with pytest.raises(VocabularyError, match="not backed by the tokenizers library"):
        Canon.of(object(), vocabulary)
