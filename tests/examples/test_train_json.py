"""The script that trains tiny-lm: its recipe, other sizes, and what it writes."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

import train_json  # noqa: E402
from recipe.batches import collate  # noqa: E402
from recipe.model import LeanForward, build  # noqa: E402
from recipe.rows import ExtractionRows  # noqa: E402
from recipe.training import rate  # noqa: E402
from train_json import FOLDER, begin, guide_of, options, plan_of, shape_of  # noqa: E402

SHIPPED = AutoConfig.from_pretrained(FOLDER)


def test_without_options_it_is_the_run_that_made_the_shipped_weights():
    model, tokenizer = begin(options([]))
    assert {name: w.shape for name, w in model.state_dict().items()} == {
        name: w.shape
        for name, w in AutoModelForCausalLM.from_pretrained(FOLDER).state_dict().items()
    }
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(FOLDER).get_vocab()
    plan = plan_of(options(["--device", "cuda"]))
    assert (plan.steps, plan.rows, plan.micro, plan.pool, plan.uses) == (6100, 512, 512, 2048, 2)
    assert rate(plan.steps * 4 // 10, 0.4, plan) == 1
    assert rate(plan.steps, 1.0, plan) == plan.lowest
    guide = guide_of(SHIPPED)
    assert (guide.layer, guide.heads) == (3, ((3, 0), (5, 2), (5, 4)))


def test_minutes_replace_the_number_of_steps():
    plan = plan_of(options(["--minutes", "3"]))
    assert plan.minutes == 3
    assert plan.steps > 100 * train_json.STEPS


@pytest.mark.parametrize(
    "arguments",
    [
        ["--layers", "1"],
        ["--width", "0"],
        ["--width", "200"],
        ["--minutes", "3", "--steps", "3"],
        ["--new-tokenizer", "--start", "here"],
    ],
)
def test_what_makes_no_model_is_refused_before_any_work(arguments, capsys):
    with pytest.raises(SystemExit):
        options(arguments)
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(("layers", "width"), [(2, 32), (3, 64), (4, 160)])
def test_every_size_has_the_layers_and_heads_that_are_guided(layers: int, width: int):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = build(shape_of(layers, width), len(tokenizer), 0)
    guide, rows = guide_of(model.config), ExtractionRows(tokenizer, lists=2)
    batch, tap = collate([rows(random.Random(seed), 0) for seed in range(2)]), guide.tap()
    hidden = LeanForward(model).hidden(
        batch.inputs, batch.positions, batch.branches, batch.learned, tap
    )
    assert hidden.shape == (int(batch.learned.sum()), width)
    assert len(tap.scores) == 3
    assert guide.loss(batch, tap, guide.shares([batch], 0.0)) > 0


def test_a_short_run_writes_a_folder_from_which_another_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(train_json, "POOL", 8)
    short = ["--steps", "2", "--rows", "4", "--micro", "2", "--device", "cpu"]
    first, second = tmp_path / "first", tmp_path / "second"
    for arguments in (
        [
            "--layers",
            "2",
            "--width",
            "32",
            "--out",
            str(first),
            "--keep",
            str(tmp_path),
            "--keep-every",
            "1",
        ],
        ["--start", str(first), "--out", str(second)],
    ):
        monkeypatch.setattr(sys, "argv", ["train_json.py", *short, *arguments])
        train_json.main()
    one, other = (AutoModelForCausalLM.from_pretrained(folder) for folder in (first, second))
    assert one.config.num_hidden_layers == other.config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(second)("a").input_ids
    weights = zip(one.parameters(), other.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "step1", "step2"}
