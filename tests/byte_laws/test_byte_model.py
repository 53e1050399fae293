"""A model over bytes gives the laws of byte streams, however its branches came about."""

from __future__ import annotations

import gc
import weakref
from itertools import product

import numpy as np
import pytest

import guided
from guided.byte_laws import END, ByteLaw, ByteModel
from guided.byte_laws.byte_model import over_bytes
from guided.byte_laws.byte_prompts import symbols_of
from guided.byte_laws.byte_stage import ByteStage
from guided.byte_laws.token_endings import TokenEndings
from guided.decoding import Decoder
from guided.decoding.masks import Feed
from guided.decoding.speculation import Speculation
from guided.decoding.trunks import Ledger
from guided.decoding.usage import Usage
from guided.errors import ControlError, InputError, ModelError
from guided.model import Model
from guided.testing import tiny_model
from tests.byte_laws.toys import SourceModel, bpe, table

TOKENIZER = bpe("abc", ["a b", "b c", "ab c", "a a", "c ab"])
PROMPT = "<eos>ab"


def stage(model: ByteModel, usage: Usage | None = None) -> ByteStage:
    return model.network.own_stage(usage or Usage(), Ledger())


def expected(law: ByteLaw, prompt: str, text: bytes) -> np.ndarray:
    streams = law.open([prompt])
    streams.read([text])
    return streams.law()[0].numpy()


@pytest.mark.parametrize("normalize", ["tokens", "bytes"])
def test_a_tree_of_bytes_has_the_laws_of_its_texts_in_one_pass(normalize) -> None:
    model = table(TOKENIZER, 3)
    usage = Usage()
    rows = stage(ByteModel(model, normalize=normalize), usage)
    prompts = [PROMPT, "<eos>cabab", "<eos>"]
    places = rows.read([symbols_of(prompt) for prompt in prompts]).places
    texts = [bytes(t) for n in (1, 2, 3) for t in product(b"abc", repeat=n)]
    index = {text: at for at, text in enumerate(texts)}
    feed = Feed([text[-1] for text in texts], [index.get(text[:-1], -1) for text in texts])
    before = usage.passes
    laws = rows.forward([feed] * 3)
    assert usage.passes == before + 1
    law = ByteLaw(model, normalize=normalize)
    for row, prompt in enumerate(prompts):
        for text in texts[::3]:
            found = laws[row, index[text]].numpy()
            assert np.allclose(found, expected(law, prompt, text), atol=1e-9)
    # Another way down for every row, and on from there.
    for row, text in enumerate((b"abc", b"ca", b"bbb")):
        rows.commit(row, [index[text[:end]] for end in range(1, len(text) + 1)])
    laws = rows.forward([Feed.chain(list(b"ab")), Feed.chain(list(b"bc")), Feed.chain(list(b"c"))])
    for row, text in enumerate((b"abcab", b"cabc", b"bbbc")):
        found = laws[row, 1 if row < 2 else 0].numpy()
        assert np.allclose(found, expected(law, prompts[row], text), atol=1e-9)
    assert len(places) == len(rows) == 3


def test_branches_that_fork_rest_and_are_evicted_keep_their_laws() -> None:
    model = table(TOKENIZER, 5)
    own, law = ByteModel(model), ByteLaw(model)
    # Room for about ten tokens: most branches are evicted and read again.
    for limit in (None, 40 * model.network.bytes_per_token):
        decoder = Decoder(own.network, own.vocabulary, kv_limit=limit)
        texts = {b"": decoder.open([own.encode(PROMPT)])[0]}
        for length in range(3):
            for text, branch in list(texts.items()):
                if len(text) != length:
                    continue
                children = decoder.fork(branch, 3)
                decoder.append(children, list(b"abc"))
                decoder.extend(children, until=lambda branch: True)
                texts |= {text + bytes([b]): c for b, c in zip(b"abc", children, strict=True)}
        for text, branch in texts.items():
            assert np.allclose(branch.law().numpy(), expected(law, PROMPT, text), atol=1e-9)


def test_what_is_drawn_is_the_same_with_and_without_guesses() -> None:
    model = ByteModel(tiny_model(0))
    prompts = ["The quick", '{"name": "日', "x = 3"]
    for draft in ("auto", Speculation([TokenEndings()])):
        for temperature in (0, 1.0):
            plain = guided.run(
                model, prompts, max_new_tokens=12, draft=None, temperature=temperature
            )
            fast = guided.run(
                model, prompts, max_new_tokens=12, draft=draft, temperature=temperature
            )
            for one, other in zip(plain, fast, strict=True):
                assert one.tokens == other.tokens
                assert one.log_q == pytest.approx(other.log_q, abs=1e-6)


