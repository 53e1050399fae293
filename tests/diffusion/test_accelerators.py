"""Thresholds, factors, entropy bounds, confident decoding and early commits, by their rules."""

import math
from itertools import product

import pytest
import torch

from guided.diffusion import (
    Confident,
    EntropyBound,
    FastDLLM,
    LLaDA,
    MaskedDiffusionDecoder,
    Prophet,
)
from guided.diffusion.protocols import Candidate
from guided.diffusion.selectors import BoundedEntropy, ConfidentOrScheduled, Factor, Threshold
from tests.diffusion.plain_loops import laws, parallel

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]


def decoded(adapter, decoding, prompts=PROMPTS, length=6, **options):
    return MaskedDiffusionDecoder(adapter, decoding, **options).generate(prompts, length)


def texts(results):
    return [(result.canvas, result.steps) for result in results]


def taken(selector, scores, state=None):
    """How many candidates of such scores a selector's rule takes, if each is valid."""
    candidates = [Candidate(slot, 0, score) for slot, score in enumerate(scores)]
    rule = selector.rule(state, candidates)
    kept = []
    for candidate in candidates:
        if rule(kept, candidate):
            kept.append(candidate)
    return len(kept)


@pytest.mark.parametrize("block", [2, 6, None])
@pytest.mark.parametrize("decoding", [{"threshold": math.inf}, {"threshold": 1.5}, {"factor": 0.0}])
def test_nothing_to_be_sure_of_is_one_slot_a_step(table, decoding, block):
    adapter = table(seed=3, spread=9.0)
    base = decoded(adapter, LLaDA(block_length=block or 32))
    fast = decoded(adapter, FastDLLM(block_length=block, **decoding))
    assert texts(fast) == texts(base)
    assert [r.usage for r in fast] == [r.usage for r in base]


def test_an_entropy_bound_below_every_entropy_is_one_slot_a_step(table):
    adapter = table(seed=3)
    bound = decoded(adapter, EntropyBound(gamma=0.0, block_length=3))
    assert texts(bound) == texts(decoded(adapter, LLaDA(block_length=3, remasking="entropy")))


def test_a_threshold_of_nothing_commits_the_whole_block_at_once(table):
    adapter = table(seed=3)
    for block, passes in ((6, 1), (3, 2), (2, 3)):
        for result in decoded(adapter, FastDLLM(threshold=0.0, block_length=block)):
            assert result.usage.passes == passes


@pytest.mark.parametrize(("block", "seed"), list(product([3, 6], range(5))))
def test_threshold_and_factor_are_their_loops_written_out(table, block, seed):
    adapter = table(seed=seed, spread=8.0)
    tau, f = 0.6, 1.0

    def by_factor(c):
        fits = [n for n in range(1, len(c) + 1) if (n + 1) * (1 - c[n - 1]) < f]
        # The greatest n of an unbroken run: confidences fall, so that none follows a gap.
        return max(fits, default=0)

    cases = {
        FastDLLM(threshold=tau, block_length=block): lambda c: sum(p >= tau for p in c),
        FastDLLM(factor=f, block_length=block): by_factor,
    }
    for decoding, choose in cases.items():
        for prompt, result in zip(PROMPTS, decoded(adapter, decoding), strict=True):
            exact = parallel(adapter.model, prompt, 6, block, choose)
            assert (result.canvas, result.usage.passes) == exact


def test_the_rules_by_hand():
    assert taken(Threshold(0.9), [0.99, 0.9, 0.89]) == 2
    # (n + 1)(1 - c_n) < 1: 2 * 0.05, 3 * 0.1, 4 * 0.3 fails.
    assert taken(Factor(1.0), [0.95, 0.9, 0.7]) == 2
    assert taken(Factor(1.0), [0.95, 0.9, 0.76]) == 3
    assert taken(Factor(0.0), [1.0, 1.0]) == 0
    # Entropies 0.1, 0.2, 0.3: sum - max is 0, 0.1, 0.3.
    assert taken(BoundedEntropy(0.25), [-0.1, -0.2, -0.3]) == 2
    assert taken(BoundedEntropy(0.3000001), [-0.1, -0.2, -0.3]) == 3
    assert taken(BoundedEntropy(0.0), [-0.1, -0.2]) == 1


def test_within_the_factor_the_joint_mode_is_the_product_of_the_modes():
    # Theorem 1 of Fast-dLLM: for f <= 1, whatever the joint law of the committed slots is.
    torch.manual_seed(0)
    checked = 0
    for n, size in ((2, 3), (3, 2)):
        for _ in range(400):
            joint = (torch.rand(size**n, dtype=torch.float64) * 9).exp()
            joint = (joint / joint.sum()).reshape([size] * n)
            marginals = [joint.sum(dim=[d for d in range(n) if d != i]) for i in range(n)]
            scores = sorted((float(m.max()) for m in marginals), reverse=True)
            if taken(Factor(1.0), scores) == n:
                modes = tuple(int(m.argmax()) for m in marginals)
                assert int(joint.argmax()) == sum(
                    mode * size ** (n - 1 - i) for i, mode in enumerate(modes)
                )
                checked += 1
    assert checked > 100


