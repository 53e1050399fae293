"""generate, run and load with masked-diffusion models: the same calls, the same results."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

import guided
from guided.diffusion import DiffusionResult, FastDLLM, FreeDave, LLaDA
from guided.errors import BudgetError, DeadEndError, InputError, ModelError, ValidationFailedError
from guided.grammars.vocabulary import Vocabulary
from guided.testing import MaskModel, fake_model

WORDS = [b"?", b"{", b"}", b'"n"', b":", b"1", b"2", b"", None]
STOP, MASK = 7, 8


class Point(BaseModel):
    n: int


class TableForMaskedLM(MaskModel):
    """Named as transformers names such models."""


def model(seed: int = 0) -> guided.DiffusionModel:
    """A mask model that can spell `{"n":12}`; its likings are random."""
    table = MaskModel(len(WORDS), seed, eos=STOP)
    return guided.DiffusionModel(table, vocabulary=Vocabulary.from_tokens(WORDS, [STOP]))


def test_the_same_schema_gives_a_typed_object() -> None:
    value = guided.generate(model(), "12", schema=Point, whitespace="compact", max_new_tokens=6)
    assert isinstance(value, Point)


def test_a_result_says_what_was_written_and_what_it_cost() -> None:
    result = guided.run(model(), "12", schema=Point, whitespace="compact", max_new_tokens=6)
    assert result.text.encode() == b"".join(WORDS[token] or b"" for token in result.tokens)
    assert result.value == Point.model_validate_json(result.text)
    assert result.token_ends[-1] == len(result.text)
    assert len(result.log_p) == len(result.tokens)
    assert result.usage.passes >= 1
    assert isinstance(result.certificate, DiffusionResult)


def test_batches_and_repetitions_come_in_the_shape_of_the_prompts() -> None:
    options = {"temperature": 1.0, "max_new_tokens": 4, "seed": 3}
    rows = guided.run(model(), ["1", "2"], n=2, **options)
    assert [len(row) for row in rows] == [2, 2]
    one_at_a_time = guided.run(model(), ["1", "2"], n=2, batch_size=1, **options)
    assert [[r.tokens for r in row] for row in rows] == [
        [r.tokens for r in row] for row in one_at_a_time
    ]
    alone = guided.run(model(), "2", n=2, **options)
    assert [r.tokens for r in alone] == [r.tokens for r in rows[1]]


def test_freedave_gives_the_same_tokens_in_no_more_passes() -> None:
    static = guided.run(model(), "12", max_new_tokens=6)
    fast = guided.run(model(), "12", max_new_tokens=6, decoding=FreeDave(d=4))
    assert fast.tokens == static.tokens
    assert fast.usage.passes <= static.usage.passes


def test_an_adapter_is_taken_for_its_model() -> None:
    whole = model()
    with pytest.raises(InputError, match="a model needs a tokenizer"):
        guided.generate(whole.adapter, "12", max_new_tokens=4)


def test_a_value_that_a_validator_refuses_is_drawn_again() -> None:
    class Even(BaseModel):
        n: int

        def model_post_init(self, context: object) -> None:
            if self.n % 2:
                raise ValueError("odd")

    options = {"schema": Even, "whitespace": "compact", "max_new_tokens": 5}
    drawn = guided.generate(model(), "1", temperature=3.0, retries=60, **options)
    assert drawn.n % 2 == 0
    refused = [seed for seed in range(8) if not _is_even(options, seed)]
    assert refused, "no seed draws an odd number: the test shows nothing"


def _is_even(options: dict, seed: int) -> bool:
    try:
        guided.generate(model(), "1", temperature=3.0, seed=seed, **options)
    except ValidationFailedError:
        return False
    return True


def test_a_result_costs_its_own_attempt_and_says_what_was_thrown_away() -> None:
    refused: list[int] = []

    class Third(BaseModel):
        n: int

        def model_post_init(self, context: object) -> None:
            if len(refused) < 2:
                refused.append(self.n)
                raise ValueError("too early")

    options = {"whitespace": "compact", "max_new_tokens": 5, "decoding": LLaDA(temperature=3.0)}
    result = guided.run(model(), "1", schema=Third, retries=2, **options)
    assert len(refused) == 2
    assert result.usage.passes <= 5
    assert result.usage.discarded == sum(len(f'{{"n":{n}}}') - 2 for n in refused)


def test_ctrl_c_ends_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model()
    forward, calls = whole.adapter.forward, []

    def interrupted(views, work):
        calls.append(len(views))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(views, work)

    monkeypatch.setattr(whole.adapter, "forward", interrupted)
    found = guided.run(whole, ["1", "2", "11"], max_new_tokens=4, batch_size=1)
    assert [each.finish_reason for each in found] == ["interrupt"] * 3
    assert [each.usage.passes for each in found] == [1, 0, 0]
    assert len(calls) == 2


def test_a_canvas_that_is_too_short_says_how_long_it_must_be() -> None:
    with pytest.raises(BudgetError, match="5 slots") as caught:
        guided.generate(model(), "1", schema=Point, whitespace="compact", max_new_tokens=3)
    assert caught.value.needed == 5


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"stop": "x"}, "stop"),
        ({"min_p": 0.1, "temperature": 1.0}, "min_p"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"draft": None}, "draft"),
        ({"align": "asap"}, "align"),
        ({"kv_limit": 10}, "kv_limit"),
    ],
)
def test_options_of_causal_models_are_refused_by_name(options: dict, name: str) -> None:
    with pytest.raises(InputError, match=name):
        guided.generate(model(), "1", **options)


def test_equal_outputs_are_not_asked_for_twice() -> None:
    with pytest.raises(InputError, match="same greedy output"):
        guided.generate(model(), "1", n=2)


def test_a_temperature_belongs_into_the_decoding() -> None:
    with pytest.raises(InputError, match="temperature beside decoding"):
        guided.generate(model(), "1", decoding=LLaDA(), temperature=1.0)


def test_models_of_the_other_kind_are_refused() -> None:
    with pytest.raises(ModelError, match="cannot fill masks"):
        guided.generate(fake_model("x"), "1", kind="masked-diffusion")
    with pytest.raises(ModelError, match="no law of the next token"):
        guided.generate(model(), "1", kind="causal")
    with pytest.raises(InputError, match="is for masked-diffusion models"):
        guided.generate(fake_model("x"), "1", decoding=FastDLLM(threshold=0.9))
    with pytest.raises(InputError, match="kind='both'"):
        guided.generate(model(), "1", kind="both")
    with pytest.raises(ModelError, match=r"guided\.DiffusionModel"):
        guided.Model(TableForMaskedLM(), vocabulary=model().vocabulary)
    with pytest.raises(InputError, match=r"no guided\.Model"):
        guided.generate(model().hf_model, "1")


@pytest.mark.parametrize("kind", ["auto", "causal"])
def test_code_of_a_checkpoint_is_neither_run_nor_asked_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *args: "y")
    (tmp_path / "own.py").write_text("raise SystemExit('it was run')")
    auto_map = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    config = {"model_type": "own", "auto_map": auto_map}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="trust_remote_code=True"):
        guided.load(str(tmp_path), kind=kind)


def test_what_needs_a_next_token_refuses_a_masked_diffusion_model() -> None:
    with pytest.raises(ModelError, match="fills a canvas"):
        next(guided.stream(model(), "1"))


def test_a_canvas_that_could_not_be_filled_is_an_error_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from guided.diffusion import rules

    # As if no answer came in time, and no completion was found.
    monkeypatch.setattr(rules, "rescued", lambda state, checked, finish: _ended(state, finish))
    monkeypatch.setattr("guided.diffusion.constraint.Checker.allows", lambda self, each: False)
    options = {"schema": Point, "whitespace": "compact", "max_new_tokens": 5}
    result = guided.run(model(), "1", **options)
    assert result.value is None
    assert "<mask>" in result.text
    with pytest.raises(DeadEndError, match="could not be completed"):
        guided.generate(model(), "1", **options)


def _ended(state, finish):
    from dataclasses import replace

    return replace(state, finish=finish)
