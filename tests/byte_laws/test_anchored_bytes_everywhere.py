"""Anchored bytes with searches, and inside of Hugging Face `generate`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import StopStringCriteria, TextStreamer

import guided
from guided.byte_laws import END, AnchoredBytes, ByteModel
from guided.errors import ControlError, InputError
from guided.hf.over_bytes import text_of, tokens_of
from guided.model import Model
from guided.search import ARGS, SMC, AStar, Beam, BestOfN, Budget, ParticleFilter, Tokens
from guided.testing import tiny_model
from tests.byte_laws.toys import bpe, table

RISKY = bpe("abc", ["a b", "b c", "ab c", "a a"])
SAFE = bpe("abc", ["c a", "b b", "a ca"])
PROMPT = "<eos>ab"


def pair() -> tuple[Model, Model]:
    return table(RISKY, 1), table(SAFE, 2)


def likes_b(prompt: Any, text: str) -> float:
    return (1 + text.count("b")) / (2 + len(text))


def check_ledger(ledger: Any, symbols: int) -> None:
    assert len(ledger.charges) == symbols
    for length in range(symbols + 1):
        spent = math.fsum(charge.cost for charge in ledger.charges[:length])
        assert spent <= ledger.terms.allowed(length, ledger.debt) + 1e-12


@pytest.mark.parametrize(
    "search",
    [
        BestOfN(n=4), ParticleFilter(n=4), SMC(n=4), AStar(width=2),
        Beam(width=4, factor=2),
    ],
    ids=lambda search: type(search).__name__,
)  # fmt: skip
@pytest.mark.parametrize("pattern", [None, "(ab|c)+"])
def test_searches_draw_bytes_and_every_branch_has_its_ledger(search: Any, pattern: Any) -> None:
    risky, safe = pair()
    results = search.run(
        risky, [PROMPT, "<eos>c"], likes_b, controls=[AnchoredBytes(safe, k=0.3)], seed=4,
        temperature=1, max_new_tokens=6, regex=pattern, segmenter=Tokens(2),
        heal=False, budget=Budget(tokens=200),
    )  # fmt: skip
    for result in results:
        assert result.stopped is None
        for candidate in result.candidates:
            tokens = candidate.result.tokens
            check_ledger(candidate.result.certificate, len(tokens))
            assert set(tokens) <= {*b"abc", END}
            if pattern:
                assert candidate.result.text.replace("ab", "").strip("c") == ""
        assert result.text == bytes(s for s in result.best.tokens if s != END).decode()


def generated(model: Model, way: Any, prompts: list[str], **options: Any) -> Any:
    model.tokenizer.pad_token = model.tokenizer.eos_token
    model.tokenizer.padding_side = "left"
    batch = model.tokenizer(prompts, return_tensors="pt", padding=True)
    given = {"do_sample": True, "top_k": 0, "max_new_tokens": 8, "seed": 5}
    return model.hf_model.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
        custom_generate=way, return_dict_in_generate=True, **(given | options),
    )  # fmt: skip


def test_generate_returns_the_tokens_that_the_tokenizer_makes_of_the_bytes() -> None:
    risky, safe = tiny_model(0), tiny_model(1)
    way = guided.GuidedGeneration(AnchoredBytes(safe, k=0.4), risky)
    prompts = ["The quick brown", "x = 3"]
    out = generated(risky, way, prompts, num_return_sequences=2)
    width = out.sequences.shape[1] - out.log_q.shape[1]
    assert len({tuple(row.tolist()) for row in out.sequences}) == 4
    for row in range(4):
        ids = out.sequences[row, width:].tolist()
        reason, ledger = out.finish_reasons[row], out.certificates[row]
        stop = min(risky.vocabulary.stop_ids)
        tokens = ids[: ids.index(stop)] if stop in ids else ids
        data = b"".join(risky.vocabulary.tokens[token] or b"" for token in tokens)
        assert tokens == tokens_of(risky, data)
        check_ledger(ledger, len(data) + (reason == "stop"))
        # The same bytes as decoding them by itself.
        text = text_of(ByteModel(risky), row, risky.encode(prompts[row // 2]))
        assert text == prompts[row // 2]
        assert (out.log_q[row, : len(tokens)] < 0).all()
    alone = generated(risky, way, prompts[1:])
    assert torch.equal(
        alone.sequences[0, -alone.log_q.shape[1] :][:3], out.sequences[2, width:][:3]
    )


def test_generate_under_a_grammar_is_whole_within_its_tokens() -> None:
    risky, safe = tiny_model(0), tiny_model(1)
    grammar = guided.grammars.regex.regex("[0-9]{2}|true")
    way = guided.GuidedGeneration([[grammar, AnchoredBytes(safe, k=0.4)]], risky)
    out = generated(risky, way, ["x"], max_new_tokens=5)
    text = risky.tokenizer.decode(out.sequences[0, -out.log_q.shape[1] :], skip_special_tokens=True)
    assert grammar.accepts(text.encode())
    check_ledger(out.certificates[0], len(out.certificates[0].charges))


@pytest.mark.parametrize("method", [BestOfN(n=3), SMC(n=3)], ids=["best of n", "smc"])
def test_a_search_inside_of_generate_is_the_search_itself(method) -> None:
    risky, safe = tiny_model(0), tiny_model(1)
    control = AnchoredBytes(safe, k=0.4)
    out = generated(risky, method.hf(likes_b, risky, controls=control), ["The quick", "x = 3"])
    width = out.sequences.shape[1] - out.log_q.shape[1]
    for row, prompt in enumerate(["The quick", "x = 3"]):
        found = out.results[row]
        alone = method.run(
            risky, prompt, likes_b, controls=[control], temperature=1, max_new_tokens=8, seed=5,
            heal=False,
        )  # fmt: skip
        assert found.text == alone.text
        data = bytes(symbol for symbol in found.best.tokens if symbol != END)
        tokens = tokens_of(risky, data)
        assert out.sequences[row, width : width + len(tokens)].tolist() == tokens
        assert float(out.log_q[row, : len(tokens)].sum()) == pytest.approx(
            sum(found.best.log_q[: len(data)]), abs=1e-5
        )
        for candidate in found.candidates:
            check_ledger(candidate.result.certificate, len(candidate.result.tokens))


def test_prompts_with_what_a_tokenizer_adds_are_read_as_their_text() -> None:
    risky, _ = pair()
    over = ByteModel(risky)
    eos = risky.tokenizer.eos_token_id
    assert text_of(over, 0, [eos, *risky.encode("abc")]) == "<eos>abc"
    # Tokens that no tokenizer makes of a text are read as the text that they spell.
    single = [risky.vocabulary.spellings[x] for x in (b"a", b"b")]
    assert text_of(over, 0, [eos, *single]) == "<eos>ab"


def test_what_does_not_go_together_is_refused_by_name() -> None:
    risky, safe = tiny_model(0), tiny_model(1)
    control = AnchoredBytes(safe)
    way = guided.GuidedGeneration(control, risky)
    with pytest.raises(ControlError, match="greedy"):
        generated(risky, way, ["x"], do_sample=False)
    with pytest.raises(ControlError, match="RepetitionPenalty is about the tokens"):
        generated(risky, way, ["x"], repetition_penalty=1.2)
    with pytest.raises(ControlError, match="NoRepeatNGramLogitsProcessor is about the tokens"):
        generated(risky, way, ["x"], no_repeat_ngram_size=2)
    stop = StopStringCriteria(risky.tokenizer, ["a"])
    with pytest.raises(InputError, match="StopStringCriteria"):
        generated(risky, way, ["x"], stopping_criteria=[stop])
    streaming = guided.GuidedGeneration(control, risky, streamer=TextStreamer(risky.tokenizer))
    with pytest.raises(InputError, match=r"guided\.stream shows text"):
        generated(risky, streaming, ["x"])
    with pytest.raises(InputError, match="controls of one kind"):
        generated(risky, guided.GuidedGeneration([control, None], risky), ["x", "y"])
    mixed = BestOfN(n=2).hf(likes_b, risky, controls=[control, None])
    with pytest.raises(InputError, match="controls of one kind"):
        generated(risky, mixed, ["x", "y"])
    with pytest.raises(InputError, match="do_sample=True"):
        generated(risky, BestOfN(n=2).hf(likes_b, risky, controls=control), ["x"], do_sample=False)
    with pytest.raises(ControlError, match="Anchored"):
        guided.GuidedLogitsProcessor(control, risky)
    with pytest.raises(ControlError, match="needs tokens drawn from its law"):
        ARGS().run(risky, "x", likes_b, controls=[control])
