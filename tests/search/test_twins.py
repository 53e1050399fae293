"""Branches that are equal share a row, and come to what they would have come to by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.controls import Anchored, BanTokens, GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Fixed, Gumbel, Network, Speculation, stage
from guided.decoding.rig import Rig
from guided.grammars.regex import regex
from guided.search import twins
from guided.search.laws import Laws
from guided.testing import table_model
from tests.decoding.drafting import LETTERS, WIDTH, Guesser, texts

COPIES = 9
Extend = Callable[..., Any]


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=WIDTH, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return Network(LlamaForCausalLM(config).double().eval(), WIDTH)


def forks(decoder: Decoder, controls: Sequence[Any], **options: Any) -> list[Branch]:
    """Two prompts, each with many branches that go on from it."""
    opened = decoder.open(
        [[5, 6, 7], [8, 9]], [controls, controls], 3, max_new_tokens=30, **options
    )
    return [
        child
        for number, branch in enumerate(opened)
        for child in decoder.fork(branch, COPIES, rows=range(100 * number, 100 * number + COPIES))
    ]


def plainly(decoder: Decoder, branches: Sequence[Branch], until: Any) -> Any:
    return decoder.extend(branches, until)


def in_segments(extend: Extend, decoder: Decoder, branches: list[Branch]) -> list[Any]:
    """All segments, each up to the next token that is a multiple of four, or three tokens long."""
    found = []
    for _ in range(12):
        starts = {id(branch): len(branch.tokens) for branch in branches}

        def ended(branch: Branch, starts: dict[int, int] = starts) -> bool:
            return branch.tokens[-1] % 4 == 0 or len(branch.tokens) - starts[id(branch)] == 3

        found += extend(decoder, branches, ended)
    return found


CONTROLS: dict[str, list[Any]] = {
    "peaked": [Temperature(0.004)],
    "grammar": [Temperature(0.005), GrammarMask(regex("[A-Z]{2,9}(a|b)[c-f]{1,15}"))],
    "bans": [Temperature(0.004), BanTokens([7, 9])],
}


@pytest.mark.parametrize(
    ("controls", "drafts", "rest"),
    [("peaked", False, 2), ("peaked", True, 24), ("grammar", True, 2), ("bans", False, 24)],
)
def test_tokens_are_those_of_rows_of_their_own(
    network: Network, controls: str, drafts: bool, rest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "REST", rest)
    plain = Decoder(network, LETTERS)
    alone = forks(plain, CONTROLS[controls])
    segments = in_segments(plainly, plain, alone)
    guesser = Guesser(WIDTH, texts(alone), right=0.9)
    speculation = Speculation([guesser], policy=Fixed(5)) if drafts else None
    shared = Decoder(network, LETTERS, speculation=speculation)
    together = forks(shared, CONTROLS[controls])
    found = in_segments(twins.extend, shared, together)
    assert texts(together) == texts(alone)
    assert [each.tokens for each in found] == [each.tokens for each in segments]
    for one, other in zip(together, alone, strict=True):
        assert one.finish_reason == other.finish_reason
        assert one.log_p == pytest.approx(other.log_p, abs=1e-9)
        assert one.log_q == pytest.approx(other.log_q, abs=1e-9)
        assert one.forced == other.forced
        if one.finish_reason is None:
            assert torch.allclose(one.law(), other.law(), atol=1e-9)
    assert shared.usage.tokens == plain.usage.tokens
    assert shared.usage.forced == plain.usage.forced
    if not drafts:
        assert shared.usage.positions < 0.8 * plain.usage.positions


@pytest.mark.parametrize("shares", [False, True])
def test_who_leaves_takes_along_what_was_read(
    network: Network, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, log_p = [], list[list[float]]()
    for splits in (True, False):
        if not splits:
            monkeypatch.setattr(Rig, "split", lambda *_: False)
        if shares:
            monkeypatch.setattr(stage, "SHARE_LEAST", 1)
        decoder = Decoder(network, LETTERS)
        branches = forks(decoder, [Temperature(0.02)])
        twins.extend(decoder, branches, None)
        found.append((decoder.usage.positions, texts(branches)))
        log_p = log_p or [branch.log_p for branch in branches]
    (few, said), (many, same) = found
    assert said == same
    assert few < 0.95 * many
    alone = Decoder(network, LETTERS)
    wanted = forks(alone, [Temperature(0.02)])
    alone.extend(wanted)
    assert texts(wanted) == said
    for one, other in zip(wanted, log_p, strict=True):
        assert one.log_p == pytest.approx(other, abs=1e-9)


def test_whole_texts_of_a_flat_law_part_at_once(network: Network) -> None:
    plain, shared = Decoder(network, LETTERS), Decoder(network, LETTERS)
    alone, together = forks(plain, [Temperature(2.0)]), forks(shared, [Temperature(2.0)])
    plain.extend(alone)
    twins.extend(shared, together, None)
    assert texts(together) == texts(alone)
    assert len(set(texts(together))) == len(together)
    assert shared.usage.passes <= plain.usage.passes + 1


def test_the_condition_is_asked_once_for_every_token_of_every_branch(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = forks(decoder, [Temperature(0.015)])
    asked: Counter[tuple[int, int]] = Counter()

    def ended(branch: Branch) -> bool:
        asked[branch.row, len(branch.tokens)] += 1
        return branch.row == 3 and len(branch.tokens) == 2

    twins.extend(decoder, branches, ended)
    wanted = {
        (branch.row, length)
        for branch in branches
        # The token that ends a branch is not asked about.
        for length in range(1, len(branch.tokens) + (branch.finish_reason is None))
    }
    assert asked == dict.fromkeys(wanted, 1)
    (paused,) = [branch for branch in branches if branch.finish_reason is None]
    assert (len(paused.tokens), paused.unread) == (2, 0)
    assert paused.logits is not None
    fresh = Decoder(network, LETTERS)
    wanted_texts = forks(fresh, [Temperature(0.015)])
    fresh.extend(wanted_texts)
    twins.extend(decoder, branches, None)
    assert texts(branches) == texts(wanted_texts)


def test_auxiliary_models_read_what_the_model_reads() -> None:
    risky, safe = table_model(4, seed=1, horizon=15), table_model(4, seed=2, horizon=15)
    found = []
    for extend in (plainly, twins.extend):
        decoder = Decoder(risky.network, risky.vocabulary)
        (opened,) = decoder.open([[1, 2]], [[Temperature(0.4), Anchored(safe, 0.2)]], 7)
        branches = decoder.fork(opened, COPIES, rows=range(COPIES))
        in_segments(extend, decoder, branches)
        found.append(branches)
    assert texts(found[0]) == texts(found[1])
    for one, other in zip(*found, strict=True):
        assert one.log_q == pytest.approx(other.log_q, abs=1e-9)
        ledgers = [branch.pipeline.certificate(branch.states) for branch in (one, other)]
        assert ledgers[0].spent == pytest.approx(ledgers[1].spent, abs=1e-9)


def test_ctrl_c_ends_those_who_follow_too(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = forks(decoder, [Temperature(0.01), BanTokens([0])])

    def interrupt(branch: Branch) -> bool:
        if len(branch.tokens) == 4:
            raise KeyboardInterrupt
        return False

    twins.extend(decoder, branches, interrupt)
    assert {branch.finish_reason for branch in branches} == {"interrupt"}


def test_other_samplers_draw_the_same(network: Network) -> None:
    found = []
    for extend in (plainly, twins.extend):
        decoder = Decoder(network, LETTERS, Gumbel())
        branches = forks(decoder, [Temperature(0.015)])
        in_segments(extend, decoder, branches)
        found.append(texts(branches))
    assert found[0] == found[1]


def test_what_is_known_of_one_prompt_is_not_taken_for_another(network: Network) -> None:
    prompts, rows = [[5, 6, 7], [8, 9]], range(6)

    def grown(extend: Any) -> list[Branch]:
        decoder = Decoder(network, LETTERS)
        # Without controls all states are one and the same.
        opened = decoder.open(prompts, None, 3, max_new_tokens=6)
        known = [Laws() for _ in opened]
        for _ in range(2):
            branches = [b for each in opened for b in decoder.fork(each, len(rows), rows=rows)]
            laws = dict(zip(branches, [law for law in known for _ in rows], strict=True))
            extend(decoder, branches, laws)
        return branches

    alone = grown(lambda decoder, branches, laws: decoder.extend(branches))
    together = grown(lambda decoder, branches, laws: twins.extend(decoder, branches, None, laws))
    assert texts(together) == texts(alone)
    for one, other in zip(together, alone, strict=True):
        assert one.log_p == pytest.approx(other.log_p, abs=1e-9)
