"""Tokens that are given instead of drawn: read with the next pass, judged, and never illegal."""

from __future__ import annotations

import math

import pytest
import torch

from guided.controls import BanTokens, GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Greedy, Network
from guided.errors import InputError
from guided.testing import WordGrammar, table_model
from tests.decoding.drafting import LETTERS


def read(decoder: Decoder, branches: list[Branch]) -> None:
    decoder.extend(branches, until=lambda branch: True)


def test_an_appended_token_gives_the_logits_of_a_fresh_prefill(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([[5, 6, 7]], max_new_tokens=9)
    children = decoder.fork(branch, 3)
    decoder.append(children, [4, 8, 9])
    read(decoder, children)
    for child, token in zip(children, [4, 8, 9], strict=True):
        assert child.tokens == [token]
        (fresh,) = Decoder(network, LETTERS).open([[5, 6, 7, token]])
        torch.testing.assert_close(child.law(), fresh.law(), rtol=0, atol=1e-9)
    assert branch.tokens == []
    decoder.append([children[1]], [11])
    read(decoder, [children[1]])
    (fresh,) = Decoder(network, LETTERS).open([[5, 6, 7, 8, 11]])
    torch.testing.assert_close(children[1].law(), fresh.law(), rtol=0, atol=1e-9)


def test_appending_takes_no_pass_and_reading_all_takes_one(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = decoder.open([[5, 6, 7], [8, 9]], max_new_tokens=9)
    passes, positions = decoder.usage.passes, decoder.usage.positions
    decoder.append(branches, [4, 8])
    assert decoder.usage.passes == passes
    read(decoder, branches)
    assert decoder.usage.passes == passes + 1
    assert decoder.usage.positions == positions + 2


def test_growth_goes_on_from_an_appended_token(network: Network) -> None:
    whole = Decoder(network, LETTERS, Greedy())
    (wanted,) = whole.open([[5, 6]], max_new_tokens=8)
    whole.extend([wanted])
    decoder = Decoder(network, LETTERS, Greedy())
    (branch, other) = decoder.open([[5, 6], [9]], max_new_tokens=8)
    decoder.append([branch], wanted.tokens[:1])
    # Rows with an unread token and rows with logits, in one batch.
    decoder.extend([other, branch])
    assert branch.tokens == wanted.tokens
    assert branch.log_p == pytest.approx(wanted.log_p, abs=1e-12)


def test_forks_of_an_unread_branch_read_its_token_themselves(network: Network) -> None:
    decoder = Decoder(network, LETTERS, Greedy())
    (branch,) = decoder.open([[5, 6]], max_new_tokens=8)
    decoder.append([branch], [7])
    forks = decoder.fork(branch, 2)
    decoder.extend(forks)
    decoder.extend([branch])
    assert forks[0].tokens == forks[1].tokens == branch.tokens
    assert branch.tokens[0] == 7


def test_until_sees_the_appended_token_before_anything_is_drawn(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([[5, 6]], max_new_tokens=8)
    decoder.append([branch], [7])
    segments = decoder.extend([branch], until=lambda b: b.tokens[-1] == 7)
    assert branch.tokens == [7]
    assert segments[0].tokens == ()
    decoder.extend([branch], until=lambda b: len(b.tokens) >= 3)
    assert len(branch.tokens) == 3


def test_log_p_is_the_raw_law_and_log_q_what_the_caller_says(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([[5, 6]], [[Temperature(0.5)]], max_new_tokens=8)
    raw = branch.logits[0].double().log_softmax(-1)
    a, b = decoder.fork(branch, 2)
    decoder.append([a, b], [7, 8], [-1.5, -0.25])
    assert (a.log_q, b.log_q) == ([-1.5], [-0.25])
    assert math.isclose(a.log_p[0], float(raw[7]), rel_tol=1e-12)
    decoder.append([branch], [9])
    assert branch.log_q == [0.0]


def test_an_illegal_token_is_refused_and_nothing_changes() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    good, bad = decoder.open([[1], [1]], [[], [BanTokens([2])]], max_new_tokens=5)
    with pytest.raises(InputError, match="token 2 is not allowed at position 0"):
        decoder.append([good, bad], [2, 2])
    assert good.tokens == bad.tokens == []
    assert good.law() is not None
    with pytest.raises(InputError, match="token 9"):
        decoder.append([good], [9])
    with pytest.raises(InputError, match="2 tokens for 1"):
        decoder.append([good], [1, 2])


def test_a_grammar_follows_what_is_appended() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    mask = GrammarMask(WordGrammar([b"ab", b"cc"]))
    (branch,) = decoder.open([[1]], [[mask]], max_new_tokens=5)
    with pytest.raises(InputError, match="not allowed"):
        decoder.append([branch], [2])
    decoder.append([branch], [3])
    decoder.extend([branch])
    assert branch.tokens[:2] == [3, 3]
    assert branch.finish_reason in ("stop", "complete")


def test_an_appended_stop_token_or_the_limit_finishes() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    stopped, full = decoder.open([[1], [1]], max_new_tokens=[5, 1])
    decoder.append([stopped, full], [0, 2])
    assert (stopped.finish_reason, full.finish_reason) == ("stop", "length")
    with pytest.raises(InputError, match="finished"):
        decoder.append([stopped], [1])


def test_a_second_token_needs_the_first_to_be_read() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    (branch,) = decoder.open([[1]], max_new_tokens=5)
    decoder.append([branch], [2])
    with pytest.raises(InputError, match="not read"):
        decoder.append([branch], [2])
    with pytest.raises(ValueError, match="not read"):
        branch.law()


def test_an_evicted_unread_branch_is_read_again(network: Network) -> None:
    prompts = [[1 + (i * k) % 39 for i in range(70)] for k in range(1, 7)]

    def texts(limit: int | None) -> list[list[int]]:
        decoder = Decoder(network, LETTERS, kv_limit=limit)
        branches = [
            decoder.open([p], seed=2, max_new_tokens=9, rows=[r])[0] for r, p in enumerate(prompts)
        ]
        decoder.append(branches, [7] * 6)
        for stop in (1, 4, 9):
            for branch in branches:
                decoder.extend([branch], until=lambda b, stop=stop: len(b.tokens) >= stop)
                assert len(branch.tokens) == stop or branch.finish_reason
        return [branch.tokens for branch in branches]

    assert texts(4 * 128 * network.bytes_per_token) == texts(None)


def test_a_row_that_makes_room_while_it_pauses_draws_nothing_more(network: Network) -> None:
    prompts = [[1 + (i * k) % 39 for i in range(70)] for k in range(1, 7)]
    decoder = Decoder(network, LETTERS, kv_limit=4 * 192 * network.bytes_per_token)
    branches = decoder.open(prompts, seed=2, max_new_tokens=90)
    for stop in range(1, 90, 8):
        decoder.extend(branches, until=lambda b, stop=stop: len(b.tokens) >= stop)
        assert all(len(b.tokens) == stop or b.finish_reason for b in branches)
