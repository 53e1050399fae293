"""The learned threshold: between the classes, in the units of its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from guided import run
from guided.cli import main
from guided.controls import BanTokens
from guided.decoding import Decoder
from guided.errors import InputError
from guided.search import learn_threshold
from guided.search.adadec_threshold import observe, threshold
from guided.search.logistic import Logistic, fit
from guided.testing import table_model, tiny_model


def drawn(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropies, and whether the first choice was right, which is likelier where they are low."""
    generator = torch.Generator().manual_seed(seed)
    entropies = torch.rand(count, generator=generator, dtype=torch.float64) * 3
    chances = (2.5 - 2.0 * entropies).sigmoid()
    return entropies, torch.rand(count, generator=generator, dtype=torch.float64) < chances


def test_separable_classes_are_told_apart() -> None:
    low, high = torch.linspace(0.0, 0.6, 300), torch.linspace(1.4, 3.0, 40)
    first = torch.tensor([True] * 300 + [False] * 40)
    found = threshold(torch.cat([low, high]).double(), first)
    assert 0.6 < found.theta < 1.4
    assert found.accuracy == found.auc == 1.0
    assert found.majority < 1.0
    assert found.positions == 340
    assert found.held_out == 68


def test_the_threshold_falls_where_more_certainty_is_asked_for() -> None:
    curve = threshold(*drawn(2000)).curve
    assert curve.slope < 0
    crossings = [curve.crossing(percent / 100) for percent in range(1, 100)]
    assert crossings == sorted(crossings, reverse=True)


def test_the_quality_is_that_of_all_pairs() -> None:
    entropies, first = drawn(300)
    entropies = (entropies * 10).round()  # so that some are equal
    right, wrong = entropies[first], entropies[~first]
    higher = (wrong[:, None] > right).double() + 0.5 * (wrong[:, None] == right)
    assert threshold(entropies, first).auc == pytest.approx(float(higher.mean()), abs=1e-12)


@pytest.mark.parametrize("unit", [1 / 0.6931471805599453, 1e-3, 250.0])
def test_other_units_of_entropy_give_the_same_threshold_in_these_units(unit: float) -> None:
    entropies, first = drawn(1500)
    one, other = threshold(entropies, first), threshold(entropies * unit, first)
    assert other.theta == pytest.approx(one.theta * unit, rel=1e-9)
    assert (other.cutoff, other.accuracy) == (one.cutoff, one.accuracy)


def test_the_fit_is_where_the_gradient_vanishes() -> None:
    entropies, first = drawn(800)
    curve = fit(entropies, first)
    weights = torch.tensor([curve.intercept, curve.slope], dtype=torch.float64, requires_grad=True)
    scores = weights[0] + weights[1] * entropies
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        scores, first.double(), reduction="sum"
    )
    loss = loss + (weights[1] * entropies.std()) ** 2 / 2
    (gradient,) = torch.autograd.grad(loss, weights)
    assert gradient.abs().max() < 1e-6


def test_the_curve_is_found_again() -> None:
    entropies, first = drawn(20000, seed=1)
    curve = fit(entropies, first)
    assert curve.intercept == pytest.approx(2.5, abs=0.15)
    assert curve.slope == pytest.approx(-2.0, abs=0.1)
    assert Logistic(2.5, -2.0).crossing(0.5) == pytest.approx(1.25)


def test_observing_reads_entropies_and_ranks_as_the_decoder_does() -> None:
    model = table_model(5, seed=2)
    tokens, begin = [1, 2, 3, 1, 4, 2], 2
    entropies, first = observe(model, tokens, begin)
    decoder = Decoder(model.network, model.vocabulary)
    for at in range(begin, len(tokens)):
        (branch,) = decoder.open([tokens[:at]])
        assert float(entropies[at - begin]) == pytest.approx(branch.entropy(), abs=1e-9)
        assert bool(first[at - begin]) == (int(branch.law().argmax()) == tokens[at])


def test_solutions_are_read_with_their_prompts() -> None:
    model = table_model(5, seed=2, spread=9.0)
    # The model's own draws: the surer it is, the more often they are its first choice.
    texts = run(
        model, ["ab", "ba", "c"],
        temperature=1.0, max_new_tokens=80, controls=[BanTokens([0])], heal=False,
    )  # fmt: skip
    pairs = [(prompt, each.text) for prompt, each in zip(["ab", "ba", "c"], texts, strict=True)]
    found = learn_threshold(model, pairs)
    assert found.positions == sum(len(solution) for _, solution in pairs)
    assert 0 < found.first < 1


@pytest.mark.parametrize("right", [True, False])
def test_a_model_that_makes_no_difference_has_no_threshold(right: bool) -> None:
    with pytest.raises(InputError, match="always" if right else "never"):
        threshold(torch.rand(100), torch.full((100,), right))


def test_entropies_that_say_nothing_are_refused() -> None:
    entropies, first = drawn(1500)
    with pytest.raises(InputError, match="not less often right"):
        threshold(3 - entropies, first)
    with pytest.raises(InputError, match="the same everywhere"):
        threshold(torch.ones(1500), first)


def test_too_little_or_too_long_data_is_refused() -> None:
    model = table_model(5, seed=2)
    with pytest.raises(InputError, match="2 tokens"):
        learn_threshold(model, [("ab", "cd")])
    small = tiny_model()
    with pytest.raises(InputError, match="solution 0"):
        learn_threshold(small, [("a", "b" * 5 * (small.context_length or 0))])


# --- the command

SOLUTION = {"prompt": "Question: 3+4\n", "solution": "3+4=7\nAnswer: 7"}
TINY = Path(__file__).parents[2] / "examples" / "models" / "tiny-math"


def test_the_command_prints_the_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "solutions.jsonl"
    lines = [
        {"prompt": f"Question: {a}+{b}\n", "solution": f"{a}+{b}={a + b + a % 2}\nAnswer: {a + b}"}
        for a in range(3, 15)
        for b in range(2, 4)
    ]
    data.write_text("\n".join(json.dumps(line) for line in lines))
    assert main(["adadec-threshold", str(TINY), str(data)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("theta = ")
    assert "held-out accuracy" in shown
    assert main(["adadec-threshold", str(TINY), str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert f"{found['theta']:.6f}" in shown
    assert found["curve"]["slope"] < 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(SOLUTION) + "\n{", "line 2: no JSON"),
        ('{"prompt": "a\u2028b", "solution": "c"}\n{', "line 2: no JSON"),
        ('{"prompt": "a"}', 'line 1: needs the texts "prompt" and "solution"'),
        ("[1]", "line 1: needs"),
        ("\n", "holds no solution"),
    ],
)
def test_data_that_cannot_be_read_is_told_by_its_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "solutions.jsonl"
    data.write_text(text)
    assert main(["adadec-threshold", "no-such-model", str(data)]) == 1
    assert message in capsys.readouterr().err
