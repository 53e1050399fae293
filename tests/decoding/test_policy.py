"""How many guesses are tried follows from what passes cost and what has come true."""

from __future__ import annotations

from itertools import pairwise

import pytest

from guided.decoding import Adaptive, Branch, Decoder, Fixed
from guided.decoding.cost import CostModel, Mean
from guided.decoding.drafts import ROOT, Draft
from guided.kernels import draft_choice
from guided.testing import table_model


def branches(count: int = 1) -> list[Branch]:
    model = table_model(4)
    return Decoder(model.network, model.vocabulary).open([[1]] * count)


def timed(rows: int = 1, **seconds: float) -> Adaptive:
    """A policy that has measured passes of `w1`, `w4`, … tokens."""
    policy = Adaptive()
    for name, value in seconds.items():
        for _ in range(8):
            policy.cost.timed(rows, int(name[1:]), value)
    return policy


def chain(length: int, chance: float, source: str = "test") -> Draft:
    return Draft.chain(list(range(1, length + 1)), chance, source)


def chances(policy: Adaptive, branch: Branch, draft: Draft) -> list[float]:
    nodes = draft.nodes
    found: list[float] = draft_choice.believed(
        nodes.numbers[:, 1],
        nodes.chances,
        nodes.numbers[:, 2],
        policy.tallies.cover(),
        policy._luck_factor(branch),
        1.0,
    ).tolist()
    return found


def test_a_pass_gets_as_many_guesses_as_pay() -> None:
    cheap = timed(w1=1.0, w8=1.1, w32=1.3)
    dear = timed(w1=1.0, w2=1.9, w8=4.0, w32=20.0)
    (branch,) = branches()
    assert len(cheap.chosen([branch], [chain(12, 0.9)])[0]) == 12
    assert 0 < len(dear.chosen([branch], [chain(12, 0.99)])[0]) < 12
    assert len(dear.chosen([branch], [chain(12, 0.6)])[0]) == 0


def test_the_likeliest_nodes_stay_with_their_parents() -> None:
    tree = Draft()
    left = tree.add(1, ROOT, 0.2, "a")
    tree.add(2, left, 1.0, "a")
    right = tree.add(3, ROOT, 0.8, "b")
    tree.add(4, right, 0.9, "b")
    (kept,) = Fixed(2).chosen(branches(), [tree])
    assert (kept.tokens, kept.parents) == ([3, 4], [ROOT, 0])


def test_guesses_that_never_come_true_are_given_up_and_others_are_not() -> None:
    policy = timed(w1=1.0, w4=1.4, w8=1.5)
    (branch,) = branches()
    wrong, right = chain(4, 0.75, "wrong"), chain(4, 0.75, "right")
    assert len(policy.chosen([branch], [wrong])[0]) == 4
    for _ in range(60):
        policy.judged(branch, wrong, [ROOT], [99])
        policy.judged(branch, right, [ROOT], [1])
    (other,) = branches()
    assert len(policy.chosen([other], [wrong])[0]) == 0
    assert len(policy.chosen([other], [right])[0]) == 4


def test_a_row_that_guesses_worse_than_others_gets_less() -> None:
    policy = timed(rows=2, w1=1.0, w4=1.3, w8=1.6)
    lucky, unlucky = branches(2)
    draft = chain(4, 0.75)
    for _ in range(30):
        policy.judged(lucky, draft, [ROOT], [1])
        policy.judged(unlucky, draft, [ROOT], [99])
    assert chances(policy, unlucky, draft)[0] < chances(policy, lucky, draft)[0] / 2


def looks(policy: Adaptive, branch: Branch, passes: int, seconds: float = 0.1) -> list[int]:
    """In which of some passes there was a look for guesses, which found nothing."""
    found = []
    for number in range(passes):
        if policy.room([branch]) > 0:
            found.append(number)
            policy.chosen([branch], [chain(8, 0.01)])
            policy.drafted(1, seconds)
        policy.timed(1, 1, 1.0)
    return found


