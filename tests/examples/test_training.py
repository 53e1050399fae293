"""The training recipe of the embedded models, and the models that it made."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

from recipe.copying import make_copy_friendly  # noqa: E402
from recipe.decoding import decode  # noqa: E402
from recipe.domains import DOMAINS  # noqa: E402
from recipe.extraction import Example, Extraction  # noqa: E402
from recipe.fieldlist import object_schema  # noqa: E402
from recipe.mathrows import answer_of, drill_row, problem_rows  # noqa: E402
from recipe.model import BOS, EOS, LeanForward, Shape, build  # noqa: E402
from recipe.rows import extraction_rows, strings  # noqa: E402
from recipe.scoring import Rate, score  # noqa: E402
from recipe.splits import WORDS, is_held_out, words  # noqa: E402
from recipe.tokenizer import glue_words, train_tokenizer  # noqa: E402
from recipe.training import Plan, collate, train  # noqa: E402
from recipe.wordproblems import problem  # noqa: E402

SMALL = Shape(layers=3, width=32, heads=2, inner=48)
AWKWARD = ["Zoë Ünal\t–  naïve", "日本語 🙂\n", "a\r\nb\x00c", '{"k": ["v", 1.5]}', " leading", ""]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    source = Extraction(random.Random(0))
    made = [source.example() for _ in range(300)]
    values = [text for example in made for text in strings(example.value)]
    glued = glue_words((example.text for example in made), values, 50)
    return train_tokenizer((e.prompt() + e.answer() for e in made), 400, glued)


def examples(seed: int, count: int, split: str = "train") -> list[Example]:
    source = Extraction(random.Random(seed), split)
    return [source.example() for _ in range(count)]


def test_a_seed_fixes_the_examples():
    assert examples(5, 60) == examples(5, 60)
    assert examples(5, 60) != examples(6, 60)


def test_every_record_type_gives_examples_whose_values_stand_in_the_text():
    for kind in DOMAINS:
        source = Extraction(random.Random(1))
        for _ in range(30):
            example = source.example(kind, listed=True)
            schema = object_schema(example.fields)
            for name, value in example.value.items():
                if schema["properties"][name] == {"type": "string"} and value is not None:
                    assert value in example.text


def test_a_field_list_reads_back_as_a_schema():
    fields = "name (string), n (integer, optional), s (one of a|b), a (object(x (number)))"
    assert object_schema(fields)["properties"] == {
        "name": {"type": "string"},
        "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "s": {"enum": ["a", "b"]},
        "a": object_schema("x (number)"),
    }
    rows = object_schema("r (list of object(x (list of strings)))")["properties"]["r"]
    assert rows["items"]["properties"]["x"] == {"type": "array", "items": {"type": "string"}}


def test_held_out_words_never_occur_in_training_values():
    for path in WORDS.glob("*.txt"):
        assert not set(words(path.stem, "train")) & set(words(path.stem, "held"))
    names = [e.value["name"] for e in examples_of_people(200)]
    firsts = {name.split()[0] for name in names}
    assert not {first for first in firsts if is_held_out(first)}


def examples_of_people(count: int) -> list[Example]:
    source = Extraction(random.Random(2))
    made = [source.example("person", listed=False) for _ in range(count)]
    plain = [e for e in made if "name" in e.value]
    return [e for e in plain if re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", e.value["name"])]


def test_no_handwritten_text_comes_from_the_generator():
    lines = (EXAMPLES / "data" / "handwritten.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 60
    generated = {skeleton(example.text, example.value) for example in examples(3, 3000)}
    assert not generated & {skeleton(row["text"], row["expected"]) for row in rows}


def skeleton(text: str, value: object) -> str:
    """The words of a text that are not values."""
    for leaf in sorted(strings(value), key=len, reverse=True):
        text = text.replace(leaf, "_")
    return " ".join(re.findall(r"[a-z_]+", re.sub(r"\d+", "_", text.lower())))


def test_handwritten_objects_fit_their_field_lists():
    for line in (EXAMPLES / "data" / "handwritten.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert list(object_schema(row["fields"])["properties"]) == list(row["expected"])


@pytest.mark.parametrize("text", AWKWARD)
def test_the_tokenizer_returns_any_text(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert ids[0] == BOS
    assert tokenizer.decode(ids[1:]) == text


def test_a_value_has_the_same_tokens_in_the_text_and_in_the_answer(tokenizer):
    def pieces(text: str) -> list[str]:
        return tokenizer.tokenize(text, add_special_tokens=False)

    name = pieces("Zorvina Quast")
    for around in ("we met Zorvina Quast today", '{"name": "Zorvina Quast", "age": 3}'):
        whole = pieces(around)
        assert any(whole[i : i + len(name)] == name for i in range(len(whole)))


def test_every_byte_is_a_token(tokenizer):
    assert len({piece for piece in tokenizer.get_vocab() if len(piece) == 1}) >= 256


def test_the_copying_start_is_a_plain_llama_with_finite_weights():
    model = make_copy_friendly(build(SMALL, 100, 0), 0)
    plain = LlamaForCausalLM(model.config)
    plain.load_state_dict(model.state_dict())
    assert all(weight.isfinite().all() for weight in plain.parameters())


def test_the_copying_start_looks_back_one_token():
    model = make_copy_friendly(build(Shape(3, 64, 2, 96), 100, 0), 0)
    model.set_attn_implementation("eager")
    ids = torch.randint(4, 100, (1, 20))
    first = model(ids, output_attentions=True).attentions[0][0, 0]
    assert first[1:].diagonal(0).mean() > 2 / 20


def test_the_lean_forward_pass_equals_the_module():
    model = build(SMALL, 100, 0)
    ids = torch.randint(0, 100, (2, 15))
    lean = LeanForward(model)
    assert torch.allclose(lean.logits(lean.hidden(ids)), model(ids).logits, atol=1e-4)


def test_three_steps_of_training_give_the_same_loss_again(tokenizer):
    def run() -> float:
        model = make_copy_friendly(build(SMALL, len(tokenizer), 0), 0)
        return train(model, extraction_rows(tokenizer), Plan(steps=3, rows=4, pool=12))

    loss = run()
    assert 0 < loss < 10
    assert loss == run()


def test_only_answers_are_learned(tokenizer):
    row = extraction_rows(tokenizer)(random.Random(0), 0)
    inputs, labels = collate([row])
    learned = labels[0][labels[0] >= 0].tolist()
    assert tokenizer.decode(row.ids).startswith("<bos>")
    assert learned[-1] == EOS
    assert tokenizer.decode(learned).startswith("{")
    assert inputs.shape == labels.shape


def test_word_problems_add_up():
    for seed in range(200):
        one = problem(random.Random(seed))
        for step in one.steps:
            left, right = step.split("=")
            assert eval(left.replace("/", "//")) == int(right)
        assert one.steps[-1].endswith(f"={one.answer}")
        assert answer_of(one.solution()) == one.answer


def test_drills_teach_results_only(tokenizer):
    row = drill_row(tokenizer, random.Random(0))
    learned = [i for i, wanted in zip(row.ids, row.target, strict=True) if wanted]
    assert "=" not in tokenizer.decode(learned)
    assert problem_rows(tokenizer)(random.Random(0), 0).ids[0] == BOS


def test_scores_count_valid_exact_and_fields():
    wanted = [{"a": 1, "b": "x"}, {"a": True}]
    figures = score(['{"a": 1.0, "b": "y"}', '{"a": true}'], wanted)
    assert figures["valid"]["hits"] == 2
    assert figures["objects"]["hits"] == 1
    assert figures["fields"]["hits"] == 2
    assert score(["{"], [{"a": 1}])["valid"]["hits"] == 0
    low, high = Rate(50, 100).interval()
    assert 0.40 < low < 0.41 < 0.59 < high < 0.60


@pytest.fixture(scope="module", params=["tiny-lm", "tiny-math"])
def shipped(request):
    folder = EXAMPLES / "models" / request.param
    if not (folder / "model.safetensors").exists():
        pytest.skip(f"{request.param} is not here")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return request.param, model, AutoTokenizer.from_pretrained(folder)


def test_a_shipped_model_is_a_small_plain_folder(shipped):
    name, model, tokenizer = shipped
    folder = EXAMPLES / "models" / name
    assert (folder / "model.safetensors").stat().st_size < 6_500_000
    assert type(model) is LlamaForCausalLM
    assert tokenizer("a").input_ids[0] == BOS
    assert (tokenizer.eos_token_id, model.generation_config.eos_token_id) == (EOS, EOS)
    assert len(tokenizer) == model.config.vocab_size


PROMPTS = {
    "tiny-lm": (
        "Laura Becker is 42 years old and lives in Oslo. She likes tennis and painting.\n"
        "Fields: name (string), age (integer), hobbies (list of strings)\nJSON: ",
        '{"name": "Laura Becker", "age": 42, "hobbies": ["tennis", "painting"]}',
    ),
    "tiny-math": (
        "Question: Laura has 12 apples. Laura buys 5 more. Laura gives 4 to Peter. "
        "How many apples does Laura have now?\n",
        "12+5=17\n17-4=13\nAnswer: 13",
    ),
}


def test_a_shipped_model_answers_a_prompt_of_its_kind(shipped):
    name, model, tokenizer = shipped
    prompt, answer = PROMPTS[name]
    assert decode(model, tokenizer, [prompt]) == [answer]
