"""generate: typed values from prompts, for every output type and shape of call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import pytest
from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator
from typing_extensions import TypedDict

import guided
from guided.controls import BanTokens, Temperature, TopK
from guided.errors import (
    BudgetError,
    ControlError,
    InputError,
    ModelError,
    SchemaError,
    ValidationFailedError,
    VocabularyError,
)
from guided.grammars.vocabulary import Vocabulary
from guided.testing import byte_tokenizer, fake_model, table_model, tiny_model


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def book_table(people: int, outdoors: bool = False) -> str:
    """Books a table."""
    return f"{people} {outdoors}"


MIRA = '{"name": "Mira", "age": 31, "hobbies": ["chess", "rowing"]}'


def test_the_readme_example() -> None:
    model = fake_model(MIRA)
    person = guided.generate(model, "Mira is 31 and likes chess and rowing.", schema=Person)
    assert person == Person(name="Mira", age=31, hobbies=["chess", "rowing"])


def shown(value: object) -> str:
    """A parameter in the name of its test: addresses differ from one process to another."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (Person, MIRA, Person(name="Mira", age=31, hobbies=["chess", "rowing"])),
        (Point, '{"x": 3, "y": -4}', Point(3, -4)),
        (Movie, '{"title": "Heat", "year": 1995}', {"title": "Heat", "year": 1995}),
        (Color, '"blue"', Color.BLUE),
        (Literal["a", 3], "3", 3),
        (int | str, '"x"', "x"),
        (Optional[int], "null", None),  # noqa: UP045
        (list[Point], '[{"x": 1, "y": 2}]', [Point(1, 2)]),
        (dict[str, int], '{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        (Annotated[int, Gt(5)], "7", 7),
        (book_table, '{"people": 4, "outdoors": true}', {"people": 4, "outdoors": True}),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ('{"type": "boolean"}', "true", True),
    ],
    ids=shown,
)
def test_every_kind_of_output_type(schema: Any, text: str, value: Any) -> None:
    assert guided.generate(fake_model(text), "Say: ", schema=schema) == value


def test_text_outputs() -> None:
    assert guided.generate(fake_model("hello there"), "Say: ") == "hello there"
    assert (
        guided.generate(fake_model("2024-05-01"), "When? ", regex=r"\d{4}-\d\d-\d\d")
        == "2024-05-01"
    )
    assert guided.generate(fake_model("yes"), "Sure? ", choices=["yes", "no"]) == "yes"
    grammar = 'start: "a" start "b" | "ab"'
    assert guided.generate(fake_model("aabb"), "Say: ", grammar=grammar) == "aabb"


RANDOM: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    ({"schema": Person}, lambda t: bool(TypeAdapter(Person).validate_json(t))),
    ({"schema": list[Color]}, lambda t: isinstance(json.loads(t), list)),
    ({"schema": Movie, "whitespace": "compact"}, lambda t: json.dumps(json.loads(t)) != t),
    ({"regex": r"(ab|c)+d?"}, lambda t: re.fullmatch(r"(ab|c)+d?", t) is not None),
    ({"choices": ["red", "green", "blue"]}, lambda t: t in ("red", "green", "blue")),
    ({"grammar": 'start: "(" start* ")"'}, lambda t: t.count("(") == t.count(")")),
]


@pytest.mark.parametrize(("options", "check"), RANDOM, ids=lambda x: shown(x)[:30])
@pytest.mark.parametrize("limit", [24, 60])
def test_a_random_model_always_gives_complete_valid_output(
    options: dict[str, Any], check: Callable[[str], bool], limit: int
) -> None:
    results = guided.run(
        tiny_model(), ["Tell me: ", "x"], **options, n=3, temperature=1.0, max_new_tokens=limit
    )
    for result in [result for group in results for result in group]:
        assert check(result.text)
        assert len(result.tokens) <= limit + 4
        assert result.finish_reason in ("stop", "complete", "budget")


def test_shapes_of_prompts_and_n() -> None:
    model, options = tiny_model(), {"choices": ["a", "b"], "temperature": 1.0}
    assert guided.generate(model, "x", **options) in ("a", "b")
    assert len(guided.generate(model, "x", n=3, **options)) == 3
    assert len(guided.generate(model, ["x"], **options)) == 1
    assert [len(group) for group in guided.generate(model, ["x", "y"], n=3, **options)] == [3, 3]
    assert guided.generate(model, [], **options) == []


