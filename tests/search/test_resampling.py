"""Resampling: every scheme has the right expected counts, and its own bound on them."""

import math
from collections import Counter

import numpy as np
import pytest

from guided.decoding.rng import uniform
from guided.errors import InputError
from guided.search.resampling import (
    check_resampling,
    ess,
    log_mean,
    log_sum,
    normalised,
    resample,
)

SCHEMES = ["multinomial", "stratified", "systematic", "residual"]
WEIGHTS = [np.array(w) for w in ([0.5, 0.3, 0.15, 0.05], [0.25] * 4, [0.0, 0.7, 0.0, 0.3, 0.0])]


def draws(how, weights, count, run):
    return resample(how, weights, count, lambda i: uniform(run, 7, i))


@pytest.mark.parametrize("how", SCHEMES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_particle_has_n_times_its_weight_offspring_on_average(how, weights) -> None:
    runs, count = 1000, 5
    counts = np.array(
        [
            np.bincount(draws(how, weights, count, run), minlength=len(weights))
            for run in range(runs)
        ]
    )
    error = counts.std(axis=0) / math.sqrt(runs)
    assert (abs(counts.mean(axis=0) - count * weights) <= 4 * error + 1e-12).all()


@pytest.mark.parametrize(("how", "bound"), [("systematic", 1), ("stratified", 2)])
def test_counts_stay_near_what_is_expected(how, bound) -> None:
    for run in range(500):
        weights = normalised([4 * uniform(run, 1, i) for i in range(6)])
        counts = np.bincount(draws(how, weights, 6, run), minlength=6)
        assert (abs(counts - 6 * weights) < bound).all()


def test_residual_resampling_keeps_the_whole_part() -> None:
    for run in range(200):
        weights = normalised([4 * uniform(run, 1, i) for i in range(6)])
        counts = np.bincount(draws("residual", weights, 6, run), minlength=6)
        assert (counts >= np.floor(6 * weights)).all()


@pytest.mark.parametrize("how", ["stratified", "systematic", "residual"])
def test_equal_weights_leave_every_particle_where_it_is(how) -> None:
    for run in range(50):
        assert draws(how, np.full(8, 1 / 8), 8, run) == list(range(8))


@pytest.mark.parametrize("how", SCHEMES)
def test_numbers_at_the_border_never_choose_a_particle_without_weight(how) -> None:
    weights = np.array([0.0, 0.1, 0.2, 0.7 - 1e-12, 0.0])
    for number in (0.0, 1 - 2**-53):
        assert set(resample(how, weights, 4, lambda i, number=number: number)) <= {1, 2, 3}
    # Rounding may leave the sum just below one; the last with a weight fills the gap.
    third = np.array([1 / 3, 1 / 3, 1 / 3 - 1e-16, 0.0])
    assert max(resample("multinomial", third, 3, lambda i: 1 - 2**-53)) == 2


def test_the_effective_sample_size_counts_equal_weights() -> None:
    assert ess([-3.0] * 7) == pytest.approx(7, abs=1e-12)
    assert ess([0.0, -math.inf, -math.inf]) == 1
    assert ess([0.0, 0.0, -math.inf]) == pytest.approx(2, abs=1e-12)
    assert ess([700.0, 700.0]) == ess([-5000.0, -5000.0]) == 2
    values = [ess([2 * uniform(run, 1, i) for i in range(5)]) for run in range(100)]
    assert all(1 <= value <= 5 + 1e-12 for value in values)


def test_weights_survive_where_all_of_them_are_tiny_or_zero() -> None:
    assert log_sum([-1000.0, -1000.0]) == pytest.approx(-1000 + math.log(2), abs=1e-12)
    assert log_mean([-1000.0, -1000.0]) == pytest.approx(-1000, abs=1e-9)
    assert log_sum([-math.inf]) == -math.inf
    assert normalised([-math.inf, -math.inf]).tolist() == [0.5, 0.5]
    assert normalised([-9999.0, -9999.0 + math.log(3)]).tolist() == pytest.approx([0.25, 0.75])


def test_draws_depend_on_nothing_but_their_numbers() -> None:
    for how in SCHEMES:
        assert draws(how, WEIGHTS[0], 4, 3) == draws(how, WEIGHTS[0], 4, 3)
    assert len(Counter(tuple(draws("multinomial", WEIGHTS[0], 4, run)) for run in range(20))) > 1


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match=r"bootstrap.*multinomial"):
        check_resampling("bootstrap")
