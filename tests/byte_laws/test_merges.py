"""Which tokens may stand side by side, against encoding them."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from guided.byte_laws.merges import Merges
from guided.byte_laws.tokenizer_rules import merges_of
from guided.errors import VocabularyError
from tests.byte_laws.toys import bpe

TOYS = [
    ["a b", "b c", "ab c", "a a", "aa aa", "c ab", "b b"],
    ["a a", "aa a", "aa aa", "aaa aa", "b a"],
    ["b a", "c c", "ba cc", "a c", "a ba", "c b", "cb cb"],
    # Two ways to one token, as converted tokenizers list them.
    ["a b", "b c", "ab c", "a bc", "c a", "abc abc"],
    # A rule before the one that makes its part: "a aaa" applies at once where "aaa" comes up.
    ["a a", "a aaa", "aa aa", "aa a", "b a", "ba aa", "a b"],
]


def description(tokenizer) -> dict:  # type: ignore[no-untyped-def, type-arg]
    return json.loads(tokenizer.backend_tokenizer.to_str())


@pytest.mark.parametrize("merges", TOYS)
def test_all_pairs_of_a_toy_are_as_the_encoder_has_them(merges: list[str]) -> None:
    tokenizer = bpe("abc", merges)
    found = merges_of(description(tokenizer), len(tokenizer))
    ids = range(1, len(tokenizer))
    backend = tokenizer.backend_tokenizer
    text = [backend.id_to_token(token) for token in range(len(tokenizer))]
    for token in ids:
        assert found.reachable[token] == (backend.encode(text[token]).ids == [token])
    kept = [token for token in ids if found.reachable[token]]
    assert len(kept) > 5
    for left, right in product(kept, repeat=2):
        wanted = backend.encode(text[left] + text[right]).ids == [left, right]
        assert found.adjacent(left, right) == wanted, (text[left], text[right])
        assert found.following(left)[right] == wanted


@pytest.mark.parametrize("merges", TOYS)
def test_neighbours_decide_whether_a_sequence_is_canonical(merges: list[str]) -> None:
    tokenizer = bpe("abc", merges)
    found = merges_of(description(tokenizer), len(tokenizer))
    backend = tokenizer.backend_tokenizer
    text = [backend.id_to_token(token) for token in range(len(tokenizer))]
    ids = [token for token in range(1, len(tokenizer)) if found.reachable[token]]
    for some in product(ids, repeat=3):
        wanted = backend.encode("".join(text[token] for token in some)).ids == list(some)
        assert wanted == (found.adjacent(some[0], some[1]) and found.adjacent(some[1], some[2]))


def test_pairs_of_the_embedded_tokenizer_are_as_the_encoder_has_them() -> None:
    tokenizer = AutoTokenizer.from_pretrained("examples/models/tiny-lm")
    content = description(tokenizer)
    found = merges_of(content, len(tokenizer))
    content["pre_tokenizer"] = None
    _check_random_pairs(found, Tokenizer.from_str(json.dumps(content)), 4000)


def test_pairs_of_a_large_byte_level_vocabulary_are_as_the_encoder_has_them() -> None:
    mistral = pytest.importorskip("mistral_common", reason="the vocabulary ships with it")
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    path = Path(mistral.__file__).parent / "data" / "tekken_240718.json"
    rows = json.loads(path.read_bytes())["vocab"][:12_000]
    import base64

    alphabet = bytes_to_unicode()
    texts = ["".join(alphabet[b] for b in base64.b64decode(row["token_bytes"])) for row in rows]
    vocabulary = {text: token for token, text in enumerate(texts)}
    # Published ranks are those of the results; every way to cut one in two is a rule.
    rules = [
        (text[:cut], text[cut:])
        for text in texts
        for cut in range(1, len(text))
        if text[:cut] in vocabulary and text[cut:] in vocabulary
    ]
    content = {"model": {"type": "BPE", "vocab": vocabulary, "merges": rules}}
    from tokenizers import models

    _check_random_pairs(
        merges_of(content, len(vocabulary)), Tokenizer(models.BPE(vocabulary, rules)), 3000
    )


def test_pairs_of_a_sentencepiece_vocabulary_are_as_the_encoder_has_them() -> None:
    mistral = pytest.importorskip("mistral_common", reason="the vocabulary ships with it")
    sentencepiece = pytest.importorskip("sentencepiece")
    path = Path(mistral.__file__).parent / "data" / "tokenizer.model.v1"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    texts = [processor.id_to_piece(token) for token in range(processor.get_piece_size())]
    rank = {text: processor.get_score(token) for token, text in enumerate(texts)}
    vocabulary = {text: token for token, text in enumerate(texts)}
    rules = [
        (text[:cut], text[cut:])
        for text in sorted(texts[259:], key=lambda text: -rank[text])
        for cut in range(1, len(text))
        if text[:cut] in vocabulary and text[cut:] in vocabulary
    ]
    content = {
        "model": {"type": "BPE", "byte_fallback": True, "vocab": vocabulary, "merges": rules}
    }
    from tokenizers import models

    encoder = Tokenizer(models.BPE(vocabulary, rules, byte_fallback=True, fuse_unk=True))
    _check_random_pairs(merges_of(content, len(vocabulary)), encoder, 3000)


def _check_random_pairs(found: Merges, encoder: Tokenizer, count: int) -> None:
    """Random pairs, and pairs that stand together because a longer token begins and ends so."""
    draw = random.Random(5)
    size = encoder.get_vocab_size()
    text = [encoder.id_to_token(token) for token in range(size)]
    kept = [t for t in range(size) if found.reachable[t] and not text[t].startswith("<")]
    by_text = {text[token]: token for token in kept}
    seen = {True: 0, False: 0}
    for _ in range(count):
        left, right = draw.choice(kept), draw.choice(kept)
        whole = text[draw.choice(kept)]
        cut = draw.randrange(len(whole))
        if draw.random() < 0.5 and whole[:cut] in by_text and whole[cut:] in by_text:
            left, right = by_text[whole[:cut]], by_text[whole[cut:]]
        wanted = encoder.encode(text[left] + text[right], add_special_tokens=False).ids
        assert found.adjacent(left, right) == (wanted == [left, right]), (text[left], text[right])
        seen[wanted == [left, right]] += 1
        if draw.random() < 0.02:
            mask = found.following(left)
            assert all(mask[t] == found.adjacent(left, t) for t in draw.sample(kept, 20))
    assert min(seen.values()) > count / 20


def test_a_token_that_comes_before_its_parts_is_refused() -> None:
    with pytest.raises(VocabularyError, match="merge 0 of the tokenizer makes token 3 of 2 and 1"):
        Merges(4, [0, 1], [(2, 1, 3), (0, 1, 2)])
