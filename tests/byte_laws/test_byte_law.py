"""Next-byte laws against the sum over all token sequences that cover the bytes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

import guided
from guided.byte_laws import END, ByteLaw, scoring
from guided.byte_laws.weighing import Normalize
from guided.errors import InputError, VocabularyError
from guided.grammars.vocabulary import Vocabulary
from guided.model import Model
from guided.testing import table_model, tiny_model
from tests.byte_laws.toys import Brute, SourceModel, bpe, encode, next_law, table, texts_over

PLAIN = bpe("abc", ["a b", "b c", "ab c", "a a", "aa aa", "c ab", "b b"])
SPLIT = bpe("abĠ", ["Ġ Ġ", "Ġ a", "a b", "ĠĠ Ġ", "Ġa b", "b b"], r" ?[ab]+|\s+(?!\S)|\s+")
#: é is C3 A9, è is C3 A8; the first byte of è is a token of its own, that of é never is.
ACCENTS = bpe("aÃ©¨", ["Ã ©", "Ã© a", "a a", "¨ a"])
NORMALIZE: tuple[Normalize, ...] = ("tokens", "bytes")
TOYS = {
    "plain": (PLAIN, b"abc", ()),
    "split": (SPLIT, b"ab ", (b"a", b"b", b" ", b" a", b"  ")),
    "accents": (ACCENTS, "aéè".encode(), (b"\xa9", b"\xa8", b"a")),
}


def strings(letters: bytes, longest: int) -> list[bytes]:
    """All byte strings of one length over these bytes."""
    return [bytes(some) for some in product(sorted(set(letters)), repeat=longest)]


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_the_law_of_every_next_byte_is_the_mass_of_the_covers_that_go_on_with_it(
    name: str, normalize: Normalize
) -> None:
    tokenizer, letters, futures = TOYS[name]
    model = table(tokenizer, seed=3)
    brute = Brute(model, futures)
    law = ByteLaw(model, normalize=normalize)
    symbols = [*sorted(set(letters)), END]
    for length in range(4):
        wanted = {}
        for text in strings(letters, length):
            masses = [brute.mass(text + bytes([b]), normalize) for b in symbols[:-1]]
            masses.append(brute.mass(text, normalize, ends=True))
            if sum(masses):
                wanted[text] = [mass / sum(masses) for mass in masses]
        streams = law.open([[0]] * len(wanted))
        streams.read(list(wanted))
        for row, masses in zip(streams.law().exp(), wanted.values(), strict=True):
            assert row[symbols].tolist() == pytest.approx(masses, rel=1e-9, abs=1e-15)
            assert float(row.sum()) == pytest.approx(1, abs=1e-12)
        assert len(wanted) >= 2**length


@pytest.mark.parametrize("name", TOYS)
def test_the_product_of_the_laws_is_the_probability_of_the_text(name: str) -> None:
    tokenizer, letters, futures = TOYS[name]
    model = table(tokenizer, seed=5)
    brute = Brute(model, futures)
    law = ByteLaw(model)
    texts = [text for text in strings(letters, 4) if brute.mass(text)]
    streams = law.open([[0]] * len(texts))
    streams.read(texts)
    for text, log_p in zip(texts, streams.log_p, strict=True):
        assert sum(log_p) == pytest.approx(math.log(brute.mass(text)), abs=1e-9)
    may_end = [brute.mass(text, ends=True) for text in texts]
    streams.push([END if mass else None for mass in may_end])
    for mass, log_p in zip(may_end, streams.log_p, strict=True):
        if mass:
            assert sum(log_p) == pytest.approx(math.log(mass), abs=1e-9)
    assert sum(map(bool, may_end)) > 8


def test_normalizing_over_bytes_leaves_out_what_the_model_wastes() -> None:
    model = table(PLAIN, seed=3)
    brute = Brute(model)
    streams = ByteLaw(model, normalize="bytes").open([[0]])
    for text, byte in ((b"", b"a"), (b"a", b"b"), (b"ab", b"c")):
        nexts = [brute.mass(text + bytes([b]), "bytes") for b in b"abc"]
        kept = sum(nexts) + brute.mass(text, "bytes", ends=True)
        assert kept < brute.mass(text, "bytes")
        found = float(streams.law()[0, byte[0]])
        assert found == pytest.approx(math.log(brute.mass(text + byte, "bytes") / kept))
        streams.read([byte])


def test_tokens_that_run_over_the_end_count() -> None:
    # After "a" the model may be inside of "ab", which is never spelled as "a", "b".
    model = table(bpe("ab", ["a b"]), seed=1)
    first = model.hf_model.law((0,)).softmax(-1)
    a, b, ab = (model.vocabulary.spellings[text] for text in (b"a", b"b", b"ab"))
    after_a = model.hf_model.law((0, a)).softmax(-1)
    after_a[b] = 0  # "a", "b" is no canonical sequence
    streams = ByteLaw(model).open([[0]])
    streams.read([b"a"])
    wanted = first[ab] / (first[a] + first[ab])
    assert float(streams.law()[0, ord("b")].exp()) == pytest.approx(float(wanted))


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_the_end_comes_only_where_the_tokens_are_canonical_as_they_stand(
    normalize: Normalize,
) -> None:
    # "  a" is cut into " ", " a"; two blanks at the end are one token.
    model = table(SPLIT, seed=2)
    blank, two = (model.vocabulary.spellings[text] for text in (b" ", b"  "))
    streams = ByteLaw(model, normalize=normalize).open([[0]])
    streams.read([b"  "])
    brute = Brute(model, TOYS["split"][2])
    assert 0 in brute.law((two,), normalize)
    assert 0 not in brute.law((blank,), normalize) or brute.is_canonical((blank,))
    wanted = brute.mass(b"  ", normalize, ends=True)
    nexts = [brute.mass(b"  " + bytes([b]), normalize) for b in b"ab "]
    assert float(streams.law()[0, END].exp()) == pytest.approx(wanted / (wanted + sum(nexts)))


def test_inside_of_a_character_nothing_ends_and_only_its_bytes_follow() -> None:
    model = table(ACCENTS, seed=4)
    streams = ByteLaw(model).open([[0]])
    streams.read([b"a\xc3"])
    possible = torch.nonzero(streams.law()[0] > -torch.inf).flatten().tolist()
    assert possible == [0xA8, 0xA9]


def test_a_model_of_single_bytes_is_unchanged() -> None:
    model = table_model(5, seed=7)
    streams = ByteLaw(model).open([[1, 2, 3]])
    for byte, prefix in ((b"d", (1, 2, 3)), (b"a", (1, 2, 3, 4)), (b"", (1, 2, 3, 4, 1))):
        wanted = model.hf_model.law(prefix).log_softmax(-1)
        (law,) = streams.law()
        assert torch.allclose(law[[END, *b"abcd"]], wanted, atol=1e-12, rtol=0)
        assert int((law > -torch.inf).sum()) == 5
        streams.read([byte])


def test_two_tokenizers_over_one_source_have_the_laws_of_the_source() -> None:
    texts = texts_over("abc", 4)
    others = (PLAIN, bpe("abc", ["b a", "c c", "ba cc", "a c"]))
    models = [Model(SourceModel(texts, tokenizer), tokenizer) for tokenizer in others]
    before = [b"", b"a", b"ba", b"acc", b"abca"]
    wanted = torch.tensor([next_law(texts, text) for text in before], dtype=torch.float64)
    for model in models:
        for normalize in NORMALIZE:
            streams = ByteLaw(model, normalize=normalize).open([[0]] * len(before))
            streams.read(before)
            assert torch.allclose(streams.law().exp(), wanted, atol=1e-9, rtol=0)


def test_texts_in_a_batch_have_the_laws_that_they_have_alone() -> None:
    law = ByteLaw(tiny_model())
    prompts = ["The quick bro", '{"name": "Mi', "naïve 日", "x"]
    together = law.open(prompts)
    alone = [law.open([prompt]) for prompt in prompts]
    for _ in range(4):
        laws = together.law()
        for row, streams in zip(laws, alone, strict=True):
            assert torch.allclose(row.exp(), streams.law()[0].exp(), atol=1e-9)
        symbols = laws[:, :END].argmax(-1).tolist()
        together.push(symbols)
        for symbol, streams in zip(symbols, alone, strict=True):
            streams.push([symbol])


def test_where_a_prompt_is_opened_does_not_matter() -> None:
    law = ByteLaw(tiny_model())
    opening = law.opening("<eos>The quick brown fox isn't  ")
    slowly = law.start([opening], read=True)
    assert len(opening.tokens) == 1
    (wanted,) = slowly.law()
    (found,) = law.open(["<eos>The quick brown fox isn't  "]).law()
    assert torch.allclose(found.exp(), wanted.exp(), atol=1e-9)


def test_a_prompt_that_ends_inside_of_a_word_goes_on_with_it() -> None:
    # The prompt-boundary problem: after the tokens of "My name is Mir" no sane token follows.
    model = guided.load("examples/models/tiny-lm")
    text = 'My name is Mira Sol.\nFields: name (string)\nJSON: {"name": "Mi'
    streams = ByteLaw(model).open([text])
    for wanted in b"ra Sol":
        assert int(streams.law()[0].argmax()) == wanted
        streams.push([wanted])


def test_laws_of_the_embedded_model_are_what_brute_force_by_encoding_gives() -> None:
    model = guided.load("examples/models/tiny-lm")
    law, tokenizer = ByteLaw(model, normalize="bytes"), model.tokenizer.backend_tokenizer
    texts = {token: data for token, data in enumerate(model.vocabulary.tokens) if data}
    ends = [b"", b"a", b" ", b"\n", b"1", b'"', b'": ', b"(", b"is "]

    def is_begun(tokens: tuple[int, ...]) -> bool:
        """Whether some text of a few has tokens that begin so."""
        data, last = b"".join(texts[t] for t in tokens), texts[tokens[-1]]
        words = [text[len(last) :] + b" " for text in texts.values() if text.startswith(last)]
        for end in [*ends, *words]:
            encoded = encode(model.tokenizer, data + end)
            if encoded is not None and encoded[: len(tokens)] == tokens:
                return True
        return False

    def next_masses(data: bytes) -> list[float]:
        """The mass of all covers by the symbol after `data`."""
        found, todo = [0.0] * 257, [((), b"", 1.0)]
        while todo:
            tokens, spelled, mass = todo.pop()
            ids = torch.tensor([[1, *tokens]])
            with torch.no_grad():
                row = model.hf_model(ids).logits[0, -1].double().softmax(-1).tolist()
            if spelled == data and encode(model.tokenizer, data) == tokens:
                found[END] += mass * row[2]
            for token, text in texts.items():
                longer = spelled + text
                if not (longer.startswith(data) or data.startswith(longer)):
                    continue
                if token < 4 or not is_begun((*tokens, token)):
                    continue
                if len(longer) > len(data):
                    found[longer[len(data)]] += mass * row[token]
                else:
                    todo.append(((*tokens, token), longer, mass * row[token]))
        return [one / sum(found) for one in found]

    assert tokenizer.token_to_id("<bos>") == 1
    for data in (b"Mi", b'{"na', b"34"):
        streams = law.open([[1]])
        streams.read([data])
        wanted = torch.tensor(next_masses(data), dtype=torch.float64)
        # Brute force tries few futures, and byte laws keep beginnings that lead nowhere.
        assert float((streams.law()[0].exp() - wanted).abs().sum()) < 1e-4


def test_bytes_are_scored_in_a_few_passes_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_CHUNK", 24)
    law = ByteLaw(tiny_model())
    text = "<eos>" + 'The quick {"name": "日本 Mira"}  Straße ' * 3
    opening = law.opening(text)
    before = law.decoder.usage.passes
    (found,) = law.score([opening])
    passes = law.decoder.usage.passes - before
    streams = law.start([opening], read=True)
    assert found == pytest.approx(streams.log_p[0], abs=1e-7)
    assert len(opening.data) == len(found) > 100
    assert passes <= 8


def test_a_byte_costs_about_one_position_and_at_most_one_pass() -> None:
    law = ByteLaw(tiny_model())
    text = 'The quick {"name": "日本 Mira"}  Straße '
    openings = [law.opening("<eos>" + text + str(n)) for n in range(3)]
    streams = law.start(openings)
    before = replace(law.decoder.usage)
    streams.read([opening.data for opening in openings])
    cost = law.decoder.usage - before
    n_bytes = len(openings[0].data)
    assert cost.passes <= n_bytes
    assert n_bytes * 0.9 <= cost.positions / 3 <= n_bytes * 1.3


def test_ended_texts_only_end_and_wait_for_the_others() -> None:
    streams = ByteLaw(table(PLAIN, seed=3)).open([[0], [0]])
    streams.push([END, ord("a")])
    assert streams.is_over == [True, False]
    first, second = streams.law()
    assert first[END] == 0
    assert int((first > -torch.inf).sum()) == 1
    assert int((second > -torch.inf).sum()) > 1
    streams.push([END, ord("b")])
    streams.push([None, None])
    assert [len(log_p) for log_p in streams.log_p] == [2, 2]
    assert streams.log_p[0][1] == 0


def test_pushes_that_cannot_be_are_refused_and_change_nothing() -> None:
    streams = ByteLaw(table(PLAIN, seed=3)).open([[0], [0]])
    before = streams.law()
    with pytest.raises(InputError, match="2 texts"):
        streams.push([ord("a")])
    with pytest.raises(InputError, match="no byte"):
        streams.push([257, ord("a")])
    with pytest.raises(InputError, match="byte 0x7a cannot follow at position 0"):
        streams.push([ord("a"), ord("z")])
    assert torch.equal(streams.law(), before)
    assert streams.log_p == [(), ()]


def test_prompts_that_cannot_be_are_refused_before_any_pass() -> None:
    law = ByteLaw(table(bpe("ab", ["a b"]), seed=3))
    with pytest.raises(InputError, match="no tokens"):
        law.open([[]])
    with pytest.raises(InputError, match="no tokens"):
        law.open([""])
    with pytest.raises(InputError, match="normalize"):
        ByteLaw(law.model, normalize="none")  # type: ignore[arg-type]
    accents = ByteLaw(table(ACCENTS, seed=3))
    alone = accents.model.vocabulary.spellings[b"\xa9"]
    with pytest.raises(InputError, match=r"no text of this tokenizer begins with b'\\xa9'"):
        accents.open([[0, alone]])
    with pytest.raises(InputError, match="begins with token"):
        accents.open([[alone]])
    assert law.decoder.usage.passes == accents.decoder.usage.passes == 0


def test_without_a_tokenizer_only_single_bytes_are_understood() -> None:
    model = table_model(tokens=[b"a", b"ab"])
    with pytest.raises(VocabularyError, match="no tokenizer"):
        ByteLaw(model)
    assert isinstance(model.vocabulary, Vocabulary)
