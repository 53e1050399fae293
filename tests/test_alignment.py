"""align=: draws, their certificates, what they combine with and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch

import guided
from guided.alignment import draws_of, sampler_of
from guided.certificates import (
    ASApCertificate,
    MCMCCertificate,
    ParticleCertificate,
    RejectionCertificate,
)
from guided.cli import main
from guided.controls import Control, GrammarMask, Stage, TopK
from guided.errors import (
    ControlError,
    DecodingError,
    InputError,
    ValidationFailedError,
)
from guided.grammars.regex import regex
from guided.search import AWRS, CARS, MCMC, ASAp, BestOfN, Rejection, Tries
from guided.testing import fake_model, table_model, tiny_model
from guided.trace import Trace
from tests.search.aligned.languages import chi_square, exact

MODEL = table_model(3, seed=26)
PATTERN = "a(b|ab?)?|bb*a?"
WORDS = [
    word
    for length in range(1, 5)
    for word in itertools.product((1, 2), repeat=length)
    if word in {(1,), (1, 2), (1, 1), (1, 1, 2)}
    or (word[0] == 2 and set(word[1:-1]) <= {2} and set(word[-1:]) <= {1, 2})
]
EXACT = exact(MODEL, MODEL.encode("ab"), WORDS)
OPTIONS: dict[str, Any] = {"regex": PATTERN, "max_new_tokens": 5, "heal": False}
KINDS = {
    "asap": ASApCertificate,
    "cars": RejectionCertificate,
    "ars": RejectionCertificate,
    "rejection": RejectionCertificate,
    "mcmc": MCMCCertificate,
    "awrs": ParticleCertificate,
    "smc": ParticleCertificate,
}


def drawn(align: Any, n: int, prompt: Any = "ab", **options: Any) -> list[guided.Result[Any]]:
    return guided.run(MODEL, prompt, n=n, align=align, **(OPTIONS | options))


@pytest.mark.parametrize("align", KINDS)
def test_every_method_draws_n_texts_with_its_certificate(align: str) -> None:
    results = drawn(align, 6)
    assert len(results) == 6
    for result in results:
        assert result.tokens in EXACT.tokens
        assert result.finish_reason == "stop"
        assert isinstance(result.certificate, KINDS[align])
        assert result.value == result.text
    assert "Z" in str(results[0].certificate)
    # Only masked draws, one for each text, throw nothing away.
    assert all((result.usage.discarded > 0) == (align != "asap") for result in results)


@pytest.mark.parametrize("align", ["cars", "rejection", "mcmc"])
def test_draws_have_the_law_of_the_model_conditioned(align: str) -> None:
    results = drawn(align, 150, seed=2)
    assert chi_square(EXACT.counts([result.tokens for result in results]), EXACT.q) < 5


def test_masking_alone_has_another_law() -> None:
    results = guided.run(MODEL, "ab", n=150, temperature=1.0, **OPTIONS)
    drawn = [(*result.tokens, 0) if result.tokens[-1] else result.tokens for result in results]
    assert chi_square(EXACT.counts(drawn), EXACT.g) < 5
    assert chi_square(EXACT.counts(drawn), EXACT.q) > 5


@pytest.mark.parametrize("align", ["asap", "mcmc", "smc"])
def test_equal_seeds_give_equal_draws_alone_and_among_others(align: str) -> None:
    alone = drawn(align, 3, seed=5)
    again = drawn(align, 3, seed=5, draft=None)
    (_, second) = drawn(align, 3, ["ba", "ab"], seed=5)
    assert [r.tokens for r in alone] == [r.tokens for r in again] == [r.tokens for r in second]
    assert [r.tokens for r in drawn(align, 3, seed=6)] != [r.tokens for r in alone]


def test_one_draw_of_one_prompt_is_one_value() -> None:
    value = guided.generate(MODEL, "ab", align="cars", **OPTIONS)
    assert (*MODEL.encode(value), 0) in EXACT.tokens
    values = guided.generate(MODEL, ["ab", "ba"], align="cars", n=2, **OPTIONS)
    assert [len(each) for each in values] == [2, 2]


def test_results_are_parsed_and_typed() -> None:
    @dataclass
    class Item:
        kind: Literal["a", "b"]
        count: Literal[1, 2]

    model = tiny_model()
    options: dict[str, Any] = {"max_new_tokens": 60, "whitespace": "compact"}
    items = guided.generate(model, "x", schema=Item, n=3, align="mcmc", **options)
    assert all(isinstance(item, Item) for item in items)
    picked = guided.generate(model, ["x", "y"], schema=[Item, None], **options)
    assert isinstance(picked[0], Item)
    found = guided.generate(
        model, ["x", "y"], choices=[["red", "blue"], ["1", "2"]], align="asap", n=2, **options
    )
    assert set(found[0]) <= {"red", "blue"}
    assert set(found[1]) <= {"1", "2"}
    lark = guided.generate(model, "x", grammar='start: "a" | "b" start', align="smc", **options)
    assert lark.endswith("a")


def test_a_sampler_with_settings_takes_its_n_from_the_call() -> None:
    tries = Tries()
    first = drawn(ASAp(batch=2, tries=tries), 10)
    later = drawn(ASAp(batch=2, tries=tries), 10, seed=1)
    assert later[0].certificate.distance <= first[0].certificate.distance
    assert len(later[0].certificate.distances) == 10
    particles = drawn(AWRS(24), 4)[0].certificate
    assert (particles.particles, len(particles.draws)) == (24, 4)
    assert sum(particles.weights) == pytest.approx(1)
    with pytest.raises(InputError, match=r"ASAp\(n=4\) contradicts n=3"):
        drawn(ASAp(4), 3)


def test_particles_are_drawn_in_proportion_to_their_weights() -> None:
    weights = [0.5, 0.25, 0.2, 0.05]
    firsts = [0] * 4
    for stream in range(2000):
        draws = draws_of(weights, 4, 0, stream)
        assert [draws.count(0), draws.count(1)] == [2, 1]
        firsts[draws[0]] += 1
    # The order has no meaning: the first of them has the law of one draw.
    for count, weight in zip(firsts, weights, strict=True):
        deviation = math.sqrt(2000 * weight * (1 - weight))
        assert abs(count - 2000 * weight) < 4 * deviation


def test_a_temperature_is_part_of_the_law_and_defaults_to_the_models_own() -> None:
    cold = exact(MODEL, MODEL.encode("ab"), WORDS, lambda logits, _: logits / 0.5)
    tokens = [result.tokens for result in drawn("cars", 150, temperature=0.5)]
    assert chi_square(cold.counts(tokens), cold.q) < 5
    assert chi_square(cold.counts(tokens), EXACT.q) > 5


def test_the_models_defaults_of_truncation_are_left_out_and_those_asked_for_are_not() -> None:
    model = table_model(3, seed=26)
    model.generation_config.update(do_sample=True, top_k=2, temperature=1.0)
    prompt = model.encode("aba")

    def cut(logits: torch.Tensor, prefix: Any) -> torch.Tensor:
        return torch.where(logits >= logits.topk(2).values[-1], logits, -torch.inf)

    whole, top = exact(model, prompt, WORDS), exact(model, prompt, WORDS, cut)
    found = guided.run(model, "aba", n=120, align="cars", **OPTIONS)
    assert chi_square(whole.counts([r.tokens for r in found]), whole.q) < 5
    for options in ({"top_k": 2}, {"controls": [TopK(2)]}):
        found = guided.run(model, "aba", n=120, align="cars", **OPTIONS, **options)
        assert chi_square(top.counts([r.tokens for r in found]), top.q) < 5


class Even:
    """Refuses odd numbers."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def check(value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

        return core_schema.no_info_after_validator_function(
            check, core_schema.int_schema(ge=0, le=9)
        )


