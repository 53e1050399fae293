"""ASAp: its law, its certificate and its weights, against the enumerated target."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from guided.controls import BanTokens, MeasuredMask
from guided.errors import ControlError, InputError
from guided.grammars.regex import regex
from guided.search import Budget
from guided.search.aligned.asap import ASAp
from guided.search.aligned.proposal import Opening
from guided.search.aligned.tries import Tries
from guided.testing import check_search_laws, enumerate_sequences, table_model
from tests.search.aligned.exact_tries import BITS, CUT, SPELLED, STOP, TOYS, futures, variation


def target(law):
    total = math.fsum(law.values())
    return {w: p / total for w, p in law.items()}


def run(toy, search, seed=0, **options):
    return search.run(toy.model, "ab", seed=seed, **(toy.run_options | options))


def tokens(result):
    return [candidate.result.tokens for candidate in result.candidates]


@pytest.mark.parametrize("name", TOYS)
def test_before_any_draw_its_law_is_that_of_masking(name: str) -> None:
    toy = TOYS[name]
    mask = MeasuredMask(regex(toy.pattern))
    masked = enumerate_sequences(toy.model, toy.prompt, [*toy.controls, mask], toy.limit)
    assert toy.proposed(toy.proposal()) == pytest.approx(masked, rel=1e-12)


@pytest.mark.parametrize("name", TOYS)
def test_the_certificate_holds_after_every_draw(name: str) -> None:
    toy, tries = TOYS[name], Tries()
    law = toy.law()
    aim, total = target(law), math.fsum(law.values())
    proposal, drawn = toy.proposal(), set()
    before = 0.0
    for seed in range(12):
        result = run(toy, ASAp(tries=tries, max_attempts=20), seed)
        drawn.update(tokens(result))
        (trie,) = (tries[key] for key in tries.keys())  # noqa: SIM118
        proposal.trie, bound = trie, math.exp(trie.log_bound)
        now = toy.proposed(proposal)
        assert trie.log_bound <= before + 1e-12
        assert bound >= total * (1 - 1e-12)
        for node, truth in futures(law, trie):
            assert truth <= math.exp(node.log_bound) * (1 + 1e-12)
        for word in drawn:
            assert now[word] == pytest.approx(law[word] / bound, rel=1e-10)
        assert math.exp(trie.log_drawn) == pytest.approx(sum(law[w] for w in drawn), rel=1e-10)
        certificate = result.certificate
        assert variation(now, aim) <= certificate.distance + 1e-9
        assert certificate.distance == pytest.approx(1 - sum(law[w] for w in drawn) / bound)
        assert certificate.log_bound == trie.log_bound == certificate.proofs[-1].log_bound
        before = trie.log_bound


def test_once_the_whole_language_was_drawn_its_law_is_the_target() -> None:
    result = run(SPELLED, ASAp(400))
    law = SPELLED.law()
    assert set(tokens(result)) == set(law)
    assert result.certificate.distance == pytest.approx(0, abs=1e-12)
    assert math.exp(result.certificate.log_bound) == pytest.approx(sum(law.values()), rel=1e-10)
    tries = Tries()
    run(SPELLED, ASAp(400, tries=tries))
    (trie,) = (tries[key] for key in tries.keys())  # noqa: SIM118
    assert SPELLED.proposed(SPELLED.proposal(trie)) == pytest.approx(target(law), rel=1e-9)


def test_what_is_drawn_has_the_law_of_its_round() -> None:
    # The first round goes by the mask alone, and weights make up for that.
    law = SPELLED.law()
    masked = SPELLED.proposed(SPELLED.proposal())
    result = run(SPELLED, ASAp(600, batch=600))
    counts = Counter(tokens(result))
    for word, p in masked.items():
        band = 4.5 * math.sqrt(p * (1 - p) / 600)
        assert counts[word] / 600 == pytest.approx(p, abs=band + 1e-3)
    ratios = [law[c.result.tokens] / masked[c.result.tokens] for c in result.candidates]
    weights = [candidate.weight for candidate in result.candidates]
    assert weights == pytest.approx([each / sum(ratios) for each in ratios], rel=1e-9)
    assert result.log_z == pytest.approx(math.log(sum(ratios) / 600), abs=1e-9)
    assert result.certificate.distances == (1.0,) * 600


def test_in_rounds_the_bound_of_a_draw_is_that_of_the_law_it_came_from() -> None:
    whole = run(SPELLED, ASAp(20, batch=5)).certificate
    assert len(whole.distances) == len(whole.proofs) == 20
    for round_ in range(1, 4):
        before = whole.proofs[5 * round_ - 1].distance
        assert whole.distances[5 * round_ : 5 * round_ + 5] == (before,) * 5
    bounds = [proof.log_bound for proof in whole.proofs]
    assert bounds == sorted(bounds, reverse=True)


def test_weights_correct_what_the_law_still_lacks() -> None:
    law = BITS.law()
    aim = target(law)
    result = run(BITS, ASAp(400, batch=40))
    found: Counter = Counter()
    for candidate in result.candidates:
        found[candidate.result.tokens] += candidate.weight
    assert sum(found.values()) == pytest.approx(1)
    assert variation(dict(found), aim) < 0.1
    assert math.exp(result.log_z) == pytest.approx(sum(law.values()), rel=0.15)


def test_dead_ends_are_learnt_and_are_no_texts() -> None:
    law = CUT.law()
    masked = CUT.proposed(CUT.proposal())
    assert sum(p for w, p in masked.items() if w not in law) > 0.1
    result = run(CUT, ASAp(300, batch=4))
    assert set(tokens(result)) <= set(law)
    assert len(result.candidates) == 300
    assert result.stopped is None
    assert len(result.certificate.proofs) > 300
    assert variation({w: c / 300 for w, c in Counter(tokens(result)).items()}, target(law)) < 0.15


@pytest.mark.parametrize("name", ["spelled", "cut"])
def test_guesses_and_other_prompts_change_nothing(name: str) -> None:
    toy = TOYS[name]
    alone = run(toy, ASAp(12, batch=4))
    drafted = run(toy, ASAp(12, batch=4), draft="auto")
    assert tokens(drafted) == tokens(alone)
    assert drafted.certificate.log_bound == pytest.approx(alone.certificate.log_bound, abs=1e-12)
    search = ASAp(12, batch=4)
    first, second = search.run(toy.model, ["ab", "ba"], **toy.run_options)
    assert tokens(first) == tokens(alone)
    assert first.certificate == alone.certificate
    assert tokens(second) == tokens(search.run(toy.model, "ba", **toy.run_options))


def test_it_obeys_the_laws_of_searches() -> None:
    options = {key: value for key, value in SPELLED.run_options.items() if key != "draft"}
    check_search_laws(ASAp(10, batch=4), SPELLED.model, ["ab", "b"], most_at_once=4, **options)
    check_search_laws(
        ASAp(10, batch=4),
        SPELLED.model,
        ["ab", "b"],
        lambda prompt, text: float(len(text)),
        most_at_once=4,
        **options,
    )


def test_the_result_is_the_first_draw_or_the_one_that_the_reward_prefers() -> None:
    result = run(SPELLED, ASAp(20))
    assert result.best.tokens == result.candidates[0].result.tokens
    assert result.best.finish_reason in ("stop", "budget")
    best = ASAp(20).run(
        SPELLED.model, "ab", lambda prompt, text: float(len(text)), **SPELLED.run_options
    )
    assert tokens(best) == tokens(result)
    assert len(best.text) == max(len(c.result.text) for c in result.candidates)


def test_a_model_that_says_nothing_legal_is_told_and_ends_the_search() -> None:
    # From its fifth token on, prompt included, the model only stops.
    model = table_model(tokens=[b"a", b"b"], seed=1, horizon=5)
    result = ASAp(4).run(model, "ab", regex="[ab]{6}", max_new_tokens=9, heal=False)
    assert result.stopped == "no_mass"
    assert result.candidates == ()
    assert result.best.finish_reason == "cut"
    assert result.certificate.log_bound == -math.inf
    assert result.certificate.distance == 1
    few = ASAp(4, max_attempts=4, batch=1)
    assert few.run(model, "ab", regex="[ab]{6}", max_new_tokens=9, heal=False).stopped in (
        "attempts",
        "no_mass",
    )


def test_a_budget_leaves_what_was_drawn_and_learnt_until_then() -> None:
    whole = run(SPELLED, ASAp(50, batch=5))
    tries = Tries()
    part = run(SPELLED, ASAp(50, batch=5, tries=tries), budget=Budget(tokens=60))
    assert part.stopped == "tokens"
    assert 10 <= len(part.candidates) < 50
    assert set(tokens(part)) <= set(SPELLED.law())
    assert tokens(part)[:10] == tokens(whole)[:10]
    assert part.certificate.proofs[:10] == whole.certificate.proofs[:10]
    (trie,) = (tries[key] for key in tries.keys())  # noqa: SIM118
    assert part.certificate.log_bound == trie.log_bound < 0


def test_bans_are_part_of_the_law_and_stop_strings_are_refused() -> None:
    law = enumerate_sequences(SPELLED.model, SPELLED.prompt, [BanTokens([3])], SPELLED.limit)
    kept = {w: law[w] for w in SPELLED.law() if w in law}
    result = run(SPELLED, ASAp(300), controls=[BanTokens([3])])
    assert set(tokens(result)) == set(kept)
    assert math.exp(result.certificate.log_bound) == pytest.approx(sum(kept.values()), rel=1e-9)
    with pytest.raises(ControlError, match="ASAp counts the chance of the stop token"):
        run(SPELLED, ASAp(), stop=["x"])
    with pytest.raises(ControlError, match="ASAp aligns a grammar"):
        ASAp().run(SPELLED.model, "ab", heal=False)


def test_numbers_out_of_range_are_refused() -> None:
    for wrong in [{"n": 0}, {"batch": 0}, {"n": 5, "max_attempts": 4}]:
        with pytest.raises(InputError):
            ASAp(**wrong)
    with pytest.raises(InputError, match="greedy"):
        run(SPELLED, ASAp(), temperature=0)


def test_a_proposal_that_opens_nowhere_draws_nothing_illegal() -> None:
    for opening, legal in [(Opening.NOWHERE, True), (Opening.NEW, False)]:
        proposed = SPELLED.proposed(SPELLED.proposal(opening=opening))
        assert (set(proposed) <= set(SPELLED.law())) == legal
        assert all(w[-1] == STOP for w in proposed) == legal
