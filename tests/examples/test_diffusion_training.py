"""The recipe of tiny-diffusion: its tasks are scored exactly, its weights copy, training learns."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

RECIPE = Path(__file__).parents[2] / "examples" / "training"
sys.path.insert(0, str(RECIPE))

from recipe.canvases import (  # noqa: E402
    TRAINED,
    Canvases,
    CanvasStream,
    list_task,
    record_task,
    side_by_side,
)
from recipe.denoiser import build_denoiser, denoise, hidden_places  # noqa: E402
from recipe.listops import (  # noqa: E402
    LONGEST,
    OPERATIONS,
    Problem,
    pool,
    problem,
    read,
    written,
)
from recipe.model import EOS, PAD, Shape  # noqa: E402
from recipe.neighbours import OFFSETS, look_around  # noqa: E402
from recipe.records import record  # noqa: E402
from recipe.training import Plan  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

MODEL = RECIPE.parent / "models" / "tiny-diffusion"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_accepts_its_own_answers_and_nothing_else_close_by(name: str) -> None:
    operation, rng = OPERATIONS[name], random.Random(name)
    for _ in range(40):
        asked = problem(name, rng)
        answer = operation.answer(asked, rng)
        assert len(answer) <= LONGEST
        assert operation.scored(asked, written(answer))
        assert not operation.scored(asked, written([*answer, "extra"]))
        assert not operation.scored(asked, written(answer)[:-1])


def test_free_operations_accept_every_right_answer_and_no_mixture() -> None:
    asked = Problem(["a", "b", "c"], "x")
    right = OPERATIONS["replace_random"].right
    assert all(right(asked, one) for one in (["x", "b", "c"], ["a", "x", "c"], ["a", "b", "x"]))
    assert not right(asked, ["x", "x", "c"])
    assert not right(asked, ["a", "b", "c"])
    shuffled = OPERATIONS["shuffle"].right
    assert shuffled(asked, ["c", "a", "b"])
    assert not shuffled(asked, ["a", "b", "c"])
    assert not shuffled(asked, ["a", "a", "c"])
    inserted = OPERATIONS["insert_random"].right
    assert sum(inserted(asked, [*"abc"[:i], "x", *"abc"[i:]]) for i in range(4)) == 4
    assert not inserted(asked, ["x", "c", "b", "a"])


def test_lists_are_read_strictly() -> None:
    assert read('["a", "b"]') == ["a", "b"]
    assert read('["a","b"]') is None
    assert read("[1]") is None


def test_records_state_what_they_want() -> None:
    rng = random.Random(3)
    for _ in range(50):
        made = record(rng)
        assert all(str(value) in made.text for value in made.wanted.values())
        assert made.prompt().endswith("\nJSON: ")


def test_canvases_stand_at_the_right_end_and_end_with_stop_tokens() -> None:
    batch = side_by_side([([1, 5], [7]), ([1, 5, 6], [7, 8])], 3)
    assert batch.prompts.tolist() == [[PAD, 1, 5], [1, 5, 6]]
    assert batch.answers.tolist() == [[7, EOS, EOS], [7, 8, EOS]]
    with pytest.raises(ValueError, match="on a canvas of 1"):
        side_by_side([([1], [7, 8])], 1)


def test_shares_of_masked_places_are_spread_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.stack([hidden_places((64, 50), generator) for _ in range(20)]).float()
    shares = hidden.mean(-1).sort(-1).values.mean(0)
    assert torch.allclose(shares, torch.linspace(0, 1, 64), atol=0.06)
    assert bool(hidden.any(-1).all())


def test_first_layer_heads_look_at_neighbours_from_the_start() -> None:
    model = look_around(build_denoiser(Shape(2, 96, 4, 96), 50, 0), 0)
    model.set_attn_implementation("eager")
    ids = torch.randint(4, 50, (1, 30))
    seen = model.model(ids, output_attentions=True).attentions[0][0]
    for head, offset in enumerate(OFFSETS):
        inner = torch.arange(4, 26)
        found = (inner - seen[head].argmax(-1)[inner]).float()
        # Tokens differ in how loud their constant is, which may move a head by one place.
        assert (found - offset).abs().max() <= 1
        assert abs(float(found.mean()) - offset) < 0.5


class Copies:
    """Batches of one token to copy."""

    def __iter__(self) -> Iterator[Canvases]:
        rng = random.Random(0)
        while True:
            tokens = [[rng.randrange(5, 20)] for _ in range(16)]
            yield side_by_side([([1, *each], each) for each in tokens], 2)


def test_training_learns_to_copy() -> None:
    torch.manual_seed(0)
    model = look_around(build_denoiser(Shape(2, 64, 4, 64), 20, 0), 0)
    plan = Plan(steps=60, adam_rate=3e-3, warmup=5, seed=0)
    losses: list[float] = []
    denoise(model, Copies(), plan, lambda step, loss: losses.append(loss.item()))
    assert losses[-1] < 0.4 * losses[0]


def test_the_stream_is_the_same_for_the_same_seed_and_fits_the_embedded_tokenizer() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    first, again = (next(iter(CanvasStream(tokenizer, 4, 7, together=2))) for _ in range(2))
    assert torch.equal(first.prompts, again.prompts)
    assert torch.equal(first.answers, again.answers)
    for word in pool():
        assert len(tokenizer(f'"{word}"', add_special_tokens=False).input_ids) == 3
    rng = random.Random(1)
    for make in (list_task, record_task):
        task = make(rng)
        ids = tokenizer(task.answer, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == task.answer
    assert set(TRAINED) <= set(OPERATIONS)