@pytest.mark.parametrize("align", ["asap", "mcmc", "smc"])
def test_refused_values_are_drawn_again(align: str) -> None:
    model = tiny_model()
    options: dict[str, Any] = {"schema": Even, "align": align, "max_new_tokens": 4}
    values = guided.generate(model, "x", n=6, retries=30, **options)
    assert len(values) == 6
    assert all(value % 2 == 0 for value in values)
    with pytest.raises(ValidationFailedError):
        guided.run(model, "x", n=12, **options)


def test_draws_are_recorded_in_a_trace() -> None:
    trace = Trace()
    drawn("asap", 3, trace=trace)
    kinds = [record["kind"] for record in trace.records]
    assert kinds[:2] == ["run", "problem"]
    assert kinds[-1] == "result"
    assert trace.records[-1]["certificate"].startswith("ASAp: a further draw is within")
    with pytest.raises(InputError, match="trace= records the draws of align="):
        guided.run(MODEL, "ab", trace=trace, **OPTIONS)


# --- what ends early


def test_too_many_rejections_give_the_draws_so_far() -> None:
    limited = Rejection(max_attempts=12)
    results = drawn(limited, 12)
    kept = [result for result in results if result.finish_reason == "stop"]
    lacking = [result for result in results if result.finish_reason == "attempts"]
    assert 0 < len(kept) < 12
    assert len(kept) + len(lacking) == 12
    assert all(result.tokens in EXACT.tokens for result in kept)
    assert lacking[0].certificate.cut
    with pytest.raises(DecodingError, match=r"of 12 draws are missing: too many draws were rejec"):
        guided.generate(MODEL, "ab", n=12, align=limited, **OPTIONS)