def test_the_rest_of_a_token_is_guessed_from_the_law_of_its_first_byte() -> None:
    # The model says nothing but "abc", a token, again and again.
    texts = {b"abc" * 5: 1.0}
    model = ByteModel(Model(SourceModel(texts, TOKENIZER), TOKENIZER))
    plain = guided.run(model, "<eos>", max_new_tokens=20, temperature=1, draft=None)
    result = guided.run(
        model, "<eos>", max_new_tokens=20, temperature=1, draft=Speculation([TokenEndings()])
    )
    assert result.tokens == plain.tokens == (*b"abc" * 5, END)
    # All but the first byte of every token.
    assert result.usage.accepted == 10
    assert result.usage.passes < plain.usage.passes - 8


def test_a_text_that_the_model_cannot_say_only_ends() -> None:
    model = Model(SourceModel({b"ab": 0.5, b"a": 0.5}, TOKENIZER), TOKENIZER)
    rows = stage(ByteModel(model))
    places = rows.read([symbols_of("<eos>")]).places
    laws = rows.forward([Feed(list(b"ac"), [-1, -1])])
    assert laws[0, 0].softmax(-1)[[ord("b"), END]].tolist() == pytest.approx([0.5, 0.5])
    assert laws[0, 1].softmax(-1)[END] == 1
    assert laws[0, 1].logsumexp(-1) < -1e20
    rows.commit(0, [1])
    assert rows.forward([Feed.chain(list(b"a"))])[0, 0].softmax(-1)[END] == 1
    assert len(places) == 1


def test_grammars_controls_and_streams_work_on_bytes() -> None:
    model = ByteModel(tiny_model(0))
    result = guided.run(model, "x", regex="[ab]{2}é", max_new_tokens=8)
    assert result.text[2:] == "é"
    assert result.tokens[:2] == tuple(result.text[:2].encode())
    *_, last = guided.stream(model, "x", regex="[ab]{2}é", max_new_tokens=8)
    assert last.result.tokens == result.tokens
    ban = guided.controls.BanTokens([ord("a")])
    assert "a" not in guided.generate(model, "x", regex="[ab]{2}", controls=[ban])


def test_prompts_that_no_text_begins_with_and_foreign_rows_are_refused() -> None:
    model = ByteModel(table(TOKENIZER, 3))
    with pytest.raises(InputError, match="mark 256"):
        Decoder(model.network, model.vocabulary).open([list(b"ab")])
    with pytest.raises(InputError, match="chat template"):
        guided.generate(model, [{"role": "user", "content": "ab"}])
    with pytest.raises(ModelError, match="over tokens"):
        ByteModel(model)
    with pytest.raises(InputError, match="no tokens"):
        guided.generate(model, "")


def test_chat_messages_are_read_by_the_models_own_template() -> None:
    tokenizer = bpe("abc", ["a b", "b c"])
    tokenizer.chat_template = "<eos>{% for m in messages %}{{ m['content'] }}{% endfor %}c"
    model = ByteModel(table(tokenizer, 3))
    messages = [{"role": "user", "content": "ab"}, {"role": "user", "content": "b"}]
    options = {"temperature": 1, "max_new_tokens": 6, "draft": None}
    chat = guided.run(model, messages, **options, n=8)
    plain = guided.run(model, "<eos>abbc", **options, n=8)
    law = ByteLaw(model.tokens)
    for result in (*chat, *plain):
        streams = law.open(["<eos>abbc"])
        for symbol in result.tokens:
            streams.push([symbol])
        assert result.log_p == pytest.approx(streams.log_p[0], abs=1e-9)
    control = guided.AnchoredBytes(model.tokens)
    with pytest.raises(ControlError, match="debt of chat messages"):
        guided.run(model, messages, controls=[control], temperature=1)
    anchored = guided.AnchoredBytes(model.tokens, debt=1.0)
    result = guided.run(model, messages, controls=[anchored], temperature=1, max_new_tokens=4)
    assert result.certificate.debt == 1.0


def test_a_model_and_what_was_made_of_it_are_given_up_together() -> None:
    model = table(bpe("ab", []), 1)
    assert over_bytes(model) is over_bytes(model)
    assert over_bytes(model, "bytes") is not over_bytes(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
