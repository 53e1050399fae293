"""The training recipe of the embedded models, and the models that it made."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

from recipe.batches import Supply, collate, pools  # noqa: E402
from recipe.copying import make_copy_friendly  # noqa: E402
from recipe.decoding import decode  # noqa: E402
from recipe.domains import DOMAINS  # noqa: E402
from recipe.extraction import Example, Extraction  # noqa: E402
from recipe.fieldlist import object_schema  # noqa: E402
from recipe.mathrows import ProblemRows, answer_of, drill_row  # noqa: E402
from recipe.model import BOS, EOS, LeanForward, Shape, build, deepened  # noqa: E402
from recipe.muon import Muon, orthogonalised  # noqa: E402
from recipe.rows import ExtractionRows, branched_row, prompt_row, strings  # noqa: E402
from recipe.scoring import Rate, score  # noqa: E402
from recipe.splits import WORDS, is_held_out, words  # noqa: E402
from recipe.tokenizer import glue_words, train_tokenizer  # noqa: E402
from recipe.training import Plan, train  # noqa: E402
from recipe.wordproblems import problem  # noqa: E402

SMALL = Shape(layers=3, width=32, heads=2, inner=48)
AWKWARD = ["Zoë Ünal\t–  naïve", "日本語 🙂\n", "a\r\nb\x00c", '{"k": ["v", 1.5]}', " leading", ""]


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


def test_answers_to_one_text_do_not_see_each_other(tokenizer):
    made = Extraction(random.Random(4)).examples(3, listed=True)
    asked = [(e.prompt().removeprefix(e.text), e.answer()) for e in made]
    row = branched_row(tokenizer, made[0].text, asked)
    model = build(SMALL, len(tokenizer), 0)
    lean, batch = LeanForward(model), collate([row, row])
    together = lean.hidden(batch.inputs, batch.positions, batch.branches)[1]
    for example, start in zip(made, row.starts, strict=True):
        alone = prompt_row(tokenizer, example.prompt(), example.answer())
        inputs = torch.tensor([alone.ids[:-1]])
        size = inputs.shape[1] - row.starts[0]
        expected = lean.hidden(inputs)[0, row.starts[0] :]
        assert torch.allclose(together[start : start + size], expected, atol=1e-4)


def test_only_wanted_states_are_returned_when_some_are_wanted():
    lean, ids = LeanForward(build(SMALL, 100, 0)), torch.randint(0, 100, (2, 15))
    wanted = torch.rand(2, 15) < 0.4
    assert torch.allclose(lean.hidden(ids, wanted=wanted), lean.hidden(ids)[wanted], atol=1e-5)


def test_a_deepened_model_computes_what_the_old_one_did():
    model, ids = build(SMALL, 100, 0), torch.randint(0, 100, (2, 15))
    deeper = deepened(model, (0, None, 1, 2, None), 1)
    assert len(deeper.model.layers) == 5
    assert torch.allclose(model(ids).logits, deeper(ids).logits, atol=1e-5)


@pytest.mark.parametrize("size", [(24, 40), (40, 24), (30, 30)])
def test_muon_pulls_singular_values_towards_one(size):
    torch.manual_seed(0)
    made = orthogonalised(torch.randn(3, *size), torch.float32)
    values = torch.linalg.svdvals(made)
    assert made.shape == (3, *size)
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_muon_moves_like_the_one_in_torch():
    def moved(kind: type[torch.optim.Optimizer]) -> torch.Tensor:
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(16, 8))
        optimiser = kind([weight], lr=0.1, momentum=0.95, weight_decay=0.01)
        for _ in range(3):
            weight.grad = torch.randn(16, 8)
            optimiser.step()
        return weight.detach()

    assert torch.allclose(moved(Muon), moved(torch.optim.Muon), atol=0.01)


def test_workers_make_the_same_pools(tokenizer):
    rows = ExtractionRows(tokenizer, lists=2)
    firsts = []
    for workers in (0, 1):
        stream = pools(rows, Supply(micro=4, pool=8, workers=workers), 1)
        firsts.append([next(stream)[0].inputs.tolist() for _ in range(2)])
        stream.close()
    assert firsts[0] == firsts[1]


def test_three_steps_of_training_give_the_same_loss_again(tokenizer):
    def run() -> float:
        model = make_copy_friendly(build(SMALL, len(tokenizer), 0), 0)
        return train(
            model, ExtractionRows(tokenizer, lists=2), Plan(steps=3, rows=4, micro=2, pool=12)
        )

    loss = run()
    assert 0 < loss < 10
    assert loss == run()


def test_only_answers_are_learned(tokenizer):
    row = ExtractionRows(tokenizer)(random.Random(0), 0)
    batch = collate([row])
    learned = batch.labels[batch.learned].tolist()
    assert tokenizer.decode(row.ids).startswith("<bos>")
    assert learned[-1] == EOS
    assert tokenizer.decode(learned).startswith("{")
    assert batch.inputs.shape == batch.labels.shape


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
    assert ProblemRows(tokenizer)(random.Random(0), 0).ids[0] == BOS


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
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return request.param, model, AutoTokenizer.from_pretrained(folder)


def test_a_shipped_model_is_a_small_plain_folder(shipped):
    name, model, tokenizer = shipped
    folder = EXAMPLES / "models" / name
    assert (folder / "model.safetensors").stat().st_size < 11_000_000
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
