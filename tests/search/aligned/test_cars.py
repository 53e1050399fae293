"""Adaptive and plain rejection: what is accepted has the target's law whatever was learnt."""

from __future__ import annotations

import copy
import math
from collections import Counter

import pytest

from guided.controls import GrammarMask
from guided.errors import InputError
from guided.grammars.regex import regex
from guided.search import Budget
from guided.search.aligned.asap import ASAp
from guided.search.aligned.cars import ARS, CARS
from guided.search.aligned.prefix_trie import PrefixTrie
from guided.search.aligned.proposal import Opening
from guided.search.aligned.rejection import Rejection
from guided.search.aligned.tries import Tries
from guided.testing import check_search_laws, table_model
from tests.search.aligned.exact_tries import BITS, SPELLED, TOYS, Toy, futures, variation

SMALL = Toy(table_model(tokens=[b"a", b"b"], seed=6, spread=2), "ab?|b", 3)
METHODS = [
    CARS(),
    ARS(),
    ARS(masks_first=False),
    Rejection(),
    Rejection(masks_first=True),
]
ADAPTIVE = [(Opening.NEW, True), (Opening.EVERYWHERE, True), (Opening.EVERYWHERE, False)]


def target(law):
    total = math.fsum(law.values())
    return {w: p / total for w, p in law.items()}


def run(toy, search, seed=0, **options):
    return search.run(toy.model, "ab", seed=seed, **(toy.run_options | options))


def tokens(result):
    return [candidate.result.tokens for candidate in result.candidates]


def with_n(search, n, **more):
    return type(search)(**(vars(search) | {"n": n} | more))


def begun(toy, opening, masks_root):
    """A proposal whose trie knows the first token's law, as a run's does."""
    proposal = toy.proposal(PrefixTrie(), opening, masks_root)
    walks = toy.drawn(proposal, [next(iter(toy.law()))])
    state = walks.walks[0].branch.states[-1].path()[0]
    _, log_mass = proposal.counted(state, state.measure)
    proposal.trie.expand(proposal.trie.root, log_mass, {})
    proposal.trie.refresh(proposal.trie.root)
    return proposal


def first_accepted(toy, proposal, depth):
    """P(attempt k is the first accepted, and its text is w) by all histories of rejections.

    On the way every proposal is checked: an attempt is accepted with probability Z / th(root).
    """
    law = toy.law()
    outcomes = toy.proposed(proposal)
    assert sum(outcomes.values()) == pytest.approx(1, rel=1e-12)
    accepted = {w: p for w, p in outcomes.items() if w in law}
    bound = math.exp(proposal.trie.log_bound)
    assert math.fsum(accepted.values()) == pytest.approx(sum(law.values()) / bound, rel=1e-11)
    for node, truth in futures(law, proposal.trie):
        assert truth <= math.exp(node.log_bound) * (1 + 1e-12)
    found = [accepted]
    if depth > 1:
        found += [{} for _ in range(depth - 1)]
        for word, p in outcomes.items():
            if word in law:
                continue
            after = copy.copy(proposal)
            after.trie = copy.deepcopy(proposal.trie)
            toy.learn(after, [word])
            # What was rejected is avoided from now on, at least.
            assert math.exp(after.trie.log_bound) <= bound * (1 - p) * (1 + 1e-12)
            for later, chances in enumerate(first_accepted(toy, after, depth - 1), start=1):
                for text, chance in chances.items():
                    found[later][text] = found[later].get(text, 0.0) + p * chance
    return found


@pytest.mark.parametrize(("opening", "masks_root"), ADAPTIVE)
def test_the_first_accepted_text_has_the_targets_law_after_any_history(
    opening: Opening, masks_root: bool
) -> None:
    aim = target(SMALL.law())
    proposal = begun(SMALL, opening, masks_root)
    assert proposal.trie.log_bound < 0 or not masks_root
    for accepted in first_accepted(SMALL, proposal, 3):
        total = sum(accepted.values())
        assert total > 0.01
        assert {w: p / total for w, p in accepted.items()} == pytest.approx(aim, rel=1e-11)


