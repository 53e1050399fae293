"""Chain and block verification keep the law exactly, and keep as many tokens as they should."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from guided.decoding.rng import uniform
from guided.decoding.sampling import Stream
from guided.decoding.verifiers import Block, Chain, ChainVerifier, Verdict, block, chain
from guided.decoding.verifiers.numbers import accept_numbers
from guided.decoding.verifiers.residual import correction
from tests.decoding.verifiers.enumeration import (
    Laws,
    Prefix,
    add_rest,
    blocks,
    chances,
    counts,
    efficiency,
    follower,
    joint,
    output_law,
    path,
)

VERIFIERS: dict[str, ChainVerifier] = {"chain": Chain(), "block": Block()}
NAMES = list(VERIFIERS)
KINDS = [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.5, 0.3)]


def differs(name: str, p: Laws, q: Laws, length: int) -> float:
    found = output_law(name, p, q, p.size, length)
    return float((found - joint(p, p.size, length)).abs().max())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_the_law_is_that_of_drawing_one_token_after_the_other(
    size: int, length: int, name: str
) -> None:
    for seed, (masked, missing) in enumerate(KINDS[-4 if size**length <= 64 else -1 :]):
        p, q = Laws(size, 10 + seed, masked), Laws(size, 20 + seed, missing)
        assert differs(name, p, q, length) <= 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_law_holds_where_drafts_are_certain_or_equal_the_model(name: str) -> None:
    p = Laws(4, 1, 0.3)
    assert differs(name, p, Laws(4, 2, point=True), 3) <= 1e-12
    assert differs(name, p, p, 3) <= 1e-12
    assert differs(name, Laws(4, 3, point=True), Laws(4, 2), 3) <= 1e-12
    assert math.isclose(efficiency(name, p, p, 4, 3), 4)


def test_the_first_token_stands_with_one_minus_the_total_variation() -> None:
    for seed, (masked, missing) in enumerate(KINDS):
        p, q = Laws(5, seed, masked), Laws(5, 30 + seed, missing)
        law_p, law_q = p(()).exp(), q(()).exp()
        wanted = 1 - float((law_p - law_q).abs().sum()) / 2
        for name in NAMES:
            assert math.isclose(efficiency(name, p, q, 5, 1) - 1, wanted, abs_tol=1e-12)


def closed_form(p: Laws, q: Laws, length: int) -> float:
    """1 + the sum over i and x^i of the product over j <= i of min(p, q)."""
    mean = 1.0
    for i in range(1, length + 1):
        for tokens in itertools.product(range(p.size), repeat=i):
            least = torch.minimum(path(p, tokens, i), path(q, tokens, i)).exp()
            mean += math.prod(float(least[j, token]) for j, token in enumerate(tokens))
    return mean


def test_the_efficiency_of_a_chain_is_the_closed_form() -> None:
    for seed, (masked, missing) in enumerate(KINDS):
        p, q = Laws(4, seed, masked), Laws(4, 40 + seed, missing)
        assert math.isclose(efficiency("chain", p, q, 4, 3), closed_form(p, q, 3), rel_tol=1e-12)


def test_a_block_keeps_at_least_what_a_chain_keeps() -> None:
    gains = []
    for seed in range(50):
        masked, missing = KINDS[seed % 4]
        p, q = Laws(3, seed, masked), Laws(3, 1000 + seed, missing)
        gains.append(efficiency("block", p, q, 3, 3) - efficiency("chain", p, q, 3, 3))
    assert min(gains) >= -1e-12
    assert max(gains) > 0.05


def test_a_block_gains_nothing_where_drafts_are_certain() -> None:
    for seed in range(10):
        p, q = Laws(4, seed, 0.3), Laws(4, 50 + seed, point=True)
        both = [efficiency(name, p, q, 4, 3) for name in NAMES]
        assert math.isclose(*both, rel_tol=1e-12)


def test_the_example_of_the_paper() -> None:
    def p(prefix: Prefix) -> Tensor:
        return torch.tensor([1 / 3, 2 / 3], dtype=torch.float64).log()

    def q(prefix: Prefix) -> Tensor:
        return torch.tensor([2 / 3, 1 / 3], dtype=torch.float64).log()

    assert math.isclose(efficiency("chain", p, q, 2, 2) - 1, 10 / 9)
    assert math.isclose(efficiency("block", p, q, 2, 2) - 1, 11 / 9)


@pytest.mark.parametrize("name", NAMES)
def test_drafts_may_end_at_a_token_because_of_what_it_is(name: str) -> None:
    # As long as that token stays: at a stop token, at an illegal one.
    p, q = Laws(3, 11, 0.3), Laws(3, 12)
    found = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
    for tokens, weight in blocks(q, 3, 3):
        ends = [
            i + 1
            for i, token in enumerate(tokens)
            if token == 0 or p(tokens[:i])[token] == -math.inf
        ]
        kept = tokens[: ends[0]] if ends else tokens
        log_p, log_q = path(p, kept, len(kept) + 1), path(q, kept, len(kept))
        for count, chance in enumerate(counts(name, chances(name, log_p, log_q, kept))):
            if chance > 0:
                law = follower(name, log_p, log_q, kept, count)
                add_rest(found, p, kept[:count], law * weight * chance)
    assert float((found - joint(p, 3, 3)).abs().max()) <= 1e-12


# What must fail.


@pytest.mark.parametrize("name", NAMES)
def test_a_target_without_its_mask_at_drafted_positions_breaks_the_law(name: str) -> None:
    masked, free = Laws(4, 5, 0.5), Laws(4, 5)

    def wrong(prefix: Prefix) -> Tensor:
        return masked(prefix) if not prefix else free(prefix)

    found = output_law(name, wrong, Laws(4, 6), 4, 2)
    assert float((found - joint(masked, 4, 2)).abs().sum()) / 2 > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_the_likeliest_draft_scored_as_if_drawn_at_random_breaks_the_law(name: str) -> None:
    p, q = Laws(4, 7), Laws(4, 8)

    def greedy(prefix: Prefix) -> Tensor:
        law = q(prefix)
        return torch.full_like(law, -torch.inf).index_fill(0, law.argmax(), 0.0)

    found = torch.zeros(4, 4, 4, dtype=torch.float64)
    for tokens, weight in blocks(greedy, 4, 2):
        log_p, log_q = path(p, tokens, 3), path(q, tokens, 2)
        for count, chance in enumerate(counts(name, chances(name, log_p, log_q, tokens))):
            law = follower(name, log_p, log_q, tokens, count)
            add_rest(found, p, tokens[:count], law * weight * chance)
    assert float((found - joint(p, 4, 2)).abs().sum()) / 2 > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_taking_an_illegal_token_out_of_a_drawn_draft_breaks_the_law(name: str) -> None:
    # It has to be rejected, not forgotten: otherwise legal tokens get its share of the model's
    # law instead of the residual.
    p, q = Laws(4, 9, 0.5), Laws(4, 10)
    found = torch.zeros(4, 4, dtype=torch.float64)
    for tokens, weight in blocks(q, 4, 1):
        kept = tokens if p(())[tokens[0]] > -math.inf else ()
        log_p, log_q = path(p, kept, len(kept) + 1), q(())[None][: len(kept)]
        for count, chance in enumerate(counts(name, chances(name, log_p, log_q, kept))):
            law = follower(name, log_p, log_q, kept, count)
            add_rest(found, p, kept[:count], law * weight * chance)
    assert float((found - joint(p, 4, 1)).abs().sum()) / 2 > 0.02


def test_a_block_that_ends_at_its_first_failure_breaks_the_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(block, "accepted", chain.accepted)
    assert differs("block", Laws(3, 1), Laws(3, 2), 2) > 0.01


# The verifiers themselves.


def streams(row: int, count: int, position: int = 5) -> list[Stream]:
    return [Stream(1, row, position + i) for i in range(count)]


def one_round(name: str, p: Laws, q: Laws, length: int, row: int) -> tuple[Prefix, Verdict]:
    """A draft drawn from q with numbers of its own, and what the verifier says of it."""
    tokens: Prefix = ()
    for i in range(length):
        number = uniform(99, row, i)
        ends = q(tokens).exp().cumsum(0)
        tokens = (*tokens, int(torch.searchsorted(ends, number * ends[-1], right=True)))
    log_p, log_q = path(p, tokens, length + 1), path(q, tokens, length)
    return tokens, VERIFIERS[name].verify(log_p, log_q, tokens, streams(row, length + 1))


@pytest.mark.parametrize("name", NAMES)
def test_rounds_with_random_numbers_follow_the_enumerated_law(name: str) -> None:
    rounds, size, length = 2000, 3, 2
    p, q = Laws(size, 3, 0.2), Laws(size, 4)
    found = torch.zeros([size] * (length + 1), dtype=torch.float64)
    for row in range(rounds):
        tokens, verdict = one_round(name, p, q, length, row)
        # The rest of the sequence by its law: less noise than drawing it.
        law = torch.zeros(size, dtype=torch.float64)
        law[verdict.token] = 1
        add_rest(found, p, tokens[: verdict.accepted], law)
    wanted = joint(p, size, length) * rounds
    assert float(found[wanted == 0].sum()) == 0
    seen = wanted >= 5
    # At most a chi-squared statistic, four standard deviations above its mean.
    distance = float(((found - wanted)[seen] ** 2 / wanted[seen]).sum())
    assert distance <= int(seen.sum()) + 4 * math.sqrt(2 * int(seen.sum()))


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_is_what_chances_and_numbers_say(name: str) -> None:
    seen = set()
    for row in range(100):
        p, q = Laws(4, row, 0.2), Laws(4, row + 1, 0.2)
        tokens, verdict = one_round(name, p, q, 3, row)
        log_p, log_q = path(p, tokens, 4), path(q, tokens, 3)
        decide = {"chain": chain.accepted, "block": block.accepted}[name]
        numbers = accept_numbers(streams(row, 4))[:3]
        assert verdict.accepted == decide(chances(name, log_p, log_q, tokens), numbers)
        law = follower(name, log_p, log_q, tokens, verdict.accepted)
        assert law[verdict.token] > 0
        seen.add(verdict.accepted)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("name", NAMES)
def test_certain_drafts_need_no_laws_but_zero_at_the_token(name: str) -> None:
    log_q = torch.full((2, 5), -torch.inf)
    log_q[[0, 1], [3, 1]] = 0
    log_p = torch.full((3, 5), -torch.inf)
    log_p[[0, 1, 2], [3, 1, 4]] = 0
    verify = VERIFIERS[name].verify
    assert verify(log_p, log_q, [3, 1], streams(0, 3)) == Verdict(2, 4)
    log_p[1] = torch.tensor([0.0, 0, 0.5, 0, 0.5]).log()
    for row in range(20):
        count, token = verify(log_p, log_q, [3, 1], streams(row, 3))
        assert count == 1
        assert token in (2, 4)
    assert verify(log_p, log_q[:0], [], streams(0, 1)) == Verdict(0, 3)


def test_a_residual_of_rounding_gives_the_law_itself() -> None:
    log_p = torch.tensor([[0.25, 0.25, 0.5], [1.0, 0, 0]], dtype=torch.float64).log()
    log_q = log_p[:1] + torch.tensor([1e-16, -1e-16, 0])
    assert torch.allclose(correction(log_p, log_q, 0, 0.0), log_p[0].exp())
    # Not where only the scale is small.
    weights = correction(log_p, torch.tensor([[0.0, 1, 0]]).log(), 0, math.log(1e-14))
    assert torch.allclose(weights, torch.tensor([0.25e-14, 0, 0.5e-14], dtype=torch.float64))


def test_no_round_uses_the_numbers_of_another() -> None:
    first, second = streams(7, 4, position=3), streams(7, 4, position=5)
    assert set(accept_numbers(first)).isdisjoint(accept_numbers(second))
    assert accept_numbers(first) == accept_numbers(streams(7, 4, position=3))
