"""The estimators themselves, over every outcome of their draws, in rational arithmetic."""

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from guided.search.aligned.estimators import (
    Weighted,
    first_accepted,
    geometric,
    recursive,
    share,
    two_loop,
)

Law = tuple[Fraction, ...]

LAWS: dict[str, Law] = {
    "skewed": tuple(Fraction(n, 10) for n in (4, 3, 2, 1)),
    "peaked": tuple(Fraction(n, 20) for n in (15, 2, 2, 1)),
    "with a zero": tuple(Fraction(n, 6) for n in (3, 0, 2, 1)),
    "pruned": tuple(Fraction(n, 10) for n in (3, 2, 1)),
    "five": tuple(Fraction(n, 15) for n in (5, 4, 3, 2, 1)),
    "one": (Fraction(1),),
}


class Paths:
    """Runs a program of random choices once for every way that they can turn out."""

    def __init__(self) -> None:
        self.script: list[int] = []
        self.sizes: list[int] = []
        self.chance = Fraction(1)

    def choose(self, chances: list[Fraction]) -> int:
        """The index of the outcome of one choice, on the path that is being followed."""
        at = len(self.sizes)
        if at == len(self.script):
            self.script.append(0)
        self.sizes.append(len(chances))
        self.chance *= chances[self.script[at]]
        return self.script[at]

    def follow(self, run: Callable[[], object]) -> Iterator[tuple[Fraction, object]]:
        """The chance of every path, and what the program gives there."""
        while True:
            self.sizes, self.chance = [], Fraction(1)
            found = run()
            yield self.chance, found
            while self.script and self.script[-1] + 1 == self.sizes[len(self.script) - 1]:
                self.script.pop()
            if not self.script:
                return
            self.script[-1] += 1


class RationalUrn:
    """An urn whose draws are the choices of `paths`."""

    #: Redraws beyond this are counted as this many, where the caller sets no bound.
    MOST = 25

    def __init__(self, law: Law, paths: Paths) -> None:
        self.masses = dict(enumerate(law))
        self.total = self.left = sum(law)
        self.paths = paths

    def draw(self) -> tuple[int, Fraction]:
        likely = {token: mass for token, mass in self.masses.items() if mass}
        at = self.paths.choose([mass / self.left for mass in likely.values()])
        return list(likely.items())[at]

    def remove(self, token: int) -> None:
        self.left -= self.masses.pop(token)

    def redrawn(self, most: int | None) -> int:
        most = self.MOST if most is None else most
        success = self.left / self.total
        chances = [(1 - success) ** k * success for k in range(most)]
        return self.paths.choose([*chances, 1 - sum(chances)])


class Checks:
    """Accepts a set of tokens, remembers what it has said, and counts what it is asked anew."""

    def __init__(self, accepted: set[int]) -> None:
        self.accepted = accepted
        self.asked: set[int] = set()
        self.calls = 0

    def __call__(self, token: int) -> bool:
        self.calls += 1
        self.asked.add(token)
        return token in self.accepted


Estimator = Callable[[RationalUrn, Checks], Weighted | None]


def expected(estimator: Estimator, law: Law, accepted: set[int]) -> dict[int, Fraction]:
    """E[w 1{x = a}] by token. Where the estimator leaves it to the caller, that is done right."""
    paths, mean = Paths(), dict.fromkeys(range(len(law)), Fraction(0))
    mass = sum((law[a] for a in accepted), Fraction(0))
    everything = Fraction(0)
    for chance, found in paths.follow(lambda: estimator(RationalUrn(law, paths), Checks(accepted))):
        everything += chance
        if found is None:
            for a in accepted:
                mean[a] += chance * law[a]
        elif found.weight:
            assert found.token in accepted
            mean[found.token] += chance * found.weight
    assert everything == 1
    assert mass <= sum(law)
    return mean


def subsets(width: int) -> Iterator[set[int]]:
    for size in range(width + 1):
        yield from map(set, itertools.combinations(range(width), size))