def test_drafting_that_finds_nothing_rests_and_comes_back() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    (branch,) = branches()
    found = looks(policy, branch, 200)
    # A tenth of a pass may be spent once in ten passes, to cost a hundredth.
    assert {after - before for before, after in pairwise(found[-5:])} <= {10, 11}
    # Two passes may be lost at first.
    assert len(found) == pytest.approx(20 + 200 / 10, abs=2)


def test_even_drafting_that_takes_longer_than_a_pass_comes_back() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    for _ in range(5):
        policy.cost.drafted(1, 3.0)
    (branch,) = branches()
    found = looks(policy, branch, 1000, seconds=3.0)
    assert {after - before for before, after in pairwise(found[1:])} <= {300, 301}
    assert len(found) == 4
    # A new text is let off no more than two hundredths of usual passes.
    policy._credit = -50.0
    policy.room(branches())
    assert policy._credit == pytest.approx(-50 + 0.02 * 1000)


def test_drafting_rests_only_when_it_has_used_up_what_it_saved() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    for _ in range(5):
        policy.cost.drafted(1, 0.5)
    (branch,) = branches()
    policy.room([branch])
    for _ in range(4):
        policy.judged(branch, chain(8, 0.1), [ROOT], [1])
    tries = 0
    while policy.room([branch]) > 0:
        tries += 1
        policy.chosen([branch], [chain(8, 0.01)])
        policy.drafted(1, 0.5)
        assert tries < 20
    # There were two passes of credit, four were saved, each of twelve tries costs half of one.
    assert tries == 12


def test_a_new_text_spends_little_of_what_others_have_saved() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    old, new, *others = branches(4)
    policy.room([old])
    for _ in range(6):
        policy.timed(1, 1, 1.0)
        policy.judged(old, chain(8, 0.1), [ROOT], [1])
    # It is not a new text as long as others go on, nor where it goes on another.
    policy.room([old, new])
    policy.forked(old, others[0])
    policy.room([others[0]])
    assert policy._credit == pytest.approx(8)
    policy.room(branches())
    # Six passes were saved in one text.
    assert policy._credit == pytest.approx(0.75 + 1)
    policy.timed(1, 1, 1.0)
    policy.room(branches())
    policy.timed(1, 1, 1.0)
    policy.room(branches())
    # None were in the last two.
    assert policy._credit == pytest.approx(0.75 + 0.25 * 6 / 4)


def test_a_new_text_does_not_pay_for_others() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    for passes in (40, 20):
        (branch,) = branches()
        found = looks(policy, branch, passes)
    policy.room(branches())
    # A hundredth of usual passes.
    assert policy._credit == pytest.approx(0.01 * (40 + 20) / 2)
    assert len(found) < 10


def test_guesses_at_one_token_are_not_believed_in_beyond_certainty() -> None:
    policy = timed(w1=1.0, w4=1.6, w8=2.6)
    tree = Draft()
    for token in (1, 2, 3):
        tree.add(token, ROOT, 0.8, "test")
    (branch,) = branches()
    assert sum(chances(policy, branch, tree)) == pytest.approx(0.98)
    assert chances(policy, branch, chain(3, 0.8)) == pytest.approx([0.8] * 3)
    # Taken for three tokens in 1.6 passes they would pay; for one, they do not.
    assert len(timed(w1=1.0, w4=2.1).chosen([branch], [tree])[0]) == 0


def test_what_one_source_is_sure_of_leaves_little_to_others() -> None:
    policy = timed(w1=1.0, w4=1.6)
    tree = Draft()
    tree.add(1, ROOT, 0.9, "sure")
    tree.add(2, ROOT, 0.5, "other")
    (branch,) = branches()
    assert chances(policy, branch, tree) == pytest.approx([0.9, 0.05])


