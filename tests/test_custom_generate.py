"""GuidedGeneration in the place of `generate`: its arguments are honoured, or refused by name."""

import inspect
import json
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessor,
    MaxTimeCriteria,
    StoppingCriteria,
    StopStringCriteria,
)
from transformers.generation.streamers import BaseStreamer

import guided
from guided import GuidedGeneration, GuidedLogitsProcessor
from guided.controls import BanTokens, LogitBias
from guided.decoding import rng
from guided.errors import BudgetError, ControlError, DeadEndError, InputError, ModelError
from guided.hf import GuidedGenerationOutput
from guided.testing import tiny_model

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PROMPTS = ["Who?", "name (string), age (integer) JSON: ", '{"name": "Mira"} the fox ', "a", "jumps"]
NEW = 24
GREEDY = {"do_sample": False, "max_new_tokens": NEW}


@pytest.fixture(scope="module")
def owner() -> guided.Model:
    return tiny_model()


def encoded(owner: guided.Model, prompts: list[str]) -> dict[str, Tensor]:
    batch = owner.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def generated(
    owner: guided.Model, prompts: list[str], way: GuidedGeneration | None, **arguments: Any
) -> Tensor:
    found = owner.hf_model.generate(
        **encoded(owner, prompts), custom_generate=way, pad_token_id=0, **arguments
    )
    assert isinstance(found, Tensor)
    return found


def texts(owner: guided.Model, prompts: list[str], rows: Tensor) -> list[str]:
    width = encoded(owner, prompts)["input_ids"].shape[1]
    return list(owner.tokenizer.batch_decode(rows[:, width:], skip_special_tokens=True))


@pytest.mark.parametrize("draft", [None, "auto"])
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_greedy_tokens_are_those_of_generate_on_ragged_batches(
    owner: guided.Model, rows: int, draft: Any
) -> None:
    way = GuidedGeneration(None, owner.tokenizer, draft=draft)
    ours = generated(owner, PROMPTS[:rows], way, **GREEDY)
    theirs = generated(owner, PROMPTS[:rows], None, **GREEDY)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "arguments",
    [
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 9},
        {"bad_words_ids": [[40], [41, 42]]},
        {"suppress_tokens": [40, 41]},
        {"begin_suppress_tokens": [40, 60]},
        {"forced_eos_token_id": 0},
        {"sequence_bias": [[[50], 4.0]]},
        {"exponential_decay_length_penalty": (4, 1.6)},
        {"max_length": 40, "max_new_tokens": None},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_greedy_tokens_are_those_of_generate_under_its_own_processors(
    owner: guided.Model, arguments: dict[str, Any]
) -> None:
    given = {**GREEDY, **arguments}
    ours = generated(owner, PROMPTS, GuidedGeneration(None, owner.tokenizer), **given)
    assert torch.equal(ours, generated(owner, PROMPTS, None, **given))


def test_allowed_tokens_of_each_prompt_hold_on_their_own_rows(owner: guided.Model) -> None:
    def allowed(prompt: int, prefix: Tensor) -> list[int]:
        return [60 + prompt, 70 + len(prefix) % 3]

    given = {**GREEDY, "prefix_allowed_tokens_fn": allowed}
    way = GuidedGeneration(None, owner.tokenizer)
    assert torch.equal(
        generated(owner, PROMPTS, way, **given), generated(owner, PROMPTS, None, **given)
    )


def test_a_mask_is_not_needed_where_there_is_no_padding(owner: guided.Model) -> None:
    ids = encoded(owner, PROMPTS[:1])["input_ids"]
    way = GuidedGeneration(None, owner.tokenizer)
    given = {"pad_token_id": 0, **GREEDY}
    ours = owner.hf_model.generate(ids, custom_generate=way, **given)
    assert torch.equal(ours, owner.hf_model.generate(ids, **given))


@pytest.mark.parametrize("do_sample", [False, True])
def test_outputs_of_a_schema_are_complete_within_the_limit(
    owner: guided.Model, do_sample: bool
) -> None:
    way = GuidedGeneration(PERSON, owner.tokenizer)
    rows = generated(owner, PROMPTS, way, do_sample=do_sample, max_new_tokens=NEW, seed=1)
    for text in texts(owner, PROMPTS, rows):
        assert set(json.loads(text)) == {"name", "age"}


