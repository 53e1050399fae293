"""The prefix trie: bounds by recursion, in any order, within limits of memory."""

from __future__ import annotations

import copy
import itertools
import math
import tracemalloc

import pytest

from guided.search.aligned.prefix_trie import NODE_BYTES, PrefixTrie, log_sum
from guided.search.aligned.proposal import Opening
from guided.search.aligned.trie_file import _flat
from tests.search.aligned.exact_tries import (
    BITS,
    SPELLED,
    STEEP,
    TOYS,
    futures,
    prefix_of,
    variation,
)

WORDS = sorted(BITS.law(), key=BITS.law().__getitem__, reverse=True)


def learnt(toy, rounds, opening=Opening.NOWHERE):
    proposal = toy.proposal(PrefixTrie(), opening)
    for scripts in rounds:
        toy.learn(proposal, scripts)
    return proposal.trie


def told(trie):
    return {name: array.tolist() for name, array in _flat(trie).items()} | {
        "bounds": [(node.log_bound, node.log_drawn) for node in trie.nodes()]
    }


def test_a_bound_is_the_rest_plus_what_the_children_say() -> None:
    trie = PrefixTrie()
    assert trie.log_bound == 0
    trie.expand(trie.root, math.log(0.5), {3: math.log(0.25), 5: math.log(0.1)}, dead=[5])
    trie.refresh(trie.root)
    assert math.exp(trie.log_bound) == pytest.approx(0.75, rel=1e-15)
    node = trie.root.children[3]
    trie.expand(node, math.log(0.125), {})
    trie.end(node, 0, math.log(0.05))
    trie.refresh(node)
    assert math.exp(trie.log_bound) == pytest.approx(0.5 + 0.25 * 0.125, rel=1e-15)
    assert math.exp(trie.log_drawn) == pytest.approx(0.25 * 0.05, rel=1e-15)
    assert trie.distance == pytest.approx(1 - 0.0125 / 0.53125, rel=1e-14)
    assert trie.size == 3


def test_sums_do_not_depend_on_the_order_of_their_terms() -> None:
    terms = [-0.1, -40.0, -1.3, -700.0, -36.7, -2.2]
    assert len({log_sum(list(each)) for each in itertools.permutations(terms)}) == 1
    assert log_sum([]) == log_sum([-math.inf, -math.inf]) == -math.inf
    assert log_sum([-900.0, -901.0]) == pytest.approx(-900 + math.log1p(math.exp(-1)), rel=1e-15)


@pytest.mark.parametrize("name", TOYS)
def test_every_bound_is_at_least_the_truth_and_all_are_the_truth_in_the_end(name: str) -> None:
    toy = TOYS[name]
    law = toy.law()
    proposal = toy.proposal(PrefixTrie())
    before = 0.0
    for word in law:
        toy.learn(proposal, [word])
        for node, truth in futures(law, proposal.trie):
            assert truth <= math.exp(node.log_bound) * (1 + 1e-12), prefix_of(node)
            assert node.log_bound <= 0
        assert proposal.trie.log_bound <= before + 1e-12
        before = proposal.trie.log_bound
    if name != "cut":
        for node, truth in futures(law, proposal.trie):
            assert math.exp(node.log_bound) == pytest.approx(truth, rel=1e-12), prefix_of(node)
        assert proposal.trie.distance == pytest.approx(0, abs=1e-12)


def test_the_order_and_the_rounds_in_which_texts_come_do_not_matter() -> None:
    some = WORDS[:3] + WORDS[-3:]
    first = told(learnt(BITS, [[word] for word in some]))
    assert told(learnt(BITS, [[word] for word in reversed(some)])) == first
    assert told(learnt(BITS, [some])) == first
    assert told(learnt(BITS, [some[::-1][:4], some[::-1][4:], some])) == first


def test_a_rest_is_precise_where_nearly_everything_was_drawn() -> None:
    law = STEEP.law()
    words = sorted(law, key=law.__getitem__, reverse=True)
    proposal = STEEP.proposal(learnt(STEEP, [[word] for word in words[:-1]]))
    node = proposal.trie.root.children[words[-1][0]]
    rest = node.log_rest
    STEEP.learn(proposal, [words[-1]])
    # Only the last word's token was left: 1 - p of the other would have been rounding.
    assert rest < math.log(1e-18)
    assert node.children[words[-1][1]].log_p == pytest.approx(rest, rel=1e-14)
    assert node.log_rest == -math.inf


def test_what_the_trie_takes_of_memory_is_what_it_says() -> None:
    tracemalloc.start()
    trie = PrefixTrie()
    at = trie.root
    for token in range(4000):
        trie.expand(at, -1.5 - token * 1e-4, {1000 + token % 50: -0.5 - token * 1e-5})
        at.refresh()
        at = next(iter(at.children.values()))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0.8 < trie.n_bytes / used < 1.5


@pytest.mark.parametrize("room", [1, 3, 8, 15])
def test_capped_bounds_are_bounds_and_the_certificate_holds(room: int) -> None:
    law = BITS.law()
    total = sum(law.values())
    target = {w: p / total for w, p in law.items()}
    proposal = BITS.proposal(learnt(BITS, [WORDS]))
    trie = proposal.trie
    bound = trie.log_bound
    trie.shrink(room * NODE_BYTES * 4 // 3, keeps_bounds=True)
    assert trie.size <= max(room, len(trie.root.children) + 1) < 32
    assert trie.log_bound == pytest.approx(bound, abs=1e-13)
    # Drawn again, below the caps, the certificate still says how far the law is.
    for word in [None, *WORDS[::3]]:
        if word is not None:
            BITS.learn(proposal, [word])
        law_now = BITS.proposed(proposal)
        for node, truth in futures(law, trie):
            assert truth <= math.exp(node.log_bound) * (1 + 1e-12)
        assert variation(law_now, target) <= trie.distance + 1e-9
        counted = [(*prefix_of(node), end) for node in trie.nodes() for end in node.ends]
        shares = sum(law_now[each] for each in counted)
        assert shares == pytest.approx(1 - trie.distance, abs=1e-12)
        assert math.exp(trie.log_drawn) <= total * (1 + 1e-12)
    assert trie.distance < 1


def test_without_caps_everything_stays_exact_and_the_bound_grows() -> None:
    law = SPELLED.law()
    trie = learnt(SPELLED, [list(law)])
    whole = told(trie)
    exact = copy.deepcopy(trie)
    exact.shrink(4 * NODE_BYTES, keeps_bounds=False)
    assert exact.size < trie.size
    assert exact.log_bound > trie.log_bound
    proposal = SPELLED.proposal(exact, Opening.NEW)
    accepted = {w: p for w, p in SPELLED.proposed(proposal).items() if w in law}
    for word, p in accepted.items():
        assert p == pytest.approx(law[word] / math.exp(exact.log_bound), rel=1e-12)
    capped = copy.deepcopy(trie)
    capped.shrink(4 * NODE_BYTES, keeps_bounds=True)
    capped.release_caps()
    assert capped.log_bound == pytest.approx(exact.log_bound, rel=1e-12)
    within = copy.deepcopy(trie)
    within.shrink(trie.n_bytes, keeps_bounds=True)
    assert told(within) == whole
