"""What the generator knows about the tokens of its examples, and the losses made of it."""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from itertools import count, islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

from recipe.batches import IGNORED, Row, collate, repeated  # noqa: E402
from recipe.extraction import Example, Extraction  # noqa: E402
from recipe.fields import Field  # noqa: E402
from recipe.grammar import CLOSE, MIDDLE, OPEN  # noqa: E402
from recipe.guide import Guide, Weights  # noqa: E402
from recipe.hints import CLASSES, ROLES, prompt_places  # noqa: E402
from recipe.model import LeanForward, Shape, Tap, build  # noqa: E402
from recipe.rows import ExtractionRows, hinted_row  # noqa: E402
from recipe.sources import pieces, value_places  # noqa: E402
from recipe.surface import polish  # noqa: E402
from recipe.training import Clock, Plan, learn, train  # noqa: E402

SMALL = Shape(layers=3, width=32, heads=2, inner=48)
TEXT = "Mira, 34, lives in Ulm"
KNOWN = Example(
    TEXT,
    "full_name (string), town (string), age (integer)",
    {"full_name": "Mira", "town": "Ulm", "age": 34},
    "person",
    (
        Field("name", "string", "Mira", at=(0, 4), role="person name"),
        Field("age", "integer", 34, at=(6, 8), role="person age"),
        Field("city", "string", "Ulm", at=(19, 22), role="person city"),
    ),
    {"full_name": (0, 4), "age": (6, 8), "town": (19, 22)},
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(EXAMPLES / "models" / "tiny-lm")


def fact(slot: str, text: str) -> str:
    return f"{OPEN}{slot}{MIDDLE}{text}{CLOSE}"


def test_facts_are_found_in_the_text_without_marks():
    made = polish(f"hi .  {fact('thing', 'both cups and pans')}  by i, {fact('name', 'Bo')}", {})
    assert made.text == "Hi. Both cups and pans by I, Bo"
    assert {slot: made.text[a:b] for slot, (a, b) in made.spans.items()} == {
        "thing": "Both cups and pans",
        "name": "Bo",
    }


@pytest.mark.parametrize(
    ("surface", "value", "expected"),
    [
        ("cups and pans", ["cups", "pans"], ["Cups", "pans"]),
        ("both cups and pans", ["cups", "pans"], ["cups", "pans"]),
        ("cups: 3", [{"name": "cups", "quantity": 3}], [{"name": "Cups", "quantity": 3}]),
        ("3 cups", [{"name": "cups", "quantity": 3}], [{"name": "cups", "quantity": 3}]),
    ],
)
def test_a_value_has_a_capital_only_where_the_text_has_one(surface, value, expected):
    assert polish(fact("things", surface), {"things": value}).values["things"] == expected


def test_places_of_random_facts_have_their_words():
    source, copied, total = Extraction(random.Random(6)), 0, 0
    for _ in range(400):
        one = source.example()
        for field in one.told:
            assert field.at is not None
            for path, (start, end) in value_places(field.value, one.text, field.at).items():
                assert field.at[0] <= start < end <= field.at[1]
                leaf = field.value
                for step in path:
                    leaf = leaf[step]
                copied += one.text[start:end] == str(leaf)
                total += 1
    assert copied > 0.8 * total


def test_pieces_stand_where_the_json_text_has_them():
    value = {"a": 'x"é', "b": {"c": [1, 2.5, None]}, "d": [], "e": [{"f": True}]}
    written = json.dumps(value, ensure_ascii=False)
    found = list(pieces(value))
    assert all(written[p.start :].startswith(p.text) for p in found)
    assert [p.text for p in found if p.is_key] == ["a", "b", "c", "d", "e", "f"]
    assert [p.text for p in found if not p.is_key] == ['x\\"é', "1", "2.5", "null", "true"]


def test_quantities_belong_to_the_name_behind_or_before_them():
    for text in ("7 red cups, 44 pans", "red cups (7) and pans (44)"):
        goods = [{"name": "red cups", "quantity": 7}, {"name": "pans", "quantity": 44}]
        places = value_places(goods, text, (0, len(text)))
        assert {path: text[a:b] for path, (a, b) in places.items()} == {
            (0, "name"): "red cups",
            (0, "quantity"): "7",
            (1, "name"): "pans",
            (1, "quantity"): "44",
        }


def test_keys_are_found_in_the_field_list():
    prompt, places = KNOWN.prompt(), prompt_places(KNOWN)
    words = {key: prompt[a:b] for key, (a, b) in places.items()}
    assert words[("town",), True] == "town"
    assert words[("town",), False] == "Ulm"
    assert places[("town",), True][0] == prompt.index("town (")


def test_a_row_says_what_each_token_is_and_where_it_comes_from(tokenizer):
    row = hinted_row(tokenizer, [(KNOWN, KNOWN.answer())])
    words = [tokenizer.decode([token]) for token in row.ids]

    def said(role: int) -> str:
        inner = (role, role + 1) if role else (role,)
        return "".join(word for word, at in zip(words, row.roles, strict=False) if at in inner)

    assert [said(ROLES[f"person {slot}"]) for slot in ("name", "age", "city")] == [
        "Mira",
        "34",
        "Ulm",
    ]
    assert said(0) == ", , lives in "
    assert row.roles.count(ROLES["person age"]) == 1
    copied = [(words[i], words[at]) for i, at in enumerate(row.sources) if at >= 0]
    assert [one for one, other in copied if one == other.strip(" ")] == [
        *pieces_of(tokenizer, "full_name", "Mira", "town", "Ulm", "age", "34")
    ]


def pieces_of(tokenizer, *texts: str) -> list[str]:
    """The tokens of each text as words."""
    return [tokenizer.decode([token]) for text in texts for token in tokenizer(text).input_ids[1:]]


def test_sloppy_answers_have_no_sources(tokenizer):
    row = hinted_row(tokenizer, [(KNOWN, KNOWN.answer() + " ")])
    assert set(row.sources) == {-1}


def test_random_rows_point_back_to_what_their_branch_sees(tokenizer):
    rows = ExtractionRows(tokenizer, begun=True, lists=2)
    for seed in range(100):
        row = rows(random.Random(seed), 0)
        batch = collate([row])
        for i, at in enumerate(batch.sources[0].tolist()):
            if at >= 0:
                assert at <= i
                assert batch.branches[0, at] in (0, batch.branches[0, i])
        assert max(row.roles) < CLASSES


def test_a_tap_keeps_states_and_attention():
    model = build(SMALL, 100, 0)
    model.set_attn_implementation("eager")
    ids = torch.randint(0, 100, (2, 9))
    tap = Tap(1, ((0, 1), (2, 0)))
    LeanForward(model).hidden(ids, tap=tap)
    out = model(ids, output_attentions=True, output_hidden_states=True)
    assert torch.allclose(tap.scores[0].exp(), out.attentions[0][:, 1], atol=1e-5)
    assert torch.allclose(tap.scores[1].exp(), out.attentions[2][:, 0], atol=1e-5)
    assert torch.allclose(tap.states, out.hidden_states[2], atol=1e-5)


def test_a_guide_counts_each_loss_as_a_mean():
    row = Row([1, 5, 6, 7, 5], [False] * 4 + [True], (3,), (IGNORED, 1, 2), (-1, -1, -1, -1, 1))
    batch, model = collate([row]), build(SMALL, 100, 0)
    guide = Guide(32, 7, 1, ((2, 0),), Weights(text=3.0, asked=5.0, attention=0.0))
    tap = guide.tap()
    LeanForward(model).hidden(batch.inputs, batch.positions, None, batch.learned, tap)
    alone = guide.loss(batch, tap, guide.shares([batch], 0.0))
    assert alone.item() == pytest.approx(8 * math.log(7), rel=1e-5)
    half = guide.loss(batch, tap, guide.shares([batch, batch], 1.0))
    assert half.item() == pytest.approx(0.2 * 4 * math.log(7), rel=1e-5)


def test_a_guide_turns_a_head_to_the_source():
    torch.manual_seed(0)
    row = Row([1, 5, 6, 7, 5], [False] * 4 + [True], (3,), (IGNORED, 1, 2), (-1, -1, -1, -1, 1))
    batch, model = collate([row]), build(SMALL, 100, 0)
    guide = Guide(32, 7, 1, ((2, 0),), Weights(text=0.0, asked=0.0, attention=1.0))
    forward, optimiser = LeanForward(model), torch.optim.AdamW(model.parameters(), lr=0.01)

    @torch.no_grad()
    def seen() -> float:
        tap = guide.tap()
        forward.hidden(batch.inputs, batch.positions, None, None, tap)
        return float(tap.scores[0][0, 3, 1].exp())

    before = seen()
    for _ in range(30):
        learn(forward, [batch], guide)
        optimiser.step()
        optimiser.zero_grad()
    assert before < 0.5 < seen()


def test_guided_training_runs_and_repeats(tokenizer):
    def run() -> float:
        model = build(SMALL, len(tokenizer), 0)
        guide = Guide(32, CLASSES, 1, ((2, 0),), Weights())
        plan = Plan(steps=2, rows=4, micro=2, pool=12)
        return train(model, ExtractionRows(tokenizer, lists=2), plan, guide=guide)

    assert run() == run()


def test_a_clock_goes_by_time_or_steps(monkeypatch):
    now = 0.0
    monkeypatch.setattr("recipe.training.time", SimpleNamespace(monotonic=lambda: now))
    clock, short = (Clock(Plan(steps=steps, minutes=1.0)) for steps in (10**9, 4))
    assert clock.progress(0) == 0
    now = 20.0
    assert clock.progress(1) == pytest.approx(1 / 3)
    assert short.progress(1) == pytest.approx(1 / 3)
    assert short.progress(3) == pytest.approx(3 / 4)
    now = 70.0
    assert clock.progress(3) == 1


@pytest.mark.parametrize("times", [1, 2, 3])
def test_pools_come_again_later(times: int):
    made = list(islice(repeated(count(), times, apart=3), 900))
    seen = Counter(made)
    assert all(seen[number] == times for number in range(200))
    places = [[at for at, one in enumerate(made) if one == number] for number in range(200)]
    assert all(later - sooner >= 3 for each in places for sooner, later in pairwise(each))