def test_every_prompt_may_have_its_own_output_type() -> None:
    model = fake_model({"first": "7", "second": '"red"', "third": "free"})
    values = guided.generate(model, ["first: ", "second: ", "third: "], schema=[int, Color, None])
    assert values == [7, Color.RED, "free"]
    words = guided.generate(tiny_model(), ["x", "y"], choices=[["a", "b"], ["c"]])
    assert words[0] in "ab"
    assert words[1] == "c"


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_output_types_as_prompts(count: int) -> None:
    with pytest.raises(InputError, match=f"list of {count} but there are 2 prompts"):
        guided.generate(tiny_model(), ["a", "b"], schema=[int] * count)


def test_a_list_of_types_needs_a_list_of_prompts() -> None:
    with pytest.raises(InputError, match="one prompt"):
        guided.generate(tiny_model(), "a", schema=[int])


def test_a_row_is_the_same_alone_and_in_a_batch() -> None:
    prompts = ["One: ", "A longer second prompt: ", "3"]
    options: dict[str, Any] = {"temperature": 1.0, "seed": 11, "max_new_tokens": 40}
    together = guided.run(tiny_model(), prompts, schema=[Person, Movie, None], n=2, **options)
    for prompt, schema, group in zip(prompts, [Person, Movie, None], together, strict=True):
        alone = guided.run(tiny_model(), prompt, schema=schema, n=2, **options)
        assert [r.tokens for r in alone] == [r.tokens for r in group]
        assert alone[0].tokens == guided.run(tiny_model(), prompt, schema=schema, **options).tokens
    small = guided.run(
        tiny_model(), prompts, schema=[Person, Movie, None], n=2, batch_size=1, **options
    )
    assert [[r.tokens for r in g] for g in small] == [[r.tokens for r in g] for g in together]


def test_equal_prompts_in_a_list_get_different_draws() -> None:
    texts = guided.generate(tiny_model(), ["x"] * 6, temperature=1.0, max_new_tokens=6)
    assert len(set(texts)) > 3
    other = guided.generate(tiny_model(), ["x"] * 6, temperature=1.0, max_new_tokens=6, seed=1)
    assert texts != other


def test_a_budget_too_small_is_an_error_before_any_forward_pass() -> None:
    model = fake_model(MIRA)
    model.network.forward = None  # type: ignore[assignment]
    with pytest.raises(BudgetError, match="suffice") as caught:
        guided.generate(model, "x", schema=Person, max_new_tokens=8)
    needed = caught.value.needed
    text = guided.generate(fake_model(MIRA), "x", schema=Person, max_new_tokens=needed)
    assert isinstance(text, Person)


def test_the_budget_closes_in_time_and_says_so() -> None:
    model = fake_model('["' + "very " * 50)
    result = guided.run(model, "x", schema=list[str], max_new_tokens=20)
    assert result.finish_reason == "budget"
    assert result.value[0].startswith("very very")
    assert len(result.tokens) <= 20


def test_greedy_free_text_is_that_of_hugging_face() -> None:
    import torch

    model = tiny_model()
    prompt = "The quick brown "
    ids = torch.tensor([model.encode(prompt)])
    expected = model.hf_model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False
    )
    result = guided.run(model, prompt, heal=False, max_new_tokens=10)
    assert list(result.tokens) == expected[0, ids.shape[1] :].tolist()
    assert result.finish_reason in ("length", "stop")


def test_sampling_follows_the_models_generation_config() -> None:
    model = tiny_model(1)
    config = model.hf_model.generation_config
    config.do_sample, config.temperature, config.max_new_tokens = True, 3.0, 7
    drawn = guided.run(model, "x", n=4)
    assert {len(result.tokens) for result in drawn} == {7}
    assert len({result.tokens for result in drawn}) == 4
    assert len({guided.run(model, "x", temperature=0).tokens for _ in range(2)}) == 1
    hot = guided.run(model, "x", n=4, controls=[Temperature(0.001)])
    assert len({result.tokens for result in hot}) == 1


def test_what_can_have_no_effect_is_refused() -> None:
    for options in ({"n": 2}, {"retries": 1}, {"top_p": 0.5}, {"top_k": 3}, {"min_p": 0.1}):
        with pytest.raises(InputError, match="greedy"):
            guided.generate(tiny_model(), "x", **options)


