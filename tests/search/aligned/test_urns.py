"""Drawing without replacement from logits, against plain arithmetic."""

import itertools

import numpy as np
import pytest

from guided.decoding.sampling import Stream
from guided.kernels.mask_apply import pack_tokens
from guided.search.aligned.urns import LogitUrn, Numbers

RANDOM = np.random.default_rng(4)


class Grid:
    """Numbers from 0 to 1, evenly spaced, again and again."""

    def __init__(self, count: int) -> None:
        self.numbers = itertools.cycle((np.arange(count) + 0.5) / count)

    def __call__(self) -> float:
        return float(next(self.numbers))


def logits_of(width: int, nothing: float = 0.3) -> np.ndarray:
    logits = RANDOM.normal(size=width) * 3
    logits[RANDOM.random(width) < nothing] = -np.inf
    logits[RANDOM.integers(width)] = 2.0
    return logits


def masses(logits: np.ndarray, gone: set[int] = frozenset()) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    weights[list(gone)] = 0
    return weights


@pytest.mark.parametrize("width", [1, 5, 512, 513, 3000])
def test_masses_are_the_exponentials_and_what_is_left_their_sum(width) -> None:
    logits = logits_of(width)
    urn = LogitUrn(logits, Grid(7))
    assert urn.total == pytest.approx(masses(logits).sum(), rel=1e-13)
    assert urn.log_total == pytest.approx(np.logaddexp.reduce(logits), abs=1e-12)
    gone: set[int] = set()
    while urn.left > 0:
        token, mass = urn.draw()
        assert token not in gone
        assert mass == pytest.approx(masses(logits)[token], rel=1e-13)
        assert mass > 0
        urn.remove(token)
        gone.add(token)
        assert urn.left == pytest.approx(masses(logits, gone).sum(), rel=1e-12, abs=0)
        if len(gone) > 40:
            return
    assert gone == set(np.flatnonzero(logits > -np.inf).tolist())


def test_the_logits_that_were_given_stay_as_they_are() -> None:
    logits = logits_of(600)
    before = logits.copy()
    urn = LogitUrn(logits, Grid(3))
    urn.remove(urn.draw()[0])
    urn.restricted(pack_tokens([1, 2, 3], 600))
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("width", [6, 700])
def test_tokens_come_in_proportion_to_their_masses_with_some_gone(width) -> None:
    logits = logits_of(width)
    count = 20_000
    urn, gone = LogitUrn(logits, Grid(count)), {int(np.argmax(logits))}
    urn.remove(*gone)
    seen = np.zeros(width)
    for _ in range(count):
        seen[urn.draw()[0]] += 1 / count
    right = masses(logits, gone) / masses(logits, gone).sum()
    # By inversion over a grid, each is off by less than the grid's width.
    assert np.abs(seen - right).max() <= 1.001 / count


def test_redraws_are_the_failures_before_a_success() -> None:
    logits = np.log([0.5, 0.25, 0.25])
    count = 4096
    urn = LogitUrn(logits, Grid(count))
    assert urn.redrawn(None) == 0
    urn.remove(0)
    found = np.bincount([urn.redrawn(None) for _ in range(count)], minlength=6)[:6] / count
    assert found == pytest.approx([2.0 ** -(k + 1) for k in range(6)], abs=1.001 / count)
    assert max(urn.redrawn(3) for _ in range(count)) == 3


def test_a_mask_leaves_its_tokens_those_that_were_removed_too() -> None:
    logits = logits_of(100, nothing=0.1)
    allowed = [3, 40, 41, 99]
    logits[[3, 41, 99]], logits[40] = (1.0, -2.0, 0.5), -np.inf
    count = 5000
    urn = LogitUrn(logits, Grid(count))
    urn.remove(41)
    drawn = [urn.restricted(pack_tokens(allowed, 100)) for _ in range(count)]
    inside = masses(logits)[allowed]
    assert {log_mass for _, log_mass in drawn} == {drawn[0][1]}
    assert drawn[0][1] == pytest.approx(np.log(inside.sum() / masses(logits).sum()), abs=1e-12)
    shares = [sum(token == a for token, _ in drawn) / count for a in allowed]
    assert shares == pytest.approx((inside / inside.sum()).tolist(), abs=1.001 / count)
    assert urn.restricted(pack_tokens([40], 100)) is None


def test_masses_far_below_the_greatest_are_not_lost() -> None:
    logits = np.array([0.0, -2000.0, -2001.0])
    token, log_mass = LogitUrn(logits, Grid(2)).restricted(pack_tokens([1, 2], 3))
    assert token == 1
    assert log_mass == pytest.approx(-2000 + np.log1p(np.exp(-1)))


def test_numbers_are_those_of_their_stream() -> None:
    first, same = (Numbers(Stream(1, 2, 3)) for _ in range(2))
    values = [first() for _ in range(1000)]
    assert values == [same() for _ in range(1000)]
    assert len(set(values)) == 1000
    assert 0 <= min(values) < 0.01 < 0.99 < max(values) < 1
    for other in (Stream(0, 2, 3), Stream(1, 0, 3), Stream(1, 2, 0)):
        assert Numbers(other)() != values[0]
