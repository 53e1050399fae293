"""The nearest law within a distance of a safe one: corners, exactness, optimality; all twins."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from guided.kernels import anchoring
from guided.kernels.anchoring import Anchored, Capped, Status
from guided.kernels.dispatch import Implementation, using
from tests.kernels.conftest import ways

NONE = -torch.inf
BUDGETS = (1e-7, 1e-3, 0.05, 0.2, 0.5, 1.0, 4.0)


# Triton has no twin of its own here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.parametrize(
        "way", [way for way in ways() if "triton" not in str(way.id)], indirect=True
    ),
]


#: Where a test solves.
_DEVICE = [torch.device("cpu")]


@pytest.fixture(autouse=True)
def _everywhere(way) -> None:
    """Every test runs in every way that there is."""
    _DEVICE[0] = way.device


def anchor(*given: Tensor) -> Anchored:
    found = anchoring.anchor(*(each.to(_DEVICE[0]) for each in given))
    return Anchored(*(each.cpu() for each in found))


def cap(*given: Tensor) -> Capped:
    found = anchoring.cap(*(each.to(_DEVICE[0]) for each in given))
    return Capped(*(each.cpu() for each in found))


def pair(width: int, rows: int = 7, seed: int = 0, apart: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(rows, width, generator=generator, dtype=torch.float64) * 2
    noise = torch.randn(2, rows, width, generator=generator, dtype=torch.float64) * apart
    return shared + noise[0], shared + noise[1]


def divergence(left: Tensor, right: Tensor) -> Tensor:
    """KL of the laws of logits, row by row; infinite where it is."""
    a, b = left.double().log_softmax(-1), right.double().log_softmax(-1)
    return torch.where(a > NONE, a.exp() * (a - b), 0).sum(-1)


def solved(safe: Tensor, risky: Tensor, budget: float) -> Anchored:
    budgets = torch.full((len(safe),), budget, dtype=torch.float64)
    found = anchor(safe.clone(), risky.clone(), budgets)
    assert (found.status == Status.OK).all()
    return found


def capped(safe: Tensor, risky: Tensor, budget: float) -> Capped:
    budgets = torch.full((len(safe),), budget, dtype=torch.float64)
    found = cap(safe.clone(), risky.clone(), budgets)
    assert (found.status == Status.OK).all()
    return found


def bisected(safe: Tensor, risky: Tensor, budget: float) -> float:
    """theta of one row by 60 bisections on laws made by hand."""
    p, r = safe.double().log_softmax(-1), risky.double().log_softmax(-1)
    below, above = 0.0, 1.0
    for _ in range(60):
        middle = (below + above) / 2
        law = (1 - middle) * p + middle * r
        if float(divergence(law[None], p[None])) <= budget:
            below = middle
        else:
            above = middle
    return below


@pytest.mark.parametrize("width", [2, 3, 4, 511, 512, 513, 1700])
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_cost_is_the_divergence_and_comes_up_to_the_budget(width: int, budget: float) -> None:
    safe, risky = pair(width)
    found = solved(safe, risky, budget)
    cost = divergence(found.law, safe)
    assert torch.allclose(cost, found.cost, atol=1e-11, rtol=0)
    assert (found.cost <= budget).all()
    active = divergence(risky, safe) > budget
    assert (budget - found.cost[active] < 1e-6 * min(1, budget) + 1e-13).all()
    assert ((found.theta == 1) == ~active).all()
    for row in torch.nonzero(active).flatten().tolist():
        theta = bisected(safe[row], risky[row], budget)
        assert float(found.theta[row]) == pytest.approx(theta, abs=1e-5)
        blend = (1 - theta) * safe[row].log_softmax(-1) + theta * risky[row].log_softmax(-1)
        expected, law = blend.softmax(-1), found.law[row].softmax(-1)
        assert torch.allclose(law, expected, atol=1e-5)


def test_the_cost_grows_with_theta() -> None:
    safe, risky = pair(40)
    costs = [divergence((1 - theta / 50) * safe + theta / 50 * risky, safe) for theta in range(51)]
    assert all((later >= earlier).all() for earlier, later in pairwise(costs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_corners_are_the_given_laws_to_the_last_bit(dtype: torch.dtype) -> None:
    safe, risky = (each.to(dtype) for each in pair(100, rows=3))
    for nothing in (solved(safe, risky, 0.0), capped(safe, risky, 0.0)):
        assert torch.equal(nothing.law, safe.double())
    found = solved(safe, risky, 1e6)
    assert torch.equal(found.law, risky.double())
    assert (found.theta == 1).all()
    assert torch.equal(capped(safe, risky, 1e6).law, risky.double())
    same = solved(safe, safe, 0.1)
    assert (same.theta == 1).all()
    assert (same.cost < 1e-12).all()


def test_no_feasible_direction_leads_closer_to_the_risky_law() -> None:
    generator = torch.Generator().manual_seed(5)
    safe, risky = pair(4, rows=8, seed=3)
    for budget in (0.05, 0.3):
        law = solved(safe, risky, budget).law.softmax(-1)
        best = divergence(law.log(), risky)
        points = torch.distributions.Dirichlet(torch.full((4,), 0.5).double())
        torch.manual_seed(int(torch.randint(1 << 30, (1,), generator=generator)))
        for _ in range(300):
            point = points.sample((8,))
            for step in (1e-4, 1e-2, 0.3):
                moved = ((1 - step) * law + step * point).log()
                feasible = divergence(moved, safe) <= budget
                closer = divergence(moved, risky) < best - 1e-5
                assert not (feasible & closer).any()


def test_a_method_without_the_formula_finds_the_same_law() -> None:
    # Mirror descent on KL(q || risky) + weight · KL(q || safe), the weight bisected until the
    # constraint is met: nothing here knows that the answer is a geometric mean.
    safe, risky = pair(4, rows=5, seed=8)
    p, r = safe.log_softmax(-1), risky.log_softmax(-1)
    budget = 0.2
    low, high = torch.zeros(5, 1).double(), torch.full((5, 1), 400.0).double()
    for _ in range(50):
        weight = (low + high) / 2
        log_q = torch.zeros_like(p).log_softmax(-1)
        for _ in range(60):
            slope = (log_q - r) + weight * (log_q - p)
            log_q = (log_q - 0.5 / (1 + weight) * slope).log_softmax(-1)
        too_far = divergence(log_q, p)[:, None] > budget
        low, high = torch.where(too_far, weight, low), torch.where(too_far, high, weight)
    expected = torch.where(divergence(risky, safe)[:, None] > budget, log_q, r)
    found = solved(safe, risky, budget).law.log_softmax(-1)
    assert torch.allclose(found.exp(), expected.exp(), atol=1e-5)


def test_what_either_holds_impossible_has_no_mass_in_between() -> None:
    safe = torch.tensor([[0.0, 1.0, NONE, 0.5, NONE]], dtype=torch.float64)
    risky = torch.tensor([[2.0, -1.0, 3.0, -0.5, NONE]], dtype=torch.float64)
    found = solved(safe, risky, 0.1)
    assert 0 < float(found.theta) < 1
    assert found.law[0].softmax(-1)[[2, 4]].tolist() == [0, 0]
    assert float(divergence(found.law, safe)) == pytest.approx(float(found.cost), abs=1e-12)


def test_an_infinite_divergence_is_never_hidden() -> None:
    safe = torch.tensor([[0.0, 1.0, NONE]], dtype=torch.float64)
    risky = torch.tensor([[0.5, 0.7, -800.0]], dtype=torch.float64)
    found = solved(safe, risky, 50.0)
    # The risky law itself is infinitely far, however little it gives to the third token.
    assert float(found.theta) < 1
    assert found.law[0].softmax(-1)[2] == 0
    assert float(found.cost) == pytest.approx(float(divergence(found.law, safe)), abs=1e-12)
    assert capped(safe, risky, 50.0).law[0].softmax(-1)[2] == 0


@pytest.mark.parametrize("budget", [0.05, 1.2, 1.4, 3.0])
def test_a_budget_below_the_price_of_the_common_tokens_gives_the_safe_law(budget: float) -> None:
    safe = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    risky = torch.tensor([[NONE, 0.0, 1.0]], dtype=torch.float64)
    price = -math.log(float(safe.softmax(-1)[0, 1:].sum()))
    found, other = solved(safe, risky, budget), capped(safe, risky, budget)
    if budget < price:
        assert torch.equal(found.law, safe)
        assert torch.equal(other.law, safe)
        assert float(found.cost) == 0
    else:
        assert found.law[0, 0] == NONE
        assert price <= float(found.cost) <= budget
        assert float(found.cost) == pytest.approx(float(divergence(found.law, safe)), abs=1e-12)
        assert other.law[0, 0] == NONE


def test_rows_without_a_law_are_named() -> None:
    fine = [0.0, 1.0, 2.0]
    cases = [
        (fine, fine, Status.OK),
        ([math.nan, 0.0, 0.0], fine, Status.SAFE_NOT_NUMBERS),
        (fine, [math.inf, 0.0, 0.0], Status.RISKY_NOT_NUMBERS),
        ([NONE] * 3, fine, Status.SAFE_EMPTY),
        (fine, [NONE] * 3, Status.RISKY_EMPTY),
        ([0.0, NONE, NONE], [NONE, 1.0, 1.0], Status.DISJOINT),
    ]
    safe = torch.tensor([case[0] for case in cases], dtype=torch.float64)
    risky = torch.tensor([case[1] for case in cases], dtype=torch.float64)
    for solve in (anchor, cap):
        found = solve(safe, risky, torch.full((len(cases),), 0.5, dtype=torch.float64))
        assert found.status.tolist() == [case[2] for case in cases]
        nothing = solve(safe[-1:], risky[-1:], torch.zeros(1, dtype=torch.float64))
        assert nothing.status.tolist() == [Status.OK]


def test_laws_far_apart_do_not_underflow() -> None:
    safe = torch.tensor([[2000.0, 0.0, 400.0]], dtype=torch.float64)
    risky = torch.tensor([[0.0, 2000.0, 300.0]], dtype=torch.float64)
    for budget in (0.3, 500.0, 1900.0):
        found = solved(safe, risky, budget)
        assert float(found.cost) == pytest.approx(budget, rel=2e-6)
        assert float(divergence(found.law, safe)) == pytest.approx(budget, rel=2e-6)


@pytest.mark.parametrize("width", [2, 3, 4, 513])
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_capped_law_keeps_its_ratios_and_is_the_nearest(width: int, budget: float) -> None:
    safe, risky = pair(width)
    found = capped(safe, risky, budget)
    log_q, log_p = found.law.log_softmax(-1), safe.log_softmax(-1)
    assert torch.allclose(found.law.logsumexp(-1), found.totals[:, 0], atol=1e-12)
    assert torch.allclose(safe.logsumexp(-1), found.totals[:, 1], atol=1e-12)
    assert ((log_q - log_p).amax(-1) <= budget + 1e-12).all()
    # Water filling: where the cap is not reached, the ratio to the risky law is one number, and
    # nowhere is it greater.
    ratio = log_q - risky.log_softmax(-1)
    at_cap = (log_q - log_p) > budget - 1e-9
    free = torch.where(at_cap, NONE, ratio).amax(-1, keepdim=True)
    assert torch.where(at_cap, ratio <= free + 1e-9, (ratio - free).abs() < 1e-9).all()
    assert torch.allclose(torch.where(at_cap, 0, log_q.exp()).sum(-1), found.share, atol=1e-8)


def test_all_twins_agree() -> None:
    safe, risky = pair(700, seed=4)
    safe[:, ::7], risky[:, ::5] = NONE, NONE
    budgets = torch.tensor([0.0, 0.01, 0.3, 0.7, 2.0, 9.0, 90.0], dtype=torch.float64)
    for solve in (anchor, cap):
        with using(Implementation.TORCH):
            expected = solve(safe, risky, budgets)
        for one, other in zip(solve(safe, risky, budgets), expected, strict=True):
            assert torch.allclose(one.double(), other.double(), atol=1e-9)
    single, _ = pair(700, seed=9)
    assert anchor(single.float(), risky.bfloat16(), budgets).law.dtype == torch.float64