def test_a_refused_value_raises_with_the_text() -> None:
    class Adult(BaseModel):
        age: int

        @field_validator("age")
        @classmethod
        def is_adult(cls, age: int) -> int:
            if age < 18:
                raise ValueError("too young")
            return age

    with pytest.raises(ValidationFailedError, match="too young") as caught:
        guided.generate(fake_model('{"age": 7}'), "x", schema=Adult)
    assert caught.value.text == '{"age": 7}'


def test_retries_decode_again_with_other_draws() -> None:
    class Lucky(BaseModel):
        number: Literal[1, 2, 3, 4]

        @field_validator("number")
        @classmethod
        def is_lucky(cls, number: int) -> int:
            if number != 3:
                raise ValueError("unlucky")
            return number

    result = guided.run(
        tiny_model(), "x", schema=Lucky, temperature=1.0, retries=60, max_new_tokens=14
    )
    assert result.value.number == 3
    seeds = range(4)
    tries = [
        guided.run(
            tiny_model(),
            "x",
            schema=Lucky,
            temperature=1.0,
            retries=60,
            max_new_tokens=14,
            seed=seed,
        )
        for seed in seeds
    ]
    assert any(result.usage.discarded > 0 for result in tries)


def test_stop_strings_cut_exactly_over_token_boundaries() -> None:
    for text, stop, expected in (
        ("one two. three", "two", "one "),
        ("one two. three", ["wo. th", "ree"], "one t"),
        ("Straße naïve", "e n", "Straß"),
    ):
        result = guided.run(fake_model(text, byte_tokenizer([text] * 9, 300)), "x ", stop=stop)
        assert (result.text, result.finish_reason) == (expected, "stop_string")
    result = guided.run(fake_model("abcabc"), "x", regex="[abc]+", stop="ca")
    assert result.text == "ab"


def test_stop_strings_are_not_searched_in_a_healed_prompt_end() -> None:
    model = fake_model(" elephants eat ants", byte_tokenizer(["go to elephants"] * 9, 300))
    result = guided.run(model, "See the elephan", stop=["phan", "ants"])
    assert (result.text, result.finish_reason) == ("ts eat ", "stop_string")


def test_a_model_without_stop_tokens_ends_where_the_grammar_does() -> None:
    tiny = tiny_model()
    vocabulary = Vocabulary.from_tokens(tiny.vocabulary.tokens, [], width=tiny.vocabulary.size)
    model = guided.Model(tiny.hf_model, tiny.tokenizer, vocabulary=vocabulary)
    assert guided.generate(model, "x", regex="ab?") in ("a", "ab")
    result = guided.run(model, "x", regex="a+", max_new_tokens=4)
    assert (set(result.text), result.finish_reason) == ({"a"}, "budget")


def test_stop_strings_do_not_go_with_a_schema() -> None:
    with pytest.raises(InputError, match="stop"):
        guided.generate(tiny_model(), "x", schema=int, stop=".")


def test_thinking_then_structure() -> None:
    model = fake_model("Let me see. It is 7.</think>7")
    result = guided.run(model, "How many? ", schema=int, after="</think>")
    assert (result.value, result.thinking) == (7, "Let me see. It is 7.")
    assert result.text.endswith("</think>7")
    assert result.fields[""].text == "7"


def test_a_thinking_budget_forces_the_trigger() -> None:
    model = fake_model("hmm " * 100)
    result = guided.run(model, "x", schema=int, after="</think>", thinking_budget=9)
    assert result.thinking == ("hmm " * 3)[:9]
    assert isinstance(result.value, int)


def test_a_trigger_may_be_a_special_token() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<answer>"]})
    special = tokenizer.convert_tokens_to_ids("<answer>")
    model = fake_model("It is <answer> 7", tokenizer)
    result = guided.run(model, "x", schema=int, after="<answer>", thinking_budget=6)
    assert special in result.tokens
    assert result.thinking == "It is "
    assert isinstance(result.value, int)
    assert result.fields[""].text == str(result.value)


def test_a_prompt_that_ends_inside_a_token_is_healed() -> None:
    tokenizer = byte_tokenizer(["go to elephants"] * 9, 300)
    model = fake_model(" elephants are big", tokenizer)
    assert len(tokenizer(" elephants").input_ids) == 1
    healed = guided.run(model, "See the eleph", max_new_tokens=15)
    assert healed.text.startswith("ants are")
    assert tokenizer.decode(healed.tokens[:1]) == " elephants"
    crippled = guided.run(model, "See the eleph", max_new_tokens=15, heal=False)
    assert tokenizer.decode(crippled.tokens[:1]) != " elephants"
    regex = guided.run(model, "See the eleph", regex="ants are")
    assert (regex.text, tokenizer.decode(regex.tokens[:1])) == ("ants are", " elephants")


