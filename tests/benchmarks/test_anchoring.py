"""The benchmark of anchored decoding: what it counts, and that it would see a violation."""

from __future__ import annotations

import json
from pathlib import Path

import anchored
import pytest
from harness.anchoring import curve, pair
from harness.anchoring.ledgers import Audit, divergences
from harness.anchoring.pair import Outcome, Town, run

import guided
from guided.controls.ledger import Charge, Ledger, Terms


@pytest.fixture(scope="module")
def own() -> pair.Pair:
    return pair.pair(2)


def ledger(*costs: float, debt: float = 0.0) -> Ledger:
    return Ledger(Terms(0.5, 10), debt, tuple(Charge(0.5, 0.5, cost) for cost in costs))


def test_an_overdrawn_prefix_is_seen_and_a_repaid_one_too() -> None:
    audit = Audit()
    audit.see(ledger(0.5, 0.5, 0.5), [0.5, 0.5, 0.5])
    assert audit.overdrawn == 0
    audit.see(ledger(0.6, 0.0, 0.0), [0.6, 0.0, 0.0])
    audit.see(ledger(0.0, 0.4, 0.0, debt=0.7), [0.0, 0.4, 0.0])
    assert (audit.overdrawn, audit.trajectories, audit.tokens) == (2, 3, 9)


def test_a_charge_that_is_not_the_divergence_is_seen() -> None:
    audit = Audit()
    audit.see(ledger(0.1, 0.2), [0.1, 0.25])
    assert audit.off == pytest.approx(0.05)


def test_charges_are_the_divergences_of_other_forward_passes(own: pair.Pair) -> None:
    found = run(own.risky, own.prompts, [guided.Anchored(own.safe, k=0.5)], max_new_tokens=12)
    costs = divergences(own, own.prompts, found)
    assert max(map(max, costs)) > 0.1
    for result, each in zip(found, costs, strict=True):
        charged = [charge.cost for charge in result.certificate.charges]
        assert each == pytest.approx(charged, abs=1e-4)


def test_the_first_word_of_a_kind_is_the_fact_of_a_text(own: pair.Pair) -> None:
    town = Town("", own.towns[0].facts)
    craft = town.facts["craft"]
    other = next(word for word in own.kinds["craft"] if word != craft)
    assert own.right(f"Its {craft} and its {other}.", town) == pytest.approx(1 / 5)
    assert own.right(f"Its {other} and its {craft}.", town) == 0
    assert own.right(" ".join(town.facts.values()), town) == 1


def test_what_is_lost_counts_from_the_safe_model_on() -> None:
    ends = Outcome({}, 0.9), Outcome({}, 0.1)
    assert curve.loss(Outcome({}, 0.9), ends) == 0
    assert curve.loss(Outcome({}, 0.7), ends) == pytest.approx(25)
    assert curve.loss(Outcome({}, 0.1), ends) == pytest.approx(100)


def test_an_outcome_is_a_mean_over_passages_and_towns(own: pair.Pair) -> None:
    anchored = own.outcome([guided.Anchored(own.safe, k=50)], samples=1, seed=0)
    plain = own.outcome([], samples=1, seed=0)
    # With so much to spend, every draw is the risky model's.
    assert anchored.copied == plain.copied
    assert anchored.right == plain.right
    assert plain.spent is None
    assert anchored.spent is not None
    assert anchored.spent > 0
    assert curve.reduction(anchored, (plain, own.outcome([], 1, 0, own.safe))) == 0


def test_the_benchmark_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "anchored.json"
    few = ["--rounds", "1", "--batch", "1", "--trajectories", "20", "--samples", "1"]
    options = ["--only", "ledgers", *few, "--json", str(out)]
    anchored.main(options)
    figures = {one["name"]: one for one in json.loads(out.read_text())["figures"]}
    assert figures["ledger_violations"]["holds"]
    assert figures["ledger_largest_error"]["holds"]
    assert figures["ledger_trajectories"]["value"] == 20