@pytest.mark.parametrize(("opening", "masks_root"), ADAPTIVE)
@pytest.mark.parametrize("name", ["spelled", "cool", "cut"])
def test_an_attempt_is_accepted_with_probability_z_over_the_bound(
    name: str, opening: Opening, masks_root: bool
) -> None:
    toy = TOYS[name]
    law = toy.law()
    proposal = begun(toy, opening, masks_root)
    bounds = [proposal.trie.log_bound]
    for _ in range(8):
        outcomes = toy.proposed(proposal)
        bound = math.exp(bounds[-1])
        for word, p in law.items():
            assert outcomes[word] == pytest.approx(p / bound, rel=1e-10)
        rejected = [w for w in outcomes if w not in law]
        if not rejected:
            break
        # A whole round of draws, all rejected and one accepted.
        toy.learn(proposal, [*rejected[:3], next(iter(law))])
        bounds.append(proposal.trie.log_bound)
    assert bounds == sorted(bounds, reverse=True)
    assert math.exp(bounds[-1]) >= sum(law.values()) * (1 - 1e-12)


def test_masks_teach_more_than_the_rejected_token() -> None:
    # The published example: after 0++ was rejected ARS knows one prefix, CARS all that is illegal.
    bounds = {}
    for opening in (Opening.NEW, Opening.EVERYWHERE):
        proposal = begun(SPELLED, opening, True)
        rejected = next(w for w in SPELLED.proposed(proposal) if w not in SPELLED.law())
        SPELLED.learn(proposal, [rejected])
        bounds[opening] = proposal.trie.log_bound
    assert bounds[Opening.NEW] < bounds[Opening.EVERYWHERE] < 0


def test_with_the_complement_learnt_nothing_is_rejected_any_more() -> None:
    law = SPELLED.law()
    tries = Tries()
    run(SPELLED, CARS(300, tries=tries))
    (trie,) = (tries[key] for key in tries.keys())  # noqa: SIM118
    outcomes = SPELLED.proposed(SPELLED.proposal(trie, Opening.NEW))
    assert outcomes == pytest.approx(target(law), rel=1e-9)
    assert math.exp(trie.log_bound) == pytest.approx(sum(law.values()), rel=1e-9)
    again = run(SPELLED, CARS(50, tries=tries), seed=1).certificate
    assert again.accepted == again.attempts


@pytest.mark.parametrize("search", METHODS, ids=repr)
def test_what_is_accepted_has_the_targets_law(search) -> None:
    aim, count = target(SPELLED.law()), 400
    result = run(SPELLED, with_n(search, count))
    assert len(result.candidates) == count
    counts = Counter(tokens(result))
    for word, p in aim.items():
        band = 4.5 * math.sqrt(p * (1 - p) / count)
        assert counts[word] / count == pytest.approx(p, abs=band + 1e-3)
    certificate = result.certificate
    total = sum(SPELLED.law().values())
    assert certificate.z == pytest.approx(total, abs=5 * certificate.z_error)
    assert 0 < certificate.z_error < 0.1
    assert result.log_z == certificate.log_z == pytest.approx(math.log(certificate.z))
    assert certificate.log_drawn <= math.log(total) + 1e-12
    assert math.log(total) <= certificate.log_bound + 1e-12
    assert not certificate.cut
    assert count <= certificate.accepted <= certificate.attempts
    assert certificate.passes == result.spent["passes"]
    # Masking is nowhere near the target.
    assert variation(SPELLED.proposed(SPELLED.proposal()), aim) > 0.4


@pytest.mark.parametrize("search", [CARS(6, batch=3), ARS(6, batch=3)], ids=repr)
def test_an_attempt_counts_with_the_bound_before_it(search) -> None:
    opening = Opening.NEW if isinstance(search, CARS) else Opening.EVERYWHERE
    bound, accepted, estimates = begun(SPELLED, opening, True).trie.log_bound, 0, 0.0
    *rounds, result = search.iterate(SPELLED.model, "ab", **SPELLED.run_options)
    for event in rounds:
        estimates += (event.info["accepted"] - accepted) * math.exp(bound)
        accepted, bound = event.info["accepted"], event.info["log_bound"]
    assert len(rounds) > 1
    assert bound < -0.1
    attempts = rounds[-1].info["attempts"]
    assert result.certificate.z == pytest.approx(estimates / attempts, rel=1e-9)


def test_learning_spares_attempts() -> None:
    spent = {
        type(search).__name__: run(BITS, with_n(search, 20)).certificate.attempts
        for search in (CARS(), ARS(), Rejection())
    }
    assert spent["CARS"] < spent["ARS"] < spent["Rejection"]