def test_a_budget_error_counts_as_the_user_did_where_the_prompt_is_healed() -> None:
    tokenizer = byte_tokenizer(["go to elephants"] * 9, 300)
    model = fake_model(" elephants are big", tokenizer)
    assert len(tokenizer(" elephants").input_ids) == 1
    with pytest.raises(BudgetError, match="max_new_tokens=1 is too few") as caught:
        guided.generate(model, "See the eleph", choices=["ants are big"], max_new_tokens=1)
    needed = caught.value.needed
    text = guided.generate(model, "See the eleph", choices=["ants are big"], max_new_tokens=needed)
    assert text == "ants are big"


def test_healing_changes_nothing_where_nothing_extends_the_end() -> None:
    model = table_model(4)
    plain = guided.run(model, "abc", heal=False, temperature=1.0, max_new_tokens=5)
    assert guided.run(model, "abc", temperature=1.0, max_new_tokens=5).tokens == plain.tokens


def test_chat_messages_go_through_the_template() -> None:
    model = fake_model({"<user>Who?\n<assistant>": '"Mira"'}, tiny_model().tokenizer)
    chat = [{"role": "user", "content": "Who?"}]
    assert guided.generate(model, chat, schema=str) == "Mira"
    assert guided.generate(model, [chat, chat], schema=str) == ["Mira", "Mira"]
    with pytest.raises(InputError, match="chat template"):
        guided.generate(fake_model("x"), chat)


def test_more_than_one_constraint_is_refused() -> None:
    with pytest.raises(InputError, match="schema and regex contradict"):
        guided.generate(tiny_model(), "x", schema=int, regex="a")


def test_unknown_options_are_type_errors() -> None:
    with pytest.raises(TypeError, match="temprature"):
        guided.generate(tiny_model(), "x", temprature=1.0)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="temprature"):
        guided.stream(tiny_model(), "x", temprature=1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("prompt", "options", "error", "message"),
    [
        ("x", {"schema": "{"}, SchemaError, "not valid JSON"),
        ("x", {"schema": {"type": {1}}}, SchemaError, "no JSON document"),
        ("x", {"schema": object()}, InputError, "cannot be an output type"),
        ("x", {"schema": lambda *args: 0}, InputError, "by name"),
        ("x", {"choices": []}, InputError, "non-empty list"),
        ("x", {"choices": "abc"}, InputError, "non-empty list"),
        ("x", {"n": 0}, InputError, "n must be at least 1"),
        ("x", {"max_new_tokens": 0}, InputError, "at least 1"),
        ("x", {"temperature": -1.0}, InputError, "negative"),
        ("x", {"temperature": 1.0, "top_p": 2.0}, ControlError, "top-p"),
        ("x", {"after": "</think>"}, InputError, "after= needs"),
        ("x", {"schema": int, "thinking_budget": 3}, InputError, "needs after="),
        ("x", {"describe": "fields"}, InputError, "describe= needs"),
        ("x", {"schema": int, "describe": "field"}, InputError, "unknown"),
        ("x", {"controls": [TopK(1), TopK(2)]}, ControlError, "TopK"),
        ("x", {"controls": [BanTokens([100000])]}, ControlError, "outside"),
        ("", {}, InputError, "no tokens"),
        (3, {}, InputError, "a prompt is text"),
        ("x" * 5000, {}, InputError, "the model's context holds"),
    ],
    ids=shown,
)
def test_bad_input_is_a_typed_error_before_any_forward_pass(
    prompt: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = tiny_model()
    forward, model.network.forward = model.network.forward, None  # type: ignore[assignment]
    try:
        with pytest.raises(error, match=message):
            guided.generate(model, prompt, **options)
    finally:
        model.network.forward = forward  # type: ignore[method-assign]


def test_models_that_are_not_decoder_only_are_refused() -> None:
    from transformers import BertConfig, BertModel, T5Config, T5ForConditionalGeneration

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 300}
    bert = BertModel(BertConfig(**small, intermediate_size=8))
    t5 = T5ForConditionalGeneration(
        T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=1, vocab_size=300)
    )
    for hf_model, message in (
        (bert, "cannot generate"),
        (t5, "encoder-decoder"),
        (3, "no Hugging"),
    ):
        with pytest.raises(ModelError, match=message):
            guided.Model(hf_model, byte_tokenizer())


