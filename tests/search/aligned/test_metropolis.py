"""The kernel over texts, as an exact transition matrix on small languages."""

import itertools
import math

import numpy as np
import pytest

from guided.decoding.rng import uniform
from guided.errors import InputError
from guided.search.aligned.metropolis import (
    Course,
    check_variant,
    choose_cut,
    distance_bound,
    log_acceptance,
    log_cuts,
    log_least_cut,
    log_proposal,
)

VARIANTS = ["restart", "prefix", "priority"]
STOP, WIDTH = 0, 3


class Language:
    """A random model over tokens 0 (stop), 1 and 2, conditioned on some words over 1 and 2."""

    def __init__(self, words: list[tuple[int, ...]], seed: int) -> None:
        self.texts = [(*word, STOP) for word in words]
        self.seed = seed
        self.courses = [self._course(text) for text in self.texts]
        self.p = np.array([math.exp(course.log_p.sum()) for course in self.courses])
        self.g = np.array([math.exp(course.log_g.sum()) for course in self.courses])
        self.z = float(self.p.sum())
        self.q = self.p / self.z

    def law(self, prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.array([4 * uniform(self.seed, hash(prefix), token) for token in range(WIDTH)])
        return np.exp(logits) / np.exp(logits).sum()

    def _course(self, text: tuple[int, ...]) -> Course:
        log_p, log_m, entropies = [], [], []
        for at, token in enumerate(text):
            law = self.law(text[:at])
            legal = {other[at] for other in self.texts if other[:at] == text[:at]}
            log_p.append(math.log(law[token]))
            log_m.append(math.log(sum(law[other] for other in legal)))
            entropies.append(-float((law * np.log(law)).sum()))
        return Course(text, np.array(log_p), np.array(log_m), np.array(entropies))

    def proposals(self, variant) -> np.ndarray:
        pairs = itertools.product(self.courses, repeat=2)
        q = [math.exp(log_proposal(variant, old, new)) for old, new in pairs]
        return np.array(q).reshape(len(self.texts), -1)

    def kernel(self, variant) -> np.ndarray:
        """The transition matrix: proposals that are accepted, the rest stays."""
        pairs = itertools.product(self.courses, repeat=2)
        accepted = [math.exp(log_acceptance(variant, old, new)) for old, new in pairs]
        kernel = self.proposals(variant) * np.array(accepted).reshape(len(self.texts), -1)
        return kernel + np.diag(1 - kernel.sum(axis=1))


def tv(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum() / 2)


#: The 5-bit language of 17 words: one begins with 1, sixteen with 2; and one of mixed lengths.
BINARY = [(1, 1, 1, 1, 1), *((2, *rest) for rest in itertools.product((1, 2), repeat=4))]
MIXED = [(), (1,), (1, 1), (1, 2, 2), (2, 1), (2, 1, 1, 1), (2, 2, 1, 1, 1)]
LANGUAGES = {
    f"{name}-{seed}": Language(words, seed)
    for name, words in [("binary", BINARY), ("mixed", MIXED)]
    for seed in (1, 2)
}


@pytest.fixture(params=LANGUAGES)
def language(request) -> Language:
    return LANGUAGES[request.param]


@pytest.mark.parametrize("variant", VARIANTS)
def test_proposals_are_a_law_and_the_target_is_in_detailed_balance(language, variant) -> None:
    assert np.allclose(language.proposals(variant).sum(axis=1), 1, atol=1e-12)
    flow = language.q[:, None] * language.kernel(variant)
    assert np.abs(flow - flow.T).max() < 1e-15
    assert np.abs(language.q @ language.kernel(variant) - language.q).max() < 1e-14


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_distance_never_grows_and_stays_under_the_proven_bound(language, variant) -> None:
    kernel, law = language.kernel(variant), language.g
    entropy = float(language.courses[0].entropies[0])
    least = log_least_cut(variant, max(map(len, language.texts)), WIDTH, entropy)
    distances = [tv(law, language.q)]
    for steps in range(1, 30):
        law = law @ kernel
        distances.append(tv(law, language.q))
        assert distances[-1] <= distance_bound(least, math.log(language.z), steps) + 1e-12
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(distances))
    assert distances[-1] < distances[0]
    assert tv(language.g @ np.linalg.matrix_power(kernel, 2**20), language.q) < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bound_on_the_chance_to_restart_holds_for_every_text(language, variant) -> None:
    entropy = float(language.courses[0].entropies[0])
    least = log_least_cut(variant, max(map(len, language.texts)), WIDTH, entropy)
    assert all(log_cuts(variant, course)[0] >= least - 1e-12 for course in language.courses)