def test_a_language_without_any_mass_is_told() -> None:
    model = table_model(3, seed=26, horizon=2)
    options = OPTIONS | {"regex": "b{3}"}
    results = guided.run(model, "ab", n=2, align="asap", **options)
    assert [result.finish_reason for result in results] == ["no_mass", "no_mass"]
    with pytest.raises(DecodingError, match="gives no chance to anything that is allowed"):
        guided.generate(model, "ab", n=2, align="asap", **options)
    with pytest.raises(DecodingError, match="2 of 2 draws are missing: too many draws"):
        guided.generate(model, "ab", n=2, align="mcmc", **options)


@pytest.mark.parametrize("align", ["cars", "smc"])
def test_an_interrupt_gives_the_draws_so_far(align: str) -> None:
    model, passes = tiny_model(), 0

    def interrupted(*_: object) -> None:
        nonlocal passes
        passes += 1
        if passes > 4:
            raise KeyboardInterrupt

    hook = model.hf_model.register_forward_pre_hook(interrupted)
    options: dict[str, Any] = {"regex": "[a-z]{1,4}", "max_new_tokens": 8, "align": align}
    try:
        results = guided.run(model, ["x", "y"], n=40, **options)
        passes = 0
        with pytest.raises(KeyboardInterrupt):
            guided.generate(model, ["x", "y"], n=40, **options)
    finally:
        hook.remove()
    reasons = {result.finish_reason for result in itertools.chain(*results)}
    assert "interrupt" in reasons
    assert [len(each) for each in results] == [40, 40]


# --- what is refused


class Last(Control):
    stage = Stage.CORRECTION


@pytest.mark.parametrize("align", KINDS)
def test_there_must_be_something_to_align(align: str) -> None:
    model = fake_model("x")
    with pytest.raises(ControlError, match="there is none; give schema="):
        guided.run(model, "x", align=align)
    with pytest.raises(ControlError, match="there is none; give schema="):
        guided.run(model, ["x", "y"], regex=["a", None], align=align)
    assert guided.run(
        MODEL, "ab", controls=[GrammarMask(regex(PATTERN))], heal=False, max_new_tokens=5,
        align=align,
    ).tokens in EXACT.tokens  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"align": "gad"}, "align='gad' is unknown; give one of none, asap"),
        ({"align": BestOfN(4)}, "is no sampler of the model's law on a grammar"),
        ({"align": 3}, "align=3 is no sampler"),
        ({"align": "asap", "temperature": 0}, "temperature=0 makes no draws"),
        ({"align": "mcmc", "temperature": -1.0}, "temperature must not be negative"),
        ({"align": "asap", "controls": [Last()]}, "Last wants to come last"),
        ({"align": "cars", "stop": "x"}, "CARS counts the chance of the stop token"),
        ({"align": "asap", "n": 0}, "n must be at least 1"),
    ],
)
def test_what_cannot_be_aligned_is_refused_before_any_pass(
    options: dict[str, Any], message: str
) -> None:
    model = tiny_model()
    hook = model.hf_model.register_forward_pre_hook(lambda *_: pytest.fail("a forward pass"))
    try:
        with pytest.raises(InputError, match=message):
            guided.run(model, "x", regex="a|b", **options)
    finally:
        hook.remove()


def test_a_stream_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="stream shows a text while it grows"):
        guided.stream(fake_model("x"), "x", regex="a", align="asap")


def test_names_and_none_ask_for_what_they_say() -> None:
    assert sampler_of("mcmc", 7) == MCMC(7, batch=32)
    assert sampler_of("smc", 3) == AWRS(16, proposal="mask")
    assert sampler_of("awrs", 30) == AWRS(60)
    assert sampler_of(CARS(batch=3), 5) == CARS(5, batch=3)
    assert guided.generate(fake_model("a"), "x", regex="a|b", align="none") == "a"


