"""GuidedLogitsProcessor inside `generate` of transformers: every way of walking stays valid."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from guided.errors import (
    BudgetError,
    ControlError,
    DeadEndError,
    GuidedError,
    LogitsError,
    VocabularyError,
)
from guided.grammars.choices import choices
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.regex import regex
from guided.hf import GuidedLogitsProcessor

SEEDS = range(6)
BUDGET = 40
EOS, PAD = 0, 1
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PROMPTS = ["Who is it? ", "Ada, 36, said: age age age "]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte, a few merges that cross the borders of JSON, two specials."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [('"', ":"), ("a", "g"), ("ag", "e"), ('"', ","), ("{", '"'), ("1", "2")]
    words = ["<eos>", "<pad>", *letters, *("".join(pair) for pair in merges)]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", padding_side="left"
    )


def random_llama(seed: int, width: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=width,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=EOS,
        pad_token_id=PAD,
        bos_token_id=None,
        initializer_range=0.4,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def width(tokenizer: PreTrainedTokenizerFast) -> int:
    return len(tokenizer) + 3  # logits wider than the vocabulary, as many models have


@pytest.fixture(scope="module", params=SEEDS)
def seeded(request: pytest.FixtureRequest, width: int) -> LlamaForCausalLM:
    model = random_llama(request.param, width)
    torch.manual_seed(request.param)
    return model


@pytest.fixture(scope="module")
def model(width: int) -> LlamaForCausalLM:
    return random_llama(0, width)


@pytest.fixture(scope="module")
def person() -> Grammar:
    return json_schema(PERSON)


def outputs(model: Any, tokenizer: Any, prompts: list[str], **kwargs: Any) -> list[str]:
    """What `generate` adds to each prompt; fails if a row does not end with a stop token."""
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    rows = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=BUDGET,
        **kwargs,
    )
    added = rows[:, batch["input_ids"].shape[1] :]
    for row in added.tolist():
        assert EOS in row, "cut off before the end"
        after = row[row.index(EOS) :]
        assert set(after) <= {EOS, PAD}, "text after the stop token"
    return [tokenizer.decode(row, skip_special_tokens=True) for row in added]


def is_person(text: str) -> bool:
    found = json.loads(text)
    return (
        list(found) == ["name", "age"]
        and isinstance(found["name"], str)
        and type(found["age"]) is int
    )


MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "temperature": 1.3, "top_k": 20},
    "beam search": {"num_beams": 4},
    "beam search, all returned": {"num_beams": 4, "num_return_sequences": 4},
    "beam sampling": {"num_beams": 3, "do_sample": True},
    "several samples": {"do_sample": True, "num_return_sequences": 3},
}
ONE_ROW_MODES: dict[str, dict[str, Any]] = {
    "prompt lookup": {"prompt_lookup_num_tokens": 5},
    "prompt lookup, sampled": {"prompt_lookup_num_tokens": 5, "do_sample": True},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gives_prompts", [True, False])
def test_every_output_of_a_left_padded_batch_is_valid(
    seeded: Any, tokenizer: Any, person: Grammar, mode: str, gives_prompts: bool
) -> None:
    prompt_ids = tokenizer(PROMPTS, return_tensors="pt", padding=True) if gives_prompts else None
    processor = GuidedLogitsProcessor(
        person, tokenizer, prompt_ids=prompt_ids, max_new_tokens=BUDGET
    )
    texts = outputs(seeded, tokenizer, PROMPTS, logits_processor=[processor], **MODES[mode])
    assert len(texts) == len(PROMPTS) * MODES[mode].get("num_return_sequences", 1)
    assert all(is_person(text) for text in texts)


@pytest.mark.parametrize("mode", ONE_ROW_MODES)
def test_every_output_of_prompt_lookup_is_valid(
    seeded: Any, tokenizer: Any, person: Grammar, mode: str
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
    arguments = ONE_ROW_MODES[mode]
    (text,) = outputs(seeded, tokenizer, PROMPTS[1:], logits_processor=[processor], **arguments)
    assert is_person(text)


@pytest.mark.parametrize("sampled", [False, True])
def test_every_output_with_an_assistant_model_is_valid(
    seeded: Any, tokenizer: Any, person: Grammar, width: int, sampled: bool
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
    assistant = random_llama(99, width)
    (text,) = outputs(
        seeded,
        tokenizer,
        PROMPTS[:1],
        logits_processor=[processor],
        assistant_model=assistant,
        do_sample=sampled,
    )
    assert is_person(text)


@pytest.mark.parametrize("drafts", ["prompt lookup", "assistant", "assistant that is the model"])
def test_greedy_text_is_the_same_with_and_without_drafts(
    seeded: Any, tokenizer: Any, person: Grammar, width: int, drafts: str
) -> None:
    def run(**kwargs: Any) -> list[str]:
        processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
        return outputs(seeded, tokenizer, PROMPTS[1:], logits_processor=[processor], **kwargs)

    how = {
        "prompt lookup": lambda: {"prompt_lookup_num_tokens": 5},
        "assistant": lambda: {"assistant_model": random_llama(99, width)},
        "assistant that is the model": lambda: {"assistant_model": seeded},
    }[drafts]()
    assert run(**how) == run()


def test_masks_do_not_stick_to_the_scores_that_were_handed_in(
    tokenizer: Any, person: Grammar, width: int
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer)
    scores = torch.ones(1, width)
    masked = processor(torch.tensor([[5, 6]]), scores)
    assert torch.equal(scores, torch.ones(1, width))
    assert bool(masked.isinf().any())


DIFFERENT: list[tuple[Callable[[], Grammar], Callable[[str], bool]]] = [
    (lambda: json_schema(PERSON), is_person),
    (lambda: regex("[a-z]{3,9}-[0-9]+"), lambda t: bool(re.fullmatch("[a-z]{3,9}-[0-9]+", t))),
    (lambda: choices(["yes", "no", "maybe"]), lambda t: t in {"yes", "no", "maybe"}),
]


@pytest.mark.parametrize("mode", MODES)
def test_each_prompt_of_a_batch_has_its_own_grammar(seeded: Any, tokenizer: Any, mode: str) -> None:
    prompts = ["a person: ", "x ", "really? Is it? "]
    grammars = [make() for make, _ in DIFFERENT]
    processor = GuidedLogitsProcessor(grammars, tokenizer, max_new_tokens=BUDGET)
    arguments = MODES[mode]
    texts = outputs(seeded, tokenizer, prompts, logits_processor=[processor], **arguments)
    share = arguments.get("num_return_sequences", 1)
    for row, text in enumerate(texts):
        assert DIFFERENT[row // share][1](text), text


def test_one_processor_serves_many_calls(model: Any, tokenizer: Any, person: Grammar) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
    for prompts in (PROMPTS, PROMPTS, ["short"], ["another one, longer than the last"], PROMPTS):
        texts = outputs(model, tokenizer, prompts, logits_processor=[processor], do_sample=True)
        assert all(is_person(text) for text in texts)


def test_reset_names_the_prompts_of_the_next_call(
    model: Any, tokenizer: Any, person: Grammar
) -> None:
    first = tokenizer(PROMPTS[0], return_tensors="pt")
    second = tokenizer(PROMPTS[1], return_tensors="pt")
    processor = GuidedLogitsProcessor(person, tokenizer, prompt_ids=first, max_new_tokens=BUDGET)
    outputs(model, tokenizer, PROMPTS[:1], logits_processor=[processor])
    with pytest.raises(ControlError, match="does not begin with its prompt"):
        outputs(model, tokenizer, PROMPTS[1:], logits_processor=[processor])
    processor.reset(second["input_ids"])
    (text,) = outputs(model, tokenizer, PROMPTS[1:], logits_processor=[processor])
    assert is_person(text)


def test_a_conversation_that_grows_needs_a_reset(
    model: Any, tokenizer: Any, person: Grammar
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
    (text,) = outputs(model, tokenizer, ["Who? "], logits_processor=[processor])
    grown = [f"Who? {text} And who else? "]
    with pytest.raises(ControlError, match="reset"):
        outputs(model, tokenizer, grown, logits_processor=[processor])
    processor.reset()
    (text,) = outputs(model, tokenizer, grown, logits_processor=[processor])
    assert is_person(text)


def test_interleaved_generations_are_refused(tokenizer: Any, person: Grammar, width: int) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer)
    scores = torch.zeros(1, width)
    processor(torch.tensor([[5, 6]]), scores)
    processor(torch.tensor([[8, 9, 10]]), scores)
    with pytest.raises(ControlError, match="interleaved"):
        processor(torch.tensor([[5, 6, 7]]), scores)


@pytest.mark.parametrize("cache_bytes", [0, 3000])
def test_a_dropped_or_tiny_cache_changes_nothing(
    model: Any, tokenizer: Any, person: Grammar, cache_bytes: int
) -> None:
    def run(**kwargs: Any) -> list[str]:
        processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET, **kwargs)
        return outputs(model, tokenizer, PROMPTS, logits_processor=[processor], num_beams=3)

    assert run(cache_bytes=cache_bytes) == run()


def test_scores_follow_from_the_prefix_alone(tokenizer: Any, person: Grammar, width: int) -> None:
    prompt = [5, 6, 7]
    text = '{"name": "Bo", "age": 12'
    ids = tokenizer(text)["input_ids"]
    processor = GuidedLogitsProcessor(person, tokenizer, prompt_ids=[prompt])
    scores = torch.randn(1, width, generator=torch.Generator().manual_seed(1))
    lengths = list(range(len(ids) + 1))
    first = [processor(torch.tensor([[*prompt, *ids[:n]]]), scores) for n in lengths]
    for n in (9, 2, 14, 2, 0, 11):
        processor.drop_cache()
        assert torch.equal(processor(torch.tensor([[*prompt, *ids[:n]]]), scores), first[n])


def test_text_outside_of_the_grammar_may_only_stop(
    tokenizer: Any, person: Grammar, width: int
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, prompt_ids=[[5]])
    draft = tokenizer("no json")["input_ids"]
    masked = processor(torch.tensor([[5, *draft]]), torch.zeros(1, width))
    assert masked[0].isfinite().nonzero().flatten().tolist() == [EOS]


def test_more_rows_than_a_finite_grammar_has_texts_still_end(model: Any, tokenizer: Any) -> None:
    processor = GuidedLogitsProcessor(choices(["yes", "no"]), tokenizer, max_new_tokens=BUDGET)
    texts = outputs(model, tokenizer, PROMPTS, logits_processor=[processor], num_beams=4)
    assert set(texts) <= {"yes", "no"}


def test_a_budget_too_small_for_any_output_is_refused_before_the_first_call(
    tokenizer: Any, person: Grammar
) -> None:
    with pytest.raises(BudgetError) as caught:
        GuidedLogitsProcessor(person, tokenizer, max_new_tokens=5)
    GuidedLogitsProcessor(person, tokenizer, max_new_tokens=caught.value.needed)


def test_outputs_close_within_a_budget_that_just_suffices(
    model: Any, tokenizer: Any, person: Grammar
) -> None:
    with pytest.raises(BudgetError) as caught:
        GuidedLogitsProcessor(person, tokenizer, max_new_tokens=1)
    needed = caught.value.needed
    processor = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=needed)
    batch = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    rows = model.generate(
        **{name: batch[name] for name in ("input_ids", "attention_mask")},
        max_new_tokens=needed,
        logits_processor=[processor],
    )
    texts = tokenizer.batch_decode(rows[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    assert all(is_person(text) for text in texts)


def test_a_second_processor_that_forbids_everything_allowed_is_an_error(
    model: Any, tokenizer: Any
) -> None:
    processor = GuidedLogitsProcessor(choices(["yes", "no"]), tokenizer)
    with pytest.raises(DeadEndError, match="min_new_tokens"):
        outputs(model, tokenizer, PROMPTS, logits_processor=[processor], min_new_tokens=20)


def test_nan_scores_are_an_error(tokenizer: Any, person: Grammar, width: int) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer)
    with pytest.raises(LogitsError, match="NaN"):
        processor(torch.tensor([[5]]), torch.full((1, width), torch.nan))


def test_logits_narrower_than_the_vocabulary_are_an_error(tokenizer: Any, person: Grammar) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer)
    with pytest.raises(VocabularyError, match="columns"):
        processor(torch.tensor([[5]]), torch.zeros(1, 50))


def test_columns_beyond_the_vocabulary_are_never_chosen(
    tokenizer: Any, person: Grammar, width: int
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer)
    masked = processor(torch.tensor([[5]]), torch.zeros(1, width))
    assert bool(masked[0, len(tokenizer) :].isinf().all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"controls": []}, "no grammar"),
        ({"prompt_ids": [[1, 2], [3]]}, "rectangle"),
        ({"controls": None}, "neither a grammar"),
        ({"controls": [[None]]}, "neither a grammar"),
    ],
)
def test_contradictory_arguments_are_refused(
    tokenizer: Any, person: Grammar, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ControlError, match=message):
        GuidedLogitsProcessor(**{"controls": person, "vocabulary": tokenizer, **arguments})


def test_a_number_of_prompts_that_does_not_fit_the_grammars_is_refused(
    tokenizer: Any, person: Grammar, width: int
) -> None:
    with pytest.raises(ControlError, match="one for each prompt"):
        GuidedLogitsProcessor([person, person], tokenizer, prompt_ids=[[1], [2], [3]])
    processor = GuidedLogitsProcessor([person, person], tokenizer)
    with pytest.raises(ControlError, match="one for each prompt"):
        processor(torch.tensor([[5], [6], [7]]), torch.zeros(3, width))


def test_given_prompts_that_are_wider_than_the_rows_are_refused(
    tokenizer: Any, person: Grammar, width: int
) -> None:
    processor = GuidedLogitsProcessor(person, tokenizer, prompt_ids=[[5, 6, 7]])
    with pytest.raises(ControlError, match="columns"):
        processor(torch.tensor([[5, 6]]), torch.zeros(1, width))


def test_every_refusal_is_a_guided_error() -> None:
    assert issubclass(ControlError, GuidedError)
    assert issubclass(ControlError, ValueError)


@pytest.mark.parametrize("mode", ["beam search", "prompt lookup"])
def test_a_peer_that_counts_calls_raises_where_ours_holds(
    seeded: Any, tokenizer: Any, person: Grammar, width: int, mode: str
) -> None:
    # Why states are derived from input_ids. If this fails, the peer has mended it: good news.
    xgrammar = pytest.importorskip("xgrammar", reason="the peer xgrammar is not installed")
    hf = pytest.importorskip("xgrammar.contrib.hf")
    info = xgrammar.TokenizerInfo.from_huggingface(
        tokenizer, vocab_size=width, stop_token_ids=[EOS]
    )
    compiled = xgrammar.GrammarCompiler(info).compile_json_schema(json.dumps(PERSON))
    how = {**MODES, **ONE_ROW_MODES}[mode]

    ours = GuidedLogitsProcessor(person, tokenizer, max_new_tokens=BUDGET)
    texts = outputs(seeded, tokenizer, PROMPTS[1:], logits_processor=[ours], **how)
    assert all(is_person(text) for text in texts)
    prompt = tokenizer(PROMPTS[1:], return_tensors="pt")["input_ids"]
    with pytest.raises((AssertionError, RuntimeError)):
        seeded.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=BUDGET,
            logits_processor=[hf.LogitsProcessor(compiled)],
            **how,
        )