def test_restart_needs_the_local_masses_only(language) -> None:
    for old, new in itertools.product(language.courses, repeat=2):
        masses = float(new.log_m.sum() - old.log_m.sum())
        assert log_acceptance("restart", old, new) == pytest.approx(min(0.0, masses), abs=1e-12)


@pytest.mark.parametrize("variant", ["prefix", "priority"])
def test_leaving_out_the_other_cuts_would_break_the_balance(variant) -> None:
    # Why q sums over all shared prefixes: with the drawn cut alone the target is another one.
    language = LANGUAGES["mixed-1"]
    size = len(language.texts)
    kernel = np.zeros((size, size))
    for i, old in enumerate(language.courses):
        for j, new in enumerate(language.courses):
            shared = min(old.shared_with(new), len(old.tokens) - 1)
            for cut in range(shared + 1):
                forth = log_cuts(variant, old)[cut] + new.log_g[cut:].sum()
                back = log_cuts(variant, new)[cut] + old.log_g[cut:].sum()
                # The usual slip: pos is thought to be the same for both.
                back += log_cuts(variant, old)[cut] - log_cuts(variant, new)[cut]
                ratio = new.log_p.sum() - old.log_p.sum() + back - forth
                kernel[i, j] += math.exp(forth + min(0.0, ratio))
        kernel[i, i] += 1 - kernel[i].sum()
    assert np.abs(language.q @ kernel - language.q).max() > 1e-3


def test_restart_on_a_model_with_equal_odds_does_what_can_be_worked_out_by_hand() -> None:
    # Two classes: the word that is forced after its first token is masked into half of all draws
    # and should be 1 of 17; a move to it is accepted once in 16, one from it always.
    courses = []
    for word in BINARY:
        masses = [1.0, *([0.5] * 4 if word[0] == 1 else [1.0] * 4), 1.0]
        log_p = np.log([0.5] * 5 + [1.0])
        courses.append(Course((*word, STOP), log_p, np.log(masses), np.zeros(6)))
    g = np.exp([course.log_g.sum() for course in courses])
    q = np.full(17, 1 / 17)
    kernel = np.array(
        [[math.exp(log_acceptance("restart", a, b)) for b in courses] for a in courses]
    )
    kernel *= g
    kernel += np.diag(1 - kernel.sum(axis=1))
    for steps in range(12):
        law = g @ np.linalg.matrix_power(kernel, steps)
        assert tv(law, q) == pytest.approx((1 / 2 - 1 / 17) * (15 / 32) ** steps, abs=1e-14)


def test_cuts_are_drawn_by_their_chances() -> None:
    course = LANGUAGES["mixed-2"].courses[-1]
    points = [(i + 0.5) / 4000 for i in range(4000)]
    for variant in VARIANTS:
        cuts = [choose_cut(variant, course, point) for point in points]
        shares = np.bincount(cuts, minlength=len(course.tokens)) / len(points)
        assert np.abs(shares - np.exp(log_cuts(variant, course))).max() < 1e-3
    assert choose_cut("prefix", course, math.nextafter(1.0, 0.0)) == len(course.tokens) - 1


def test_priority_prefers_places_where_the_model_is_unsure() -> None:
    course = Course((1, 1, 0), np.zeros(3), np.zeros(3), np.log([1.0, 6.0, 3.0]))
    assert np.exp(log_cuts("priority", course)) == pytest.approx([0.1, 0.6, 0.3])


def test_equal_texts_are_always_accepted(language) -> None:
    for variant in VARIANTS:
        assert log_acceptance(variant, language.courses[1], language.courses[1]) == 0


def test_an_unknown_variant_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="variant='uniform' is unknown; give one of restart"):
        check_variant("uniform")