def test_free_drafting_never_rests() -> None:
    policy = timed(w1=1.0, w2=1.9, w8=4.0)
    (branch,) = branches()
    for _ in range(300):
        assert policy.room([branch]) > 0
        policy.chosen([branch], [chain(8, 0.1)])
        policy.drafted(1, 0.009)
        policy.timed(1, 1, 1.0)


def test_guesses_that_are_not_affordable_are_waited_for() -> None:
    policy = timed(w1=1.0, w2=1.75)
    (branch,) = branches()
    sure = [chain(1, 0.95)]
    policy.room([branch])
    assert len(policy.chosen([branch], sure)[0]) == 1
    policy._credit = 0.5
    assert len(policy.chosen([branch], sure)[0]) == 0
    waited = 0
    while policy.room([branch]) == 0:
        waited += 1
        policy.timed(1, 1, 1.0)
    # A hundredth of each pass until three quarters are there.
    assert waited == pytest.approx(25, abs=1)
    assert len(policy.chosen([branch], sure)[0]) == 1


def test_guesses_of_a_kind_that_came_true_may_cost_more_than_others() -> None:
    policy = timed(w1=1.0, w2=1.75)
    (branch,) = branches()
    policy.room([branch])
    for _ in range(60):
        policy.judged(branch, chain(1, 0.95, "right"), [ROOT], [1])
    policy._credit = 0.5
    assert len(policy.chosen([branch], [chain(1, 0.95, "right")])[0]) == 1
    assert len(policy.chosen([branch], [chain(1, 0.95, "other")])[0]) == 0


def test_nothing_but_the_sure_is_tried_before_a_pass_was_timed() -> None:
    policy = Adaptive()
    (branch,) = branches()
    assert len(policy.chosen([branch], [chain(5, 0.5)])[0]) == 0
    assert len(policy.chosen([branch], [chain(5, 1.0)])[0]) == 5


def test_costs_between_measured_widths_lie_on_a_line() -> None:
    cost = CostModel()
    for width, seconds in ((1, 1.0), (4, 2.0), (16, 4.0)):
        for _ in range(5):
            cost.timed(1, width, seconds)
    relative = cost.relative(1, 16)
    assert (relative[1], relative[4], relative[16]) == pytest.approx((1, 2, 4))
    assert relative[8] == pytest.approx(2 + 2 / 3)


def test_a_slow_first_time_and_an_outlier_move_a_mean_little() -> None:
    mean = Mean()
    for seconds in (50.0, 1.2, 1.0, 1.1, 1.0, 40.0):
        mean.add(seconds)
    assert mean.value == pytest.approx(1.1, abs=0.11)


def test_one_slow_draw_does_not_end_drafting() -> None:
    policy = timed(w1=1.0, w4=1.4, w8=1.5)
    (branch,) = branches()
    policy.levelled(50.0)
    assert len(policy.chosen([branch], [chain(4, 0.9)])[0]) == 4
    for _ in range(4):
        policy.levelled(50.0)
    assert len(policy.chosen([branch], [chain(4, 0.9)])[0]) == 0


def test_first_times_that_were_all_slow_are_forgotten() -> None:
    mean = Mean()
    for seconds in (50.0, 20.0, 30.0, 0.01):
        mean.add(seconds)
    assert mean.value is not None
    assert mean.value <= 0.04


def test_once_costs_are_known_they_are_measured_in_one_round_of_four() -> None:
    policy = timed(w1=1.0)
    (branch, *_) = both = branches(2)
    policy.drafted(1, 0.05)
    for _ in range(64):
        policy.room([branch])
    (mean,) = policy.cost.passes.values()
    before, credit = mean.count, policy._credit
    for _ in range(8):
        assert policy.room([branch]) > 0
        policy.drafted(1, 0.05)
        policy.timed(1, 1, 1.0)
    assert mean.count == before + 2
    # Each of them counts all the same.
    assert policy._credit == pytest.approx(credit - 8 * 0.05)
    # What so many rows cost is not known yet.
    policy.room(both)
    policy.timed(2, 1, 3.0)
    assert policy.base(2) == 3.0