# --- inside Hugging Face


@pytest.fixture(scope="module")
def owner() -> guided.Model:
    return tiny_model()


def generated(owner: guided.Model, way: guided.GuidedGeneration, **arguments: Any) -> Any:
    prompts = ["Who?", "name (string): "]
    batch = owner.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": 6, "pad_token_id": 0, "seed": 3}
    return owner.hf_model.generate(**inputs, custom_generate=way, **(settings | arguments))


@pytest.mark.parametrize("align", ["cars", "smc"])
def test_return_sequences_are_the_draws_of_their_prompt(owner: guided.Model, align: Any) -> None:
    way = guided.GuidedGeneration(regex("[0-9]{1,3}"), owner.tokenizer, align=align)
    arguments: dict[str, Any] = {"num_return_sequences": 3}
    whole = generated(owner, way, return_dict_in_generate=True, **arguments)
    rows = generated(owner, way, **arguments)
    assert torch.equal(whole.sequences, rows)
    width = rows.shape[1] - whole.log_p.shape[1]
    texts = owner.tokenizer.batch_decode(rows[:, width:], skip_special_tokens=True)
    assert len(texts) == 6
    assert all(text.isdigit() and len(text) <= 3 for text in texts)
    assert len({id(each) for each in whole.certificates}) == 2
    assert isinstance(whole.certificates[0], KINDS[align])
    assert set(whole.finish_reasons) <= {"stop", "budget"}


def test_per_prompt_grammars_go_to_their_prompts(owner: guided.Model) -> None:
    way = guided.GuidedGeneration(
        [regex("[0-9]"), regex("[a-f]")], owner.tokenizer, align=ASAp(batch=2)
    )
    rows = generated(owner, way, num_return_sequences=2)
    texts = [text[-1] for text in owner.tokenizer.batch_decode(rows, skip_special_tokens=True)]
    assert "".join(texts[:2]).isdigit()
    assert "".join(texts[2:]).isalpha()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"do_sample": False}, "give generate do_sample=True"),
        ({"max_time": 60.0}, "MaxTimeCriteria cannot be honoured with align="),
        ({"text_streamer": object()}, "a streamer shows a text as it grows"),
    ],
)
def test_what_generate_asks_for_besides_is_refused_by_name(
    owner: guided.Model, arguments: dict[str, Any], message: str
) -> None:
    way = guided.GuidedGeneration(regex("[0-9]"), owner.tokenizer, align="asap")
    with pytest.raises(InputError, match=message):
        generated(owner, way, **arguments)


def test_wrong_alignments_inside_hugging_face_are_refused(owner: guided.Model) -> None:
    with pytest.raises(InputError, match="align='gad' is unknown"):
        guided.GuidedGeneration(regex("a"), owner.tokenizer, align="gad")  # type: ignore[arg-type]
    with pytest.raises(ControlError, match="there is none"):
        generated(owner, guided.GuidedGeneration(None, owner.tokenizer, align="asap"))
    way = guided.GuidedGeneration([[regex("a"), Last()]], owner.tokenizer, align="asap")
    with pytest.raises(ControlError, match="Last wants to come last"):
        generated(owner, way)


def test_none_is_no_alignment_as_in_generate(owner: guided.Model) -> None:
    way = guided.GuidedGeneration(regex("a"), owner.tokenizer, align=None)  # type: ignore[arg-type]
    plain = guided.GuidedGeneration(regex("a"), owner.tokenizer)
    rows = [generated(owner, each) for each in (way, plain)]
    assert torch.equal(*rows)


# --- on the command line


@pytest.mark.parametrize("align", ["asap", "mcmc"])
def test_the_command_prints_draws_and_on_stderr_the_certificate(
    align: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("guided.loading.load", lambda name: tiny_model())
    arguments = ["generate", "m", "x", "--regex", "[ab]", "--max-new-tokens", "3", "--n", "4"]
    assert main([*arguments, "--align", align]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 4
    assert set(told.out.split()) <= {"a", "b"}
    assert "total variation, proven" in told.err
    assert main([*arguments, "--align", align, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["text"] for line in lines} <= {"a", "b"}
    assert 0 <= lines[0]["certificate"]["distance"] <= 1


def test_the_command_refuses_as_the_function_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("guided.loading.load", lambda name: tiny_model())
    assert main(["generate", "m", "x", "--align", "asap"]) == 1
    assert "there is none; give schema=" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["generate", "m", "x", "--align", "gad"])