def test_each_prompt_may_have_controls_of_its_own(owner: guided.Model) -> None:
    way = GuidedGeneration([PERSON, [list[int], BanTokens([60])]], owner.tokenizer)
    given = {"do_sample": True, "num_return_sequences": 2, "max_new_tokens": 32, "seed": 3}
    found = texts(owner, PROMPTS[:2], generated(owner, PROMPTS[:2], way, **given))
    assert [type(json.loads(text)) for text in found] == [dict, dict, list, list]


def test_the_processor_of_the_same_schema_gives_the_same_greedy_tokens(
    owner: guided.Model,
) -> None:
    processor = GuidedLogitsProcessor(PERSON, owner, max_new_tokens=NEW)
    ours = generated(owner, PROMPTS, GuidedGeneration(PERSON, owner), **GREEDY)
    theirs = generated(owner, PROMPTS, None, logits_processor=[processor], **GREEDY)
    assert torch.equal(ours, theirs)
    native = GuidedGeneration(None, owner)
    again = generated(owner, PROMPTS, native, logits_processor=[processor], **GREEDY)
    assert torch.equal(again, theirs)


def test_equal_seeds_give_equal_samples_and_others_do_not(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    given = {"do_sample": True, "max_new_tokens": NEW}
    first = generated(owner, PROMPTS, way, seed=5, **given)
    assert torch.equal(first, generated(owner, PROMPTS, way, seed=5, **given))
    assert not torch.equal(first, generated(owner, PROMPTS, way, seed=6, **given))


def test_without_a_seed_the_generator_of_torch_decides(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(generated(owner, PROMPTS[:1], way, do_sample=True, max_new_tokens=NEW))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_sampling_options_are_those_of_guided(owner: guided.Model) -> None:
    options = {"temperature": 0.8, "top_k": 9, "top_p": 0.9, "repetition_penalty": 1.2}
    results = guided.run(owner, PROMPTS, heal=False, seed=4, max_new_tokens=NEW, **options)
    way = GuidedGeneration(None, owner)
    rows = generated(owner, PROMPTS, way, do_sample=True, seed=4, max_new_tokens=NEW, **options)
    width = encoded(owner, PROMPTS)["input_ids"].shape[1]
    for row, result in zip(rows[:, width:].tolist(), results, strict=True):
        assert tuple(row[: len(result.tokens)]) == result.tokens


def test_return_sequences_differ_and_stand_by_their_prompt(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    given = {"do_sample": True, "num_return_sequences": 3, "seed": 2, "max_new_tokens": NEW}
    rows = generated(owner, PROMPTS[:2], way, **given)
    ids = encoded(owner, PROMPTS[:2])["input_ids"]
    assert rows.shape[0] == 6
    assert torch.equal(rows[:, : ids.shape[1]], ids.repeat_interleave(3, dim=0))
    assert len({tuple(row) for row in rows.tolist()}) == 6


class Collector(BaseStreamer):  # type: ignore[misc]
    """What a streamer is handed, and whether it was told the end."""

    def __init__(self) -> None:
        self.parts: list[list[int]] = []
        self.ended = 0

    def put(self, value: Tensor) -> None:
        self.parts.append(value.flatten().tolist())

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("controls", [None, PERSON])
@pytest.mark.parametrize("is_named", [True, False])
def test_a_streamer_gets_the_prompt_then_every_new_token_once(
    owner: guided.Model, controls: Any, is_named: bool
) -> None:
    streamer = Collector()
    way = GuidedGeneration(controls, owner.tokenizer, streamer=None if is_named else streamer)
    named = {"text_streamer": streamer} if is_named else {}
    rows = generated(owner, PROMPTS[2:3], way, **named, **GREEDY)
    width = encoded(owner, PROMPTS[2:3])["input_ids"].shape[1]
    assert streamer.parts[0] == rows[0, :width].tolist()
    assert streamer.parts[1:] == [[token] for token in rows[0, width:].tolist()]
    assert streamer.ended == 1


class AtLength(StoppingCriteria):  # type: ignore[misc]
    """Stops each row at a length of its own."""

    def __init__(self, lengths: dict[int, int]) -> None:
        self.lengths = lengths

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        first = input_ids[:, -1] if input_ids.shape[1] < 1 else input_ids[:, 0]
        ends = [self.lengths.get(int(token), 1 << 30) for token in first]
        return torch.tensor([input_ids.shape[1] >= end for end in ends])


def test_a_criterion_ends_a_row_inside_of_accepted_drafts(owner: guided.Model) -> None:
    prompts = ["1, 2, 3, 1, 2, 3, 1, 2, "]
    ids = encoded(owner, prompts)["input_ids"]
    for extra in (1, 2, 3, 5, 8):
        criterion = AtLength({int(ids[0, 0]): ids.shape[1] + extra})
        given = {**GREEDY, "stopping_criteria": [criterion]}
        ours = generated(owner, prompts, GuidedGeneration(None, owner.tokenizer), **given)
        assert ours.shape[1] == ids.shape[1] + extra
        assert torch.equal(ours, generated(owner, prompts, None, **given))


def test_criteria_hold_for_each_row_by_itself(owner: guided.Model) -> None:
    ids = encoded(owner, PROMPTS[1:3])["input_ids"]
    criterion = AtLength({int(ids[0, 0]): ids.shape[1] + 2, int(ids[1, 0]): ids.shape[1] + 7})
    given = {**GREEDY, "stopping_criteria": [criterion]}
    ours = generated(owner, PROMPTS[1:3], GuidedGeneration(None, owner.tokenizer), **given)
    assert torch.equal(ours, generated(owner, PROMPTS[1:3], None, **given))


def test_stop_strings_end_where_generate_ends(owner: guided.Model) -> None:
    plain = texts(owner, PROMPTS[:1], generated(owner, PROMPTS[:1], None, **GREEDY))[0]
    stop = plain[len(plain) // 2 : len(plain) // 2 + 2]
    given = {**GREEDY, "stopping_criteria": [StopStringCriteria(owner.tokenizer, [stop])]}
    ours = generated(owner, PROMPTS[:1], GuidedGeneration(None, owner.tokenizer), **given)
    assert torch.equal(ours, generated(owner, PROMPTS[:1], None, **given))


def test_a_time_limit_ends_every_row(owner: guided.Model) -> None:
    ids = encoded(owner, PROMPTS)["input_ids"]
    given = {**GREEDY, "stopping_criteria": [MaxTimeCriteria(max_time=0.0)]}
    rows = generated(owner, PROMPTS, GuidedGeneration(None, owner.tokenizer), **given)
    assert rows.shape[1] == ids.shape[1] + 1


def test_a_pure_processor_of_the_caller_counts_columns_as_in_generate(
    owner: guided.Model,
) -> None:
    class ByColumn(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            bias = torch.zeros_like(scores)
            bias[:, 50 + input_ids.shape[1] % 7] = 6.0
            return scores + bias

    given = {**GREEDY, "logits_processor": [ByColumn()]}
    ours = generated(owner, PROMPTS, GuidedGeneration(None, owner.tokenizer), **given)
    assert torch.equal(ours, generated(owner, PROMPTS, None, **given))


def test_a_processor_with_a_memory_is_refused(owner: guided.Model) -> None:
    class Counting(LogitsProcessor):  # type: ignore[misc]
        calls = 0

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            self.calls += 1
            return scores + self.calls * torch.arange(scores.shape[1])

    way = GuidedGeneration(None, owner.tokenizer)
    with pytest.raises(ControlError, match="Counting is no pure function"):
        generated(owner, PROMPTS, way, logits_processor=[Counting()], **GREEDY)


def test_the_whole_output_has_what_every_token_was_worth(owner: guided.Model) -> None:
    found = owner.hf_model.generate(
        **encoded(owner, PROMPTS),
        custom_generate=GuidedGeneration(PERSON, owner.tokenizer),
        pad_token_id=0,
        return_dict_in_generate=True,
        **GREEDY,
    )
    assert isinstance(found, GuidedGenerationOutput)
    plain = generated(owner, PROMPTS, GuidedGeneration(PERSON, owner.tokenizer), **GREEDY)
    assert torch.equal(found.sequences, plain)
    new = plain.shape[1] - encoded(owner, PROMPTS)["input_ids"].shape[1]
    assert found.log_p.shape == found.log_q.shape == (len(PROMPTS), new)
    assert bool((found.log_p[:, 0] < 0).all())
    assert set(found.finish_reasons) <= {"complete", "budget"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_beams", 2),
        ("prompt_lookup_num_tokens", 3),
        ("assistant_early_exit", 1),
        ("cache_implementation", "static"),
        ("use_cache", False),
        ("output_scores", True),
        ("output_logits", True),
        ("output_attentions", True),
        ("output_hidden_states", True),
        ("prefill_chunk_size", 4),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    owner: guided.Model, name: str, value: Any
) -> None:
    given = {**GREEDY, name: value}
    if name.startswith("output_"):
        given["return_dict_in_generate"] = True
    way = GuidedGeneration(None, owner.tokenizer)
    with pytest.raises(InputError, match=name):
        generated(owner, PROMPTS[:1], way, **given)


def test_a_cache_of_the_caller_is_refused(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    ids = encoded(owner, PROMPTS[:1])["input_ids"]
    # transformers 5.24 has renamed the argument.
    names = inspect.signature(owner.hf_model.forward).parameters
    name = "cache" if "cache" in names else "past_key_values"
    with pytest.raises(InputError, match=name):
        owner.hf_model.generate(ids, custom_generate=way, **{name: DynamicCache()}, **GREEDY)


def test_padding_on_the_right_is_refused(owner: guided.Model) -> None:
    batch = encoded(owner, PROMPTS[1:2])
    batch["attention_mask"][0, -1] = 0
    with pytest.raises(InputError, match="attention_mask"):
        owner.hf_model.generate(
            **batch, custom_generate=GuidedGeneration(None, owner.tokenizer), **GREEDY
        )


def test_other_positions_are_refused(owner: guided.Model) -> None:
    batch = encoded(owner, PROMPTS[1:2])
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None] + 3
    with pytest.raises(InputError, match="position_ids"):
        owner.hf_model.generate(
            **batch, custom_generate=GuidedGeneration(None, owner.tokenizer), **GREEDY
        )


def test_a_streamer_for_several_rows_is_refused(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer, streamer=Collector())
    with pytest.raises(InputError, match="streamer"):
        generated(owner, PROMPTS, way, **GREEDY)


def test_a_model_in_training_mode_is_refused(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    owner.hf_model.train()
    try:
        with pytest.raises(ModelError, match="eval"):
            generated(owner, PROMPTS[:1], way, **GREEDY)
    finally:
        owner.hf_model.eval()


def test_controls_that_do_not_fit_the_prompts_are_refused(owner: guided.Model) -> None:
    way = GuidedGeneration([PERSON, PERSON], owner.tokenizer)
    with pytest.raises(ControlError, match="2 controls"):
        generated(owner, PROMPTS[:3], way, **GREEDY)
    with pytest.raises(InputError, match="tokenizer"):
        GuidedGeneration(PERSON)
    with pytest.raises(ControlError, match="no grammar"):
        GuidedGeneration([], owner.tokenizer)


def test_a_limit_that_is_too_small_is_an_error_that_says_what_suffices(
    owner: guided.Model,
) -> None:
    way = GuidedGeneration(PERSON, owner.tokenizer)
    with pytest.raises(BudgetError, match="suffice"):
        generated(owner, PROMPTS, way, do_sample=False, max_new_tokens=3)


def test_a_processor_that_leaves_no_token_is_an_error(owner: guided.Model) -> None:
    way = GuidedGeneration(bool, owner.tokenizer)
    with pytest.raises(DeadEndError):
        generated(owner, PROMPTS[:1], way, min_new_tokens=20, **GREEDY)


def test_stop_tokens_of_the_call_count(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    plain = generated(owner, PROMPTS[:1], None, **GREEDY)
    width = encoded(owner, PROMPTS[:1])["input_ids"].shape[1]
    stop = int(plain[0, width + 3])
    given = {**GREEDY, "eos_token_id": [0, stop]}
    ours = generated(owner, PROMPTS[:1], way, **given)
    assert torch.equal(ours, generated(owner, PROMPTS[:1], None, **given))
    with pytest.raises(ControlError, match="stop_ids differ"):
        generated(owner, PROMPTS[:1], GuidedGeneration(None, owner), **given)


def test_controls_without_a_grammar_work_too(owner: guided.Model) -> None:
    way = GuidedGeneration(LogitBias({70: 50.0}), owner.tokenizer)
    rows = generated(owner, PROMPTS[:1], way, **GREEDY)
    width = encoded(owner, PROMPTS[:1])["input_ids"].shape[1]
    assert set(rows[0, width:].tolist()) == {70}


def test_a_row_draws_the_same_alone_and_in_a_batch(owner: guided.Model) -> None:
    way = GuidedGeneration(None, owner.tokenizer)
    given = {"do_sample": True, "max_new_tokens": NEW, "seed": 9}
    both = texts(owner, PROMPTS, generated(owner, PROMPTS, way, **given))
    for prompt, text in zip(PROMPTS, both, strict=True):
        assert texts(owner, [prompt], generated(owner, [prompt], way, **given)) == [text]
    assert rng.stream(9, (1,), 0) != rng.stream(9, (1,), 1)