PROPER: dict[str, Estimator] = {
    "two_loop": two_loop,
    "recursive": recursive,
    **{
        f"recursive, {most} rejections": lambda urn, accept, most=most: recursive(urn, accept, most)
        for most in (1, 2, 3)
    },
    **{
        f"recursive, patient for {n}": lambda urn, accept, n=n: recursive(urn, accept, None, n)
        for n in (1, 2, 3)
    },
    "recursive, both": lambda urn, accept: recursive(urn, accept, 3, 2),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("estimator", PROPER.values(), ids=PROPER)
def test_weights_are_the_probabilities_on_average_for_every_accepted_set(estimator, law) -> None:
    for accepted in subsets(len(law)):
        right = {a: law[a] if a in accepted else Fraction(0) for a in range(len(law))}
        assert expected(estimator, law, accepted) == right


@pytest.mark.parametrize(
    ("name", "accepts", "most"),
    [
        ("skewed", 2, 1),
        ("skewed", 2, 2),
        ("pruned", 2, 3),
        ("with a zero", 2, 2),
        ("one", 2, 2),
        ("pruned", 3, 2),
        ("pruned", 4, 2),
    ],
)
def test_so_they_are_with_replacement_where_rejections_are_limited(name, accepts, most) -> None:
    law = LAWS[name]

    def estimator(urn: RationalUrn, accept: Checks) -> Weighted:
        return geometric(urn, accept, accepts, most)

    for accepted in subsets(len(law)):
        right = {a: law[a] if a in accepted else Fraction(0) for a in range(len(law))}
        assert expected(estimator, law, accepted) == right


def test_and_where_they_are_not_as_far_as_redraws_are_counted() -> None:
    law = (Fraction(3, 4), Fraction(1, 4))
    # A redraw that is not counted has a chance of 4 ** -25.
    found = expected(geometric, law, {0})
    assert float(found[0]) == pytest.approx(0.75, abs=1e-14)
    assert found[1] == 0


@pytest.mark.parametrize("accepts", [2, 3, 4])
@pytest.mark.parametrize("most", [2, 5, None])
@pytest.mark.parametrize("mass", [Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
def test_the_share_of_accepted_draws_has_the_accepted_mass_as_its_mean(accepts, most, mass) -> None:
    # Until A are accepted: r rejections come in any order before the last accepted draw.
    mean = Fraction(0)
    for r in range(most if most is not None else 700):
        ways = math.comb(accepts + r - 1, r)
        chance = ways * mass**accepts * (1 - mass) ** r
        over, under = share(accepts, r, accepts)
        mean += chance * Fraction(over, under)
    if most is None:
        assert float(mean) == pytest.approx(float(mass), abs=1e-12)
        return
    # Until M are rejected: a < A accepted come in any order before the last rejected draw.
    for a in range(1, accepts):
        chance = math.comb(a + most - 1, a) * mass**a * (1 - mass) ** most
        mean += chance * Fraction(*share(a, most, accepts))
    assert mean == mass


def test_a_second_loop_alone_would_be_biased() -> None:
    """Counting only the second loop's rejections is a mistake that the tests above would find."""

    def wrong(urn: RationalUrn, accept: Checks) -> Weighted:
        token, _ = urn.draw()
        while not accept(token):
            urn.remove(token)
            token, _ = urn.draw()
        found, left, rejects = token, urn.left, 0
        token, _ = urn.draw()
        while not accept(token):
            urn.remove(token)
            rejects += 1
            token, _ = urn.draw()
        return Weighted(found, left / (rejects + 1))

    law = LAWS["skewed"]
    # Of p = (.4, .3, .2, .1) tokens 1 and 3 are accepted: 31/75 and not p(1) = 3/10.
    assert expected(wrong, law, {1, 3})[1] == Fraction(31, 75)
    assert expected(two_loop, law, {1, 3})[1] == Fraction(3, 10)


@pytest.mark.parametrize("patience", [None, 1, 2])
def test_the_improper_one_draws_from_the_masked_law(patience) -> None:
    law = LAWS["skewed"]

    def estimator(urn: RationalUrn, accept: Checks) -> Weighted | None:
        found = first_accepted(urn, accept, None, patience)
        if found is not None:
            return found
        # The caller then draws from the masked law.
        kept = [a for a in range(len(law)) if a in accept.accepted]
        if not kept:
            return Weighted(0, Fraction(0))
        mass = sum(law[a] for a in kept)
        return Weighted(kept[urn.paths.choose([law[a] / mass for a in kept])], Fraction(1))

    for accepted in subsets(len(law)):
        mass = sum(law[a] for a in accepted)
        found = expected(estimator, law, accepted)
        assert found == {a: law[a] / mass if a in accepted else 0 for a in range(len(law))}


def test_the_improper_one_gives_up_after_so_many_rejections() -> None:
    law = LAWS["skewed"]
    found = expected(lambda urn, accept: first_accepted(urn, accept, 1), law, {1, 2})
    # No more than the first token is looked at.
    assert found == {0: 0, 1: law[1], 2: law[2], 3: 0}


def runs(estimator: Estimator, law: Law, accepted: set[int]) -> Iterator[tuple[Checks, Weighted]]:
    """Every outcome, with what was checked for it."""
    paths, last = Paths(), []

    def run() -> Weighted | None:
        last[:] = [Checks(accepted)]
        return estimator(RationalUrn(law, paths), last[0])

    for _, found in paths.follow(run):
        yield last[0], found


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_recursive_one_checks_one_token_more_than_it_has_to(law) -> None:
    for accepted in subsets(len(law)):
        for checks, _ in runs(recursive, law, accepted):
            rejections = len(checks.asked - accepted)
            assert checks.calls <= rejections + 2
            assert checks.calls == len(checks.asked)


@pytest.mark.parametrize("estimator", [two_loop, recursive, first_accepted])
def test_tokens_without_probability_are_never_checked(estimator) -> None:
    law = LAWS["with a zero"]
    for accepted in subsets(len(law)):
        for checks, _ in runs(estimator, law, accepted):
            assert 1 not in checks.asked


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_is_rejected_than_allowed(most) -> None:
    law = LAWS["pruned"]
    for estimator in (recursive, first_accepted, lambda u, a, m: geometric(u, a, 2, m)):
        for accepted in subsets(len(law)):
            for checks, _ in runs(lambda u, a, e=estimator: e(u, a, most), law, accepted):
                assert len(checks.asked - accepted) <= most


def test_a_token_that_is_likely_and_accepted_needs_less_than_two_checks_with_replacement() -> None:
    law, accepted, paths = (Fraction(3, 4), Fraction(1, 4)), {0}, Paths()
    mean, last = Fraction(0), []

    def run() -> Weighted:
        last[:] = [Checks(accepted)]
        return geometric(RationalUrn(law, paths), last[0], 2, 20)

    for chance, _ in paths.follow(run):
        mean += chance * len(last[0].asked)
    assert mean < 2
