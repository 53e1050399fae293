"""The loop itself: stepping by hand, forks, guidance, and what things cost."""

import pytest
import torch

from guided.diffusion import FastDLLM, FreeDave, LLaDA, MaskedDiffusionDecoder
from tests.diffusion.plain_loops import laws

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]


def test_stepping_by_hand_is_generating(table):
    decoder = MaskedDiffusionDecoder(table(seed=1), LLaDA(temperature=0.5))
    whole = decoder.generate(PROMPTS, 5, seed=3)
    tracks = decoder.open(PROMPTS, 5, seed=3)
    for _ in range(3):
        decoder.step(tracks)
    halfway = [decoder.result(track) for track in tracks]
    assert {r.finish_reason for r in halfway} == {"cut"}
    assert all(sum(token != 5 for token in r.canvas) == 3 for r in halfway)
    while not all(track.is_done for track in tracks):
        decoder.step(tracks)
    assert [decoder.result(track).canvas for track in tracks] == [r.canvas for r in whole]


def test_forks_go_on_from_the_same_place_by_draws_of_their_own(table):
    decoder = MaskedDiffusionDecoder(table(seed=1), LLaDA(temperature=2.0))
    (track,) = decoder.open([[1, 2]], 6, seed=3)
    decoder.step([track])
    decoder.step([track])
    forks = [track.fork(copy) for copy in range(1, 6)]
    common = track.state.tokens.copy()
    while not all(each.is_done for each in (track, *forks)):
        decoder.step([track, *forks])
    fixed = common != 5
    for fork in forks:
        assert (fork.state.tokens[fixed] == common[fixed]).all()
        assert fork.usage.passes == 6
    assert len({tuple(each.state.tokens) for each in (track, *forks)}) > 2


def test_a_pass_shared_by_rows_counts_once(table):
    decoder = MaskedDiffusionDecoder(table(seed=1), FastDLLM(threshold=0.4))
    results = decoder.generate(PROMPTS, 6)
    assert decoder.work.passes == max(r.usage.passes for r in results)
    assert decoder.work.rows == sum(r.usage.sequences for r in results)
    assert decoder.work.positions == sum(r.usage.positions for r in results)
    for prompt, result in zip(PROMPTS, results, strict=True):
        assert result.usage.positions == result.usage.passes * (len(prompt) + 6)
        assert result.usage.tokens_per_pass == pytest.approx(6 / result.usage.passes)


class Towards:
    """Adds to a token's logit where a pass over a changed canvas likes it."""

    def __init__(self, token, weight, asks=0):
        self.token, self.weight, self.asks = token, weight, asks

    def apply(self, state, slots, logits, predict):
        if self.asks:
            answers = predict([state] * self.asks)
            assert all(torch.equal(a.at(slots), logits) for a in answers)
        logits[:, self.token] += self.weight
        return logits


def test_guidance_changes_the_law_and_may_ask_for_passes(table):
    adapter = table(seed=1)
    plain = MaskedDiffusionDecoder(adapter).generate(PROMPTS, 4)
    none = MaskedDiffusionDecoder(adapter, guidance=Towards(2, 0.0)).generate(PROMPTS, 4)
    assert [r.canvas for r in plain] == [r.canvas for r in none]
    pulled = MaskedDiffusionDecoder(adapter, guidance=Towards(2, 99.0, asks=2)).generate(PROMPTS, 4)
    for result in pulled:
        assert result.canvas == (2, 2, 2, 2)
        assert (result.usage.passes, result.usage.guidance_passes) == (8, 4)
        assert result.usage.sequences == 12


def test_guidance_draws_from_its_law(table):
    adapter = table(4, seed=3, spread=2.0)
    draws = 300
    decoder = MaskedDiffusionDecoder(adapter, LLaDA(temperature=1.0), guidance=Towards(1, 0.7))
    results = decoder.generate([[1]] * draws, 1)
    law = laws(adapter.model, [1, 3])[1].clone()
    law[1] += 0.7
    law = law.softmax(-1)
    counts = [sum(r.canvas == (token,) for r in results) for token in range(3)]
    chi = sum(
        (n - draws * float(p)) ** 2 / (draws * float(p))
        for n, p in zip(counts, law[:3], strict=True)
    )
    assert chi < 13.8


def test_guidance_and_drafts_go_together(table):
    adapter = table(seed=2, spread=8.0)
    guidance = Towards(2, 1.0)
    static = MaskedDiffusionDecoder(adapter, LLaDA(), guidance=guidance).generate(PROMPTS, 6)
    fast = MaskedDiffusionDecoder(adapter, FreeDave(4), guidance=guidance).generate(PROMPTS, 6)
    assert [(r.canvas, r.steps) for r in static] == [(r.canvas, r.steps) for r in fast]


def test_callbacks_see_what_is_committed(table):
    seen = {}

    def watch(before, after):
        for slot in before.masked().tolist():
            if after.tokens[slot] != 5:
                seen.setdefault(slot, int(after.tokens[slot]))

    decoder = MaskedDiffusionDecoder(table(seed=2), FreeDave(3), callbacks=[watch])
    (result,) = decoder.generate([[1, 2]], 6)
    assert tuple(seen[slot] for slot in range(6)) == result.canvas
