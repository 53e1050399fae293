"""What is seen of a step while another one is read: guesses beyond its end, rewards that wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from guided.controls import GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Fixed, Network, Speculation
from guided.grammars.regex import regex
from guided.search import SMC, AStar, Beam, Budget, Tokens, twins
from guided.search.laws import Laws
from guided.testing import table_model
from tests.decoding.drafting import LETTERS, WIDTH, Guesser, texts
from tests.search.test_twins import forks, plainly
from tests.search.test_twins import network as network

MODEL = table_model(3, seed=1, horizon=8)


def in_steps(extend: Any, decoder: Decoder, branches: Sequence[Branch]) -> None:
    """Grows all by three tokens at a time."""
    for _ in range(10):
        starts = {id(branch): len(branch.tokens) for branch in branches}
        extend(decoder, branches, lambda b, s=starts: len(b.tokens) - s[id(b)] == 3)


@pytest.mark.parametrize("controls", [[], [GrammarMask(regex("[A-Z]{2,9}(a|b)[c-f]{1,15}"))]])
def test_guesses_beyond_a_step_save_passes_and_change_no_token(
    network: Network,
    controls: list[Any],
) -> None:
    controls = [Temperature(0.004), *controls]
    plain = Decoder(network, LETTERS)
    alone = forks(plain, controls)
    in_steps(plainly, plain, alone)
    found: list[tuple[Decoder, list[Branch]]] = []
    for keeps in (False, True):
        guesser = Guesser(WIDTH, texts(alone), right=0.95)
        decoder = Decoder(network, LETTERS, speculation=Speculation([guesser], policy=Fixed(9)))
        branches = forks(decoder, controls)
        laws = {branch.prompt: Laws() for branch in branches}
        ahead = {branch: laws[branch.prompt] for branch in branches} if keeps else None
        in_steps(
            lambda d, b, until, ahead=ahead: twins.extend(d, b, until, None, ahead),
            decoder,
            branches,
        )
        found.append((decoder, branches))
    for decoder, branches in found:
        assert texts(branches) == texts(alone)
        assert decoder.usage.tokens == plain.usage.tokens
        for one, other in zip(branches, alone, strict=True):
            assert one.log_p == pytest.approx(other.log_p, abs=1e-9)
            assert one.log_q == pytest.approx(other.log_q, abs=1e-9)
            assert one.finish_reason == other.finish_reason
    assert found[1][0].usage.passes < found[0][0].usage.passes


def test_a_branch_without_keys_and_values_pauses_where_it_is_to(network: Network) -> None:
    """Reading it again shows its next law, too, by which it must not go on."""
    decoder, laws = Decoder(network, LETTERS), Laws()
    first = forks(decoder, [Temperature(0.3)])[0]
    (whole,) = decoder.fork(first, rows=[first.row])
    twins.extend(decoder, [whole], None, {whole: laws})
    lost = first.snapshot()
    ends = [2, 3, 5]
    for end in ends:
        twins.extend(decoder, [lost], lambda b, end=end: len(b.tokens) == end, None, {lost: laws})
        assert lost.tokens == whole.tokens[:end]
        lost = lost.snapshot()
    assert len(whole.tokens) > ends[-1]


def test_branches_at_the_end_of_a_step_run_ahead_of_the_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By tokens that they would have said anyway, so that the next step takes fewer passes."""

    def grown(most: int) -> tuple[Decoder, list[Branch]]:
        monkeypatch.setattr("guided.search.runners.MOST_ROWS", most)
        speculation = Speculation([Guesser(WIDTH)], policy=Fixed(0))
        decoder = Decoder(network, LETTERS, speculation=speculation)
        branches = forks(decoder, [Temperature(0.3)])[::6]
        laws = {branch.prompt: Laws() for branch in branches}
        ahead = {branch: laws[branch.prompt] for branch in branches}
        for step in range(12):
            # Now these, now those have more to say.
            ends = {id(b): len(b.tokens) + 1 + 3 * ((n + step) % 2) for n, b in enumerate(branches)}
            twins.extend(
                decoder, branches, lambda b, ends=ends: len(b.tokens) == ends[id(b)], None, ahead
            )
        return decoder, branches

    (plain, alone), (decoder, branches) = grown(0), grown(8)
    assert texts(branches) == texts(alone)
    assert all(b.log_q == pytest.approx(a.log_q) for a, b in zip(alone, branches, strict=True))
    assert decoder.usage.passes < 0.9 * plain.usage.passes
    assert decoder.usage.tokens == plain.usage.tokens
    assert decoder.usage.discarded > plain.usage.discarded == 0