@pytest.mark.parametrize("search", METHODS, ids=repr)
def test_guesses_and_other_prompts_change_nothing(search) -> None:
    search = with_n(search, 8, batch=4)
    alone = run(SPELLED, search)
    assert tokens(run(SPELLED, search, draft="auto")) == tokens(alone)
    first, second = search.run(SPELLED.model, ["ab", "ba"], **SPELLED.run_options)
    assert tokens(first) == tokens(alone)
    assert first.certificate.z == alone.certificate.z
    assert tokens(second) == tokens(search.run(SPELLED.model, "ba", **SPELLED.run_options))


@pytest.mark.parametrize("search", [CARS(6, batch=4), Rejection(6, batch=4)], ids=repr)
def test_they_obey_the_laws_of_searches(search) -> None:
    options = {key: value for key, value in SPELLED.run_options.items() if key != "draft"}
    check_search_laws(search, SPELLED.model, ["ab", "b"], most_at_once=4, **options)


@pytest.mark.parametrize("search", METHODS, ids=repr)
def test_attempts_are_bounded_and_what_was_accepted_is_returned(search) -> None:
    result = run(BITS, with_n(search, 8, max_attempts=8))
    assert result.stopped == "attempts"
    assert result.certificate.cut
    assert result.certificate.attempts == 8
    assert len(result.candidates) == result.certificate.accepted < 8
    if not result.candidates:
        assert result.best.finish_reason == "cut"
    part = run(SPELLED, with_n(search, 500), budget=Budget(tokens=40))
    assert part.stopped == "tokens"
    assert part.certificate.cut
    assert 0 < len(part.candidates) < 100
    assert set(tokens(part)) <= set(SPELLED.law())


def test_no_valid_mass_ends_adaptive_rejection_by_itself() -> None:
    model = table_model(tokens=[b"a", b"b"], seed=1, horizon=4)
    options = {"regex": "[ab]{5}", "max_new_tokens": 7, "heal": False}
    result = CARS(4).run(model, "ab", **options)
    assert result.stopped == "no_mass"
    assert result.certificate.log_bound == -math.inf
    assert result.certificate.z == 0
    assert result.log_z is None
    plain = Rejection(4, max_attempts=40).run(model, "ab", **options)
    assert plain.stopped == "attempts"
    assert plain.certificate.log_z == -math.inf
    assert plain.certificate.acceptance == 0
    assert plain.certificate.passes_per_text == math.inf


def test_what_rejection_learnt_serves_asap_and_the_other_way_round() -> None:
    law, tries = SPELLED.law(), Tries()
    learnt = run(SPELLED, CARS(10, tries=tries)).certificate
    asap = run(SPELLED, ASAp(10, tries=tries)).certificate
    assert len(tries) == 1
    assert asap.distances[0] < 1
    assert asap.log_bound <= learnt.log_bound
    (trie,) = (tries[key] for key in tries.keys())  # noqa: SIM118
    outcomes = SPELLED.proposed(SPELLED.proposal(trie, Opening.NEW))
    accepted = {w: p for w, p in outcomes.items() if w in law}
    assert accepted == pytest.approx(
        {w: p / math.exp(trie.log_bound) for w, p in law.items()}, rel=1e-10
    )
    run(SPELLED, ARS(10, tries=tries))
    assert len(tries) == 2


def test_texts_that_the_limit_cuts_are_rejected_and_teach_nothing() -> None:
    # Without the budget in the mask a text may be cut; the target is that of texts that fit.
    control = GrammarMask(regex("a[ab]*"), within_budget=False)
    toy = Toy(BITS.model, "a[ab]*", 3)
    aim = target(toy.law())
    options = {"max_new_tokens": 3, "heal": False, "draft": None, "controls": [control]}
    result = CARS(300).run(toy.model, "ab", **options)
    counts = Counter(tokens(result))
    assert set(counts) == set(aim)
    for word, p in aim.items():
        band = 4.5 * math.sqrt(p * (1 - p) / 300)
        assert counts[word] / 300 == pytest.approx(p, abs=band + 1e-3)
    assert result.certificate.accepted < result.certificate.attempts
    assert result.certificate.z == pytest.approx(
        sum(toy.law().values()), abs=5 * result.certificate.z_error
    )


def test_numbers_out_of_range_are_refused() -> None:
    for kind in (CARS, ARS, Rejection):
        for wrong in [{"n": 0}, {"batch": 0}, {"max_attempts": 0}]:
            with pytest.raises(InputError):
                kind(**wrong)
