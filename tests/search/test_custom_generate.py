"""Searches in the place of `generate`: its arguments are honoured, or refused by name."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MaxTimeCriteria, StoppingCriteria, StopStringCriteria

import guided
from guided import GuidedGeneration
from guided.errors import InputError, RewardError
from guided.search import AStar, Beam, BestOfN, Budget, Majority, Tokens
from guided.search.custom_generate import SearchGenerationOutput
from guided.testing import tiny_model
from guided.trace import Trace

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PROMPTS = ["Who?", "name (string), age (integer) JSON: ", "a"]
NEW = 10
SAMPLED = {"do_sample": True, "max_new_tokens": NEW, "seed": 4}


@pytest.fixture(scope="module")
def owner() -> guided.Model:
    return tiny_model()


def vowels(prompt: str, text: str) -> float:
    return sum(char in "aeiou" for char in text) / (1 + len(text))


def encoded(owner: guided.Model, prompts: list[str]) -> dict[str, Tensor]:
    batch = owner.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def generated(owner: guided.Model, prompts: list[str], way: Any, **arguments: Any) -> Any:
    given = {**SAMPLED, **arguments}
    return owner.hf_model.generate(
        **encoded(owner, prompts), custom_generate=way, pad_token_id=0, **given
    )


def new_tokens(owner: guided.Model, prompts: list[str], rows: Tensor) -> list[list[int]]:
    width = encoded(owner, prompts)["input_ids"].shape[1]
    return [row[width:].tolist() for row in rows]


def test_one_sample_is_what_guided_generation_draws(owner: guided.Model) -> None:
    options = {"temperature": 0.7, "top_k": 9, "repetition_penalty": 1.2}
    ours = generated(owner, PROMPTS, BestOfN(1).hf(vowels, owner.tokenizer), **options)
    theirs = generated(owner, PROMPTS, GuidedGeneration(None, owner.tokenizer), **options)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "method", [BestOfN(3), Beam(4, 2), AStar(2, cost="best_first", max_expansions=12)]
)
def test_what_is_found_is_what_run_finds(owner: guided.Model, method: Any) -> None:
    steps = Tokens(3)
    options = {"temperature": 0.9, "max_new_tokens": NEW, "top_p": 0.95}
    found = method.run(owner, PROMPTS, vowels, seed=4, heal=False, segmenter=steps, **options)
    way = method.hf(vowels, owner.tokenizer, segmenter=steps, prompts=PROMPTS)
    # The config of a call without top_k falls back to 50; run has none.
    out = generated(owner, PROMPTS, way, top_k=0, return_dict_in_generate=True, **options)
    assert isinstance(out, SearchGenerationOutput)
    for row, result, each in zip(out.sequences, found, out.results, strict=True):
        tokens = list(result.best.tokens)
        width = encoded(owner, PROMPTS)["input_ids"].shape[1]
        assert row[width : width + len(tokens)].tolist() == tokens
        assert each.score == result.score
        assert each.spent["tokens"] == result.spent["tokens"]
    assert out.log_p.shape == out.log_q.shape
    assert out.finish_reasons == tuple(result.best.finish_reason for result in found)


def test_texts_of_a_schema_are_complete_within_the_limit(owner: guided.Model) -> None:
    way = BestOfN(2).hf(vowels, owner.tokenizer, controls=PERSON)
    rows = generated(owner, PROMPTS, way, max_new_tokens=24)
    for tokens in new_tokens(owner, PROMPTS, rows):
        text = owner.tokenizer.decode(tokens, skip_special_tokens=True)
        assert set(json.loads(text)) == {"name", "age"}


def test_the_reward_is_shown_the_decoded_prompt_or_the_given_one(owner: guided.Model) -> None:
    seen: set[Any] = set()

    def score(prompt: Any, text: str) -> float:
        seen.add(prompt if isinstance(prompt, str) else prompt[0]["content"])
        return 1.0

    generated(owner, PROMPTS, BestOfN(2).hf(score, owner.tokenizer))
    assert seen == set(PROMPTS)
    seen.clear()
    way = BestOfN(2).hf(score, owner.tokenizer, prompts="one for all")
    generated(owner, PROMPTS, way)
    assert seen == {"one for all"}
    seen.clear()
    messages = [[{"role": "user", "content": name}] for name in ("x", "y")]
    generated(owner, PROMPTS[:2], way, num_return_sequences=2, reward_prompts=messages)
    assert seen == {"x", "y"}


def test_return_sequences_are_searches_of_their_own(owner: guided.Model) -> None:
    way = BestOfN(2).hf(vowels, owner.tokenizer)
    rows = generated(owner, PROMPTS[:2], way, num_return_sequences=3)
    assert rows.shape[0] == 6
    assert len({tuple(row) for row in new_tokens(owner, PROMPTS[:2], rows)}) > 3


def test_a_budget_and_a_trace_work_as_in_run(owner: guided.Model) -> None:
    trace = Trace()
    way = AStar(2, cost="best_first").hf(
        vowels, owner.tokenizer, budget=Budget(tokens=16), segmenter=Tokens(3), trace=trace
    )
    out = generated(owner, PROMPTS[:1], way, max_new_tokens=40, return_dict_in_generate=True)
    assert out.results[0].stopped == "tokens"
    assert out.results[0].spent["tokens"] <= 16 + 2
    assert {record["kind"] for record in trace.records} >= {"run", "node", "score", "result"}


def test_stop_strings_end_every_text(owner: guided.Model) -> None:
    way = BestOfN(3).hf(vowels, owner.tokenizer)
    criteria = [StopStringCriteria(owner.tokenizer, ["e", "a"])]
    out = generated(
        owner, PROMPTS, way, max_new_tokens=40, stopping_criteria=criteria,
        return_dict_in_generate=True,
    )  # fmt: skip
    assert "stop_string" in out.finish_reasons
    for result in out.results:
        assert not set("ea") & set(result.text)


def test_a_time_limit_ends_the_search(owner: guided.Model) -> None:
    way = BestOfN(3).hf(vowels, owner.tokenizer)
    criteria = [MaxTimeCriteria(max_time=0.0)]
    out = generated(
        owner, PROMPTS[:1], way, stopping_criteria=criteria, return_dict_in_generate=True
    )
    assert out.results[0].stopped == "seconds"


def test_a_reward_that_fails_is_an_error_unless_the_whole_output_is_asked_for(
    owner: guided.Model,
) -> None:
    def fails(prompt: str, text: str) -> float:
        raise ZeroDivisionError("nothing to divide by")

    way = BestOfN(2).hf(fails, owner.tokenizer)
    with (
        pytest.warns(RuntimeWarning, match="nothing to divide by"),
        pytest.raises(RewardError, match="row 0"),
    ):
        generated(owner, PROMPTS[:1], way)
    with pytest.warns(RuntimeWarning, match="nothing to divide by"):
        out = generated(owner, PROMPTS[:1], way, return_dict_in_generate=True)
    assert out.results[0].stopped == "reward"


def test_votes_need_no_reward(owner: guided.Model) -> None:
    rows = generated(owner, PROMPTS, Majority(3).hf(None, owner.tokenizer))
    assert rows.shape[0] == len(PROMPTS)


class Never(StoppingCriteria):  # type: ignore[misc]
    """Stops nothing."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        return torch.zeros(len(input_ids), dtype=torch.bool)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"do_sample": False, "seed": None}, "do_sample"),
        ({"num_beams": 2}, "num_beams"),
        ({"output_scores": True, "return_dict_in_generate": True}, "output_scores"),
        ({"stopping_criteria": [Never()]}, "Never"),
        ({"reward_prompts": ["x", "y"]}, "prompts for the reward"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_cannot_be_honoured_is_refused_by_name(
    owner: guided.Model, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        generated(owner, PROMPTS, BestOfN(2).hf(vowels, owner.tokenizer), **arguments)


def test_what_cannot_be_bound_is_refused_at_once(owner: guided.Model) -> None:
    with pytest.raises(InputError, match="tokenizer"):
        BestOfN(2).hf(vowels, None)
    with pytest.raises(InputError, match="at_once"):
        BestOfN(2).hf(vowels, owner.tokenizer, at_once=0)
    with pytest.raises(InputError, match="reward"):
        BestOfN(2).hf(3, owner.tokenizer)
    with pytest.raises(InputError, match="needs a reward"):
        generated(owner, PROMPTS, BestOfN(2).hf(None, owner.tokenizer))