def reward(prompt: str, text: str) -> float:
    return 0.15 + 0.2 * text.count("a") + 0.1 * (text[:1] == text[-1:])


OPTIONS: dict[str, Any] = {"heal": False, "max_new_tokens": 8, "seed": 2}


@pytest.mark.parametrize(
    "search", [SMC(6, kappa=0.9), AStar(3), Beam(4, 2)], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_searches_find_the_same_with_and_without_guesses(search: Any, temperature: float) -> None:
    guesser = Guesser(MODEL.vocabulary.size)
    runs = []
    for draft in (None, Speculation([guesser], policy=Fixed(6))):
        options = OPTIONS | {"temperature": temperature, "draft": draft}
        runs.append(search.run(MODEL, ["ab", "ba", "a"], reward, segmenter=Tokens(2), **options))
    for one, other in zip(*runs, strict=True):
        assert one.text == other.text
        assert one.score == other.score
        pairs = zip(one.candidates, other.candidates, strict=True)
        assert all(a.result.text == b.result.text for a, b in pairs)
        assert one.spent["tokens"] == other.spent["tokens"]


class Asked:
    """The reward, and how many texts each call of it was shown."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, prompts: Sequence[Any], continuations: Sequence[Any]) -> list[float]:
        self.calls.append(len(prompts))
        pairs = zip(prompts, continuations, strict=True)
        return [reward(prompt, continuation.text) for prompt, continuation in pairs]


def smc_run(monkeypatch: pytest.MonkeyPatch, waits: bool, **options: Any) -> tuple[Any, Asked]:
    if not waits:
        monkeypatch.setattr("guided.search.particles._are_alike", lambda nodes: False)
    asked = Asked()
    given = OPTIONS | {"temperature": 0.35, "draft": None} | options
    result = SMC(4, kappa=0.9).run(MODEL, "ab", asked, segmenter=Tokens(1), **given)
    monkeypatch.undo()
    return result, asked


def test_rewards_that_tell_nothing_apart_are_asked_for_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = 0
    for seed in range(8):
        late, few = smc_run(monkeypatch, True, seed=seed)
        soon, many = smc_run(monkeypatch, False, seed=seed)
        assert late.text == soon.text
        assert late.log_z == pytest.approx(soon.log_z, abs=1e-9)
        assert [c.weight for c in late.candidates] == pytest.approx(
            [c.weight for c in soon.candidates]
        )
        assert late.spent["reward_passes"] == soon.spent["reward_passes"]
        assert sum(few.calls) == sum(many.calls)
        saved += len(many.calls) - len(few.calls)
    assert saved > 0


@pytest.mark.parametrize("budget", [{"tokens": 14}, {"rounds": 2}, {"reward_passes": 2}])
def test_a_budget_that_ends_before_rewards_were_asked_for_leaves_none_out(
    monkeypatch: pytest.MonkeyPatch, budget: dict[str, int]
) -> None:
    for seed in range(6):
        late, _ = smc_run(monkeypatch, True, seed=seed, budget=Budget(**budget))
        soon, _ = smc_run(monkeypatch, False, seed=seed, budget=Budget(**budget))
        assert (late.text, late.score, late.stopped) == (soon.text, soon.score, soon.stopped)
        assert late.spent["reward_passes"] == soon.spent["reward_passes"]