def test_confident_decoding_follows_the_schedule_where_nothing_is_sure(table):
    adapter = table(seed=2)
    sure = decoded(adapter, Confident(threshold=1.0))
    assert texts(sure) == texts(decoded(adapter, LLaDA()))
    (short,) = decoded(adapter, Confident(threshold=1.0, steps=3), [[1]])
    assert short.usage.passes <= 3
    assert sorted(short.steps) == [0, 1, 1, 2, 2, 2] or max(short.steps) == 2


def test_the_share_of_a_confident_step_is_that_of_the_next_time_that_reveals_something():
    selector = ConfidentOrScheduled(0.95, steps=4)
    # Times 1, 0.75025, 0.5005, 0.25075, 0.001; of 8 masked of 8, 8 * (1 - 0.75025) is 1.998.
    assert selector._share(8, 8, 4) == 1
    # Of 6 masked of 8, now = 0.75: 6 * (1 - 0.5005 / 0.75) is 1.996.
    assert selector._share(6, 8, 4) == 1
    # Of 1 masked of 8, now = 0.125: only 0.001 lies below it, and 1 * (1 - 0.008) is 0: never less.
    assert selector._share(1, 8, 4) == 1
    assert ConfidentOrScheduled(0.95, steps=2)._share(8, 8, 2) == 3


def test_confident_decoding_commits_all_that_it_is_sure_of(table):
    adapter = table(seed=2, spread=12.0)
    (result,) = decoded(adapter, Confident(threshold=0.7, steps=20), [[1, 2]])
    law = laws(adapter.model, [1, 2] + [adapter.mask_id] * 6)[2:].exp().max(-1).values
    assert {s for s, step in enumerate(result.steps) if step == 0} == {
        s for s in range(6) if law[s] > 0.7
    }
    assert result.usage.passes < 6


def test_prophet_that_never_trusts_is_the_decoding_itself(table):
    adapter = table(seed=4)
    never = Prophet(LLaDA(block_length=3), gaps=[math.inf] * 3)
    base = decoded(adapter, LLaDA(block_length=3))
    assert texts(decoded(adapter, never)) == texts(base)


def test_prophet_that_always_trusts_takes_one_pass(table):
    adapter = table(seed=4)
    for prompt, result in zip(
        PROMPTS, decoded(adapter, Prophet(LLaDA(block_length=3), [-math.inf] * 3)), strict=True
    ):
        law = laws(adapter.model, prompt + [adapter.mask_id] * 6)[len(prompt) :]
        assert result.canvas == tuple(law.argmax(-1).tolist())
        assert result.usage.passes == 1
        assert result.finish_reason == "early_commit"


def test_prophet_ends_when_the_mean_gap_is_reached_and_changes_nothing_before(table):
    adapter = table(seed=4, spread=6.0)
    (base,) = decoded(adapter, LLaDA(), [[1, 2]])
    (result,) = decoded(adapter, Prophet(LLaDA(), gaps=(1.8, 1.2, 0.5)), [[1, 2]])
    assert 1 < result.usage.passes < 6
    end = max(result.steps)
    x = [1, 2] + [adapter.mask_id] * 6
    for step in range(end + 1):
        open_ = [at for at in range(2, 8) if x[at] == adapter.mask_id]
        best = laws(adapter.model, x)[open_].topk(2, dim=-1).values
        gap = float((best[:, 0] - best[:, 1]).mean())
        progress = 1 - len(open_) / 6
        needed = 1.8 if progress < 0.33 else 1.2 if progress < 0.67 else 0.5
        assert (gap >= needed) == (step == end)
        if step < end:
            slot = result.steps.index(step)
            assert base.steps[slot] == step
            assert base.canvas[slot] == result.canvas[slot]
            x[2 + slot] = result.canvas[slot]


def test_prophet_reads_the_answers_slots_only(table):
    adapter = table(seed=4)
    law = laws(adapter.model, [1, 2] + [adapter.mask_id] * 6)[2:].topk(2, dim=-1).values
    gaps = law[:, 0] - law[:, 1]
    at = int(gaps.argmax())
    between = [(float(gaps.max()) + float(gaps.mean())) / 2, math.inf, math.inf]
    (sure,) = decoded(adapter, Prophet(LLaDA(), between, answer=(at, at + 1)), [[1, 2]])
    (unsure,) = decoded(adapter, Prophet(LLaDA(), between), [[1, 2]])
    assert sure.usage.passes == 1
    assert unsure.usage.passes > 1