def test_loading_what_is_not_there_is_a_model_error(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match="cannot load"):
        guided.load(str(tmp_path))


def test_an_encoder_decoder_folder_is_refused_before_its_weights_are_read(tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    with pytest.raises(ModelError, match="encoder-decoder"):
        guided.load(str(tmp_path))


def test_a_saved_model_loads_and_generates(tmp_path: Any) -> None:
    tiny = tiny_model()
    tiny.hf_model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    import torch

    loaded = guided.load(str(tmp_path), dtype=torch.float64)
    options: dict[str, Any] = {"schema": Person, "max_new_tokens": 50}
    assert guided.generate(loaded, "x", **options) == guided.generate(tiny, "x", **options)


def test_logits_narrower_than_the_vocabulary_are_an_error() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=100, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1,
    )  # fmt: skip
    with pytest.raises(VocabularyError, match="100"):
        guided.Model(LlamaForCausalLM(config), byte_tokenizer())


def test_a_tokenizer_without_byte_mapping_is_an_error() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.raises(VocabularyError):
        guided.Model(tiny_model().hf_model, tokenizer)


def test_a_choice_that_no_tokens_spell_is_an_error() -> None:
    with pytest.raises(VocabularyError, match="spell"):
        guided.generate(table_model(3), "a", choices=["xyz"])


def test_a_tokenizer_that_ends_every_text_with_a_stop_token() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer()
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 0)]
    )
    assert tokenizer("hi").input_ids[-1] == 0
    model = fake_model("yes", tokenizer)
    assert model.encode("hi")[-1] != 0
    assert guided.generate(model, "hi") == "yes"


def test_a_narrower_forward_than_promised_is_an_error() -> None:
    model = table_model(4)
    model.network.width = 5
    with pytest.raises(VocabularyError, match="4 columns"):
        guided.generate(model, "a")


def test_a_wrapped_model_keeps_its_cache_and_positions() -> None:
    import torch

    class Adapter(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model, self.config, self.device = model, model.config, model.device
            self.generation_config = model.generation_config

        def get_base_model(self) -> Any:
            return self.model

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.model(*args, **kwargs)

    tiny = tiny_model()
    wrapped = guided.Model(Adapter(tiny.hf_model), tiny.tokenizer, vocabulary=tiny.vocabulary)
    options: dict[str, Any] = {"max_new_tokens": 8}
    prompts = ["x", "a longer one"]
    assert guided.generate(wrapped, prompts, **options) == guided.generate(tiny, prompts, **options)
    assert wrapped.network.has_cache


def test_ctrl_c_marks_results_and_raises_from_generate() -> None:
    model = fake_model("a" * 50)
    law = model.hf_model.law

    def interrupted(prefix: tuple[int, ...]) -> Any:
        if len(prefix) > 6:
            raise KeyboardInterrupt
        return law(prefix)

    model.hf_model.law = interrupted
    result = guided.run(model, "x", regex="a+")
    assert (result.finish_reason, result.value) == ("interrupt", None)
    assert result.text.startswith("aaaa")
    model.hf_model._laws.clear()
    late = guided.run(model, ["x", "y"], regex="a+", batch_size=1)
    assert [result.finish_reason for result in late] == ["interrupt", "interrupt"]
    assert late[1].tokens == ()
    model.hf_model._laws.clear()
    with pytest.raises(KeyboardInterrupt):
        guided.generate(model, "x", regex="a+")


def test_several_stop_ids_end_a_text() -> None:
    tiny = tiny_model(2)
    tiny.hf_model.generation_config.eos_token_id = [0, 5, 9]
    model = guided.Model(tiny.hf_model, tiny.tokenizer)
    assert model.vocabulary.stop_ids == {0, 5, 9}
    results = guided.run(model, "x", n=20, temperature=2.0, max_new_tokens=400, batch_size=64)
    ends = {result.tokens[-1] for result in results if result.finish_reason == "stop"}
    assert len(ends) > 1
    assert ends <= {0, 5, 9}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = 3


def test_describe_reaches_the_model() -> None:
    fields = "\nFields: a (integer, optional)\nJSON: "
    model = fake_model({"Do." + fields: '{"a": 9}'})
    assert guided.generate(model, "Do.", schema=Strict, describe="fields") == Strict(a=9)
