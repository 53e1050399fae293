"""What drafting loses is bounded on any text and any machine, by a clock that counts all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.controls import BanTokens
from guided.decoding import Branch, Decoder, Greedy, Network, Speculation, loop, speculation
from guided.decoding.drafters import Drafter, Request
from guided.decoding.drafts import Draft
from guided.decoding.masks import Feed
from guided.decoding.rig import Rig
from tests.decoding.drafting import LETTERS, WIDTH

#: Seconds of a pass of one token for each row.
PASS = 0.02
Cost = Callable[[int], float]
#: How many of them a pass of so many tokens for each row takes: where memory is what takes time,
#: where numbers are as well, and where nothing else is.
MACHINES: dict[str, Cost] = {
    "gpu": lambda width: 1 + 0.002 * (width - 1),
    "cpu, one row": lambda width: 1 + 0.1 * (width - 1),
    "cpu, many rows": lambda width: 1 + 0.45 * (width - 1),
    "linear": float,
}


class Clock:
    """Time that passes only where the test lets it pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Claimer(Drafter):
    """Always offers a long chain, and says how likely it is; it is right only where told so."""

    name: ClassVar[str] = "claimer"

    def __init__(self, clock: Clock, seconds: float, chance: float) -> None:
        self.clock, self.seconds, self.chance = clock, seconds, chance
        self.truths: list[tuple[int, ...]] = []
        self.is_right = False

    def propose(self, request: Request) -> list[Draft]:
        self.clock.now += self.seconds
        return [
            Draft.chain(self._said(branch)[:room], self.chance, self.name)
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def _said(self, branch: Branch) -> list[int]:
        (truth,) = {t for t in self.truths if t[: len(branch.text)] == branch.text}
        rest = truth[len(branch.text) :]
        # Token 0 ends texts.
        return [token if self.is_right else 1 + token % (WIDTH - 1) for token in rest]


class Bench:
    """Decodes texts that all are of one length, with guesses and without, by a clock of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, cost: Cost, looking: float, chance: float):
        torch.manual_seed(0)
        self.clock = Clock()
        config = LlamaConfig(
            vocab_size=WIDTH, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, eos_token_id=0, pad_token_id=0,
        )  # fmt: skip
        self.network = Network(LlamaForCausalLM(config).eval(), WIDTH)
        self.drafter = Claimer(self.clock, looking * PASS, chance)
        self.speculation = Speculation([self.drafter])
        forward = Rig.forward

        def timed(rig: Rig, feeds: Sequence[Feed]) -> object:
            self.clock.now += cost(max(map(len, feeds))) * PASS
            return forward(rig, feeds)

        patch.setattr(Rig, "forward", timed)
        for module in (loop, speculation):
            patch.setattr(module, "time", SimpleNamespace(perf_counter=self.clock))

    def seconds(self, prompts: Sequence[Sequence[int]], length: int, drafts: bool) -> float:
        """How long it takes after the prompts were read."""
        decoder = Decoder(
            self.network, LETTERS, Greedy(), speculation=self.speculation if drafts else None
        )
        branches = decoder.open(prompts, [[BanTokens([0])] for _ in prompts], max_new_tokens=length)
        began = self.clock.now
        decoder.extend(branches)
        assert [len(branch.tokens) for branch in branches] == [length] * len(prompts)
        if not drafts:
            self.drafter.truths = [branch.text for branch in branches]
        return self.clock.now - began

    def lost(self, rows: int, length: int, first: int = 1) -> float:
        """Passes' worth of time that guesses have cost, net of what they have saved."""
        prompts = [[first, 1 + row] for row in range(rows)]
        plain = self.seconds(prompts, length, drafts=False)
        assert plain == pytest.approx((length - 1) * PASS)
        return (self.seconds(prompts, length, drafts=True) - plain) / PASS


@pytest.mark.parametrize("looking", [0.01, 0.06, 0.5])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("rows", [1, 5])
def test_wrong_guesses_lose_three_hundredths_at_most(
    machine: str, looking: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, MACHINES[machine], looking, chance=0.95)
    # What passes cost on a machine has to be found out once.
    assert bench.lost(rows, 48) <= 5 + 0.01 * 48
    for length in (48, 200, 48):
        assert bench.lost(rows, length) <= 0.03 * length


@pytest.mark.parametrize("machine", ["gpu", "cpu, one row", "cpu, many rows"])
@pytest.mark.parametrize("rows", [1, 5])
def test_guesses_that_came_true_elsewhere_lose_little_where_they_do_not(
    machine: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, MACHINES[machine], 0.03, chance=0.95)
    bench.drafter.is_right = True
    saved = [-bench.lost(rows, 100, first) for first in (1, 2)]
    # Copied text takes less than half the time.
    assert saved[1] > 40
    bench.drafter.is_right = False
    lost = [bench.lost(rows, 100, first) for first in range(3, 9)]
    # The first of them may lose a part of what the others have saved.
    assert max(lost) <= 0.04 * 100
    assert max(lost[1:]) <= 0.03 * 100


def test_the_bound_holds_for_many_short_texts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, MACHINES["cpu, many rows"], 0.06, chance=0.95)
    bench.lost(3, 48)
    assert sum(bench.lost(3, 8, first) for first in range(1, 21)) <= 1 + 0.03 * 20 * 8
