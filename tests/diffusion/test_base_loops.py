"""The loops of LLaDA and Dream, against loops written out and laws enumerated."""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from guided.diffusion import DiffusionAdapter, Dream, LLaDA, MaskedDiffusionDecoder, TokenBan
from guided.diffusion.law import token_noise
from guided.diffusion.selectors import transfer_schedule
from guided.errors import DeadEndError, LogitsError
from guided.testing import MaskModel
from tests.diffusion.plain_loops import laws, llada

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]


def decoded(adapter, decoding, prompts=PROMPTS, length=6, seed=0, **options):
    return MaskedDiffusionDecoder(adapter, decoding, **options).generate(prompts, length, seed=seed)


def texts(results):
    return [(result.canvas, result.steps) for result in results]


@pytest.mark.parametrize(
    ("steps", "block"), [(6, 6), (6, 3), (2, 3), (4, 3), (2, 6), (6, 1), (4, 6), (12, 6)]
)
def test_llada_is_its_loop_written_out(table, steps, block):
    adapter = table(seed=3)
    results = decoded(adapter, LLaDA(steps=steps, block_length=block))
    for prompt, result in zip(PROMPTS, results, strict=True):
        assert (result.canvas, result.steps) == llada(adapter.model, prompt, 6, steps, block)
        assert result.usage.passes == min(steps, 6)


def test_blocks_as_long_as_the_canvas_are_no_blocks(table):
    adapter = table(seed=5)
    assert texts(decoded(adapter, LLaDA(block_length=6))) == texts(decoded(adapter, LLaDA()))


def test_one_slot_a_step_is_the_default(table):
    adapter = table(seed=6)
    default = decoded(adapter, LLaDA(block_length=2))
    assert texts(default) == texts(decoded(adapter, LLaDA(block_length=2, steps=6)))
    assert all(result.usage.passes == 6 and result.usage.committed == 6 for result in default)


@pytest.mark.parametrize(("masked", "steps"), list(product([1, 5, 8], [1, 2, 3, 5, 8, 11])))
def test_a_schedule_is_even_and_complete(masked, steps):
    plan = transfer_schedule(masked, steps)
    assert sum(plan) == masked
    assert max(plan) - min(plan) <= 1
    assert plan == sorted(plan, reverse=True)
    assert len(plan) == min(masked, steps)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("margin", lambda law: law.exp().sort().values[-1] - law.exp().sort().values[-2]),
        ("entropy", lambda law: torch.nan_to_num(law.exp() * law, nan=0.0).sum()),
        ("low_confidence", lambda law: law.exp().max()),
    ],
)
def test_remasking_orders_slots_by_its_score(table, name, score):
    adapter = table(seed=7)
    (result,) = decoded(adapter, LLaDA(remasking=name, steps=3), [[1, 2]])
    assert (result.canvas, result.steps) == llada(adapter.model, [1, 2], 6, 3, 6, score)


def test_left_to_right_goes_from_left_to_right(table):
    (result,) = decoded(table(), LLaDA(remasking="left_to_right"), [[1]])
    assert result.steps == (0, 1, 2, 3, 4, 5)


def test_random_order_depends_on_the_seed_and_the_row_alone(table):
    adapter = table(seed=1)
    decoding = LLaDA(remasking="random")
    orders = {decoded(adapter, decoding, [[1]], seed=seed)[0].steps for seed in range(12)}
    assert len(orders) > 6
    together = decoded(adapter, decoding, seed=4)
    alone = [decoded(adapter, decoding, [prompt], seed=4)[0] for prompt in PROMPTS]
    assert texts(together) == texts(alone)


def test_the_order_drawn_is_the_same_at_any_temperature(table):
    adapter = table(seed=1)
    cold = decoded(adapter, LLaDA(remasking="random"), seed=2)
    warm = decoded(adapter, LLaDA(remasking="random", temperature=1.0), seed=2)
    assert [r.steps for r in cold] == [r.steps for r in warm]
    assert [r.canvas for r in cold] != [r.canvas for r in warm]


def test_ties_go_to_the_lowest_slot_and_the_lowest_token():
    flat = DiffusionAdapter(MaskModel(5, spread=0.0))
    (result,) = decoded(flat, LLaDA(), [[1]], 4)
    assert result.canvas == (0, 0, 0, 0)
    assert result.steps == (0, 1, 2, 3)


@pytest.mark.parametrize(
    "decoding",
    [
        LLaDA(temperature=0.7, block_length=3),
        LLaDA(cfg_scale=0.5),
        Dream(alg="origin", temperature=1.0, steps=4),
        Dream(alg_temp=0.5, temperature=0.3),
    ],
)
def test_a_row_alone_is_the_row_in_a_batch(table, decoding):
    adapter = table(seed=2)
    together = decoded(adapter, decoding, seed=9)
    alone = [decoded(adapter, decoding, [prompt], seed=9)[0] for prompt in PROMPTS]
    assert texts(together) == texts(alone)
    assert [r.usage for r in together] == [r.usage for r in alone]


def test_rows_may_have_canvases_of_different_lengths(table):
    adapter = table(seed=2)
    together = decoded(adapter, LLaDA(), length=[2, 5, 3])
    lengths = zip(PROMPTS, [2, 5, 3], strict=True)
    alone = [decoded(adapter, LLaDA(), [prompt], length)[0] for prompt, length in lengths]
    assert texts(together) == texts(alone)


def test_equal_prompts_get_draws_of_their_own(table):
    results = decoded(table(), LLaDA(temperature=1.0), [[1, 2]] * 8)
    assert len({result.canvas for result in results}) > 1


def test_greedy_decoding_does_not_depend_on_the_seed(table):
    adapter = table(seed=4)
    assert texts(decoded(adapter, LLaDA())) == texts(decoded(adapter, LLaDA(), seed=99))


def test_no_guidance_by_the_prompt_is_no_second_sequence(table):
    adapter = table(seed=4)
    plain, none = decoded(adapter, LLaDA()), decoded(adapter, LLaDA(cfg_scale=0.0))
    assert texts(plain) == texts(none)
    assert [r.usage for r in plain] == [r.usage for r in none]
    assert all(r.usage.sequences == r.usage.passes for r in none)


def test_guidance_by_the_prompt_is_its_formula(table):
    adapter = table(seed=4)
    scale = 1.5
    (result,) = decoded(adapter, LLaDA(cfg_scale=scale, steps=2), [[1, 2]], 2)
    model, mask = adapter.model, adapter.mask_id
    x = [1, 2, mask, mask]
    for _ in range(2):
        given = torch.stack([model.law(x, at) for at in range(4)])
        without = torch.stack([model.law([mask, mask, *x[2:]], at) for at in range(4)])
        both = without + (scale + 1) * (given - without)
        both[:, mask] = -torch.inf
        law = both.softmax(-1)
        at = max((i for i in (2, 3) if x[i] == mask), key=lambda i: float(law[i].max()))
        x[at] = int(law[at].argmax())
        assert result.log_p[at - 2] == pytest.approx(float(law[at, x[at]].log()))
    assert result.canvas == tuple(x[2:])
    assert (result.usage.passes, result.usage.sequences, result.usage.positions) == (2, 4, 16)


def chi_square(counts, law, draws):
    return sum((counts[key] - draws * p) ** 2 / (draws * p) for key, p in law.items())


def test_sampling_has_the_law_of_the_tempered_softmax(table):
    # Left to right, so that the law of the canvas is a product of laws.
    adapter = table(4, seed=8, spread=2.0)
    temperature, draws = 0.6, 400
    exact = {}
    for first in range(3):
        law = (laws(adapter.model, [1, 3, 3])[1] / temperature).softmax(-1)
        then = (laws(adapter.model, [1, first, 3])[2] / temperature).softmax(-1)
        exact.update({(first, second): float(law[first] * then[second]) for second in range(3)})
    decoding = LLaDA(temperature=temperature, remasking="left_to_right")
    counts = Counter(r.canvas for r in decoded(adapter, decoding, [[1]] * draws, 2, seed=5))
    # The 99.9 % quantile for 8 degrees of freedom.
    assert chi_square(counts, exact, draws) < 26.1


def test_every_step_draws_anew(table):
    decoder = MaskedDiffusionDecoder(table(5), LLaDA(temperature=1.0))
    (track,) = decoder.open([[1]], 3)
    slots, device = np.arange(3), torch.device("cpu")
    noise = [token_noise(replace(track.state, step=step), slots, 5, device) for step in range(2)]
    assert noise[0].unique().numel() == 15
    assert not torch.isin(noise[0], noise[1]).any()


def test_top_k_and_top_p_cut_the_tail(table):
    adapter = table(seed=8)
    for decoding in (
        LLaDA(temperature=1.0, top_k=1, remasking="left_to_right"),
        LLaDA(temperature=1.0, top_p=1e-9, remasking="left_to_right"),
    ):
        greedy = decoded(adapter, LLaDA(remasking="left_to_right"))
        assert texts(decoded(adapter, decoding)) == texts(greedy)


def test_confidence_is_read_from_the_law_that_was_asked_for(table):
    adapter = table(4, seed=2)
    steps = {}
    for confidence in ("raw", "sampling"):
        decoding = LLaDA(temperature=3.0, confidence=confidence)
        steps[confidence] = [r.steps for r in decoded(adapter, decoding, [[1, 2]] * 30, 4)]
    assert steps["raw"] != steps["sampling"]


def test_log_probabilities_are_those_of_the_step(table):
    adapter = table(5, seed=3)
    decoding = LLaDA(temperature=0.5, remasking="left_to_right")
    (result,) = decoded(adapter, decoding, [[1]], 3)
    x = [1, 4, 4, 4]
    for slot, token in enumerate(result.canvas):
        law = laws(adapter.model, x)[slot + 1]
        assert result.log_p[slot] == pytest.approx(float(law[token]))
        assert result.log_q[slot] == pytest.approx(float((law / 0.5).log_softmax(-1)[token]))
        x[slot + 1] = token


def test_dream_with_its_own_rounding_waits_first_and_hurries_last(table):
    (result,) = decoded(table(seed=1), Dream(schedule="dream"), [[1, 2]])
    assert sorted(result.steps) == [1, 2, 3, 4, 5, 5]
    # A pass that leads to nothing need not be made again.
    assert result.usage.passes == 5


def test_dream_with_exact_shares_is_lladas_loop_by_entropy(table):
    adapter = table(seed=1)
    dream = decoded(adapter, Dream(steps=3))
    assert texts(dream) == texts(decoded(adapter, LLaDA(steps=3, remasking="entropy")))


def test_dreams_origin_reveals_each_slot_by_chance(table):
    adapter = table(5, seed=1)
    steps = 4
    draws = decoded(adapter, Dream(alg="origin", steps=steps), [[1]] * 120, 5, seed=3)
    times = np.linspace(1, 1e-3, steps + 1)
    # A slot is revealed at step i with probability t_i - t_(i+1), whatever the others do.
    exact = {i: times[i] - times[i + 1] for i in range(steps - 1)}
    exact[steps - 1] = times[steps - 1]
    counts = Counter(step for result in draws for step in result.steps)
    assert chi_square(counts, exact, 600) < 16.3
    assert all(min(result.steps) >= 0 for result in draws)


def test_slots_drawn_by_score_follow_the_softmax_of_scores(table):
    adapter = table(5, seed=6)
    temperature, draws = 0.2, 500
    scores = laws(adapter.model, [1, 4, 4, 4])[1:].max(-1).values.exp()
    exact = dict(enumerate((scores / temperature).softmax(-1).tolist()))
    decoder = MaskedDiffusionDecoder(adapter, Dream(alg="maskgit_plus", alg_temp=temperature))
    tracks = decoder.open([[1]] * draws, 3)
    decoder.step(tracks)
    first = Counter(int(track.state.steps.argmax()) for track in tracks)
    assert chi_square(first, exact, draws) < 13.8


def test_every_slot_is_committed_once_and_the_mask_never(table):
    adapter = table(seed=9)
    seen = []
    decoder = MaskedDiffusionDecoder(
        adapter,
        LLaDA(steps=3, temperature=1.0),
        callbacks=[lambda before, after: seen.append((before.tokens, after.tokens))],
    )
    for result in decoder.generate(PROMPTS, 6):
        assert adapter.mask_id not in result.canvas
    for before, after in seen:
        was = before != adapter.mask_id
        assert (before[was] == after[was]).all()


def test_ends_can_be_banned(table):
    adapter = table(seed=11, eos=1, spread=1.0)
    assert any(1 in r.canvas for r in decoded(adapter, LLaDA(ends_early=False)))
    assert not any(1 in r.canvas for r in decoded(adapter, LLaDA(stop="ban")))


def test_ends_can_be_put_last(table):
    differs = 0
    for seed in range(6):
        adapter = table(seed=seed, eos=1)
        law = laws(adapter.model, [2] + [adapter.mask_id] * 6)[1:]
        ends = law.argmax(-1) == 1
        best = torch.where(ends, law.max(-1).values - 1000, law.max(-1).values)
        (last,) = decoded(adapter, LLaDA(stop="last", ends_early=False), [[2]])
        assert last.steps.index(0) == int(best.argmax())
        differs += int(best.argmax()) != int(law.max(-1).values.argmax())
    assert differs


@pytest.mark.parametrize("remasking", ["left_to_right", "low_confidence"])
def test_a_row_that_ends_early_has_the_text_that_it_would_have(table, remasking):
    saved = 0
    for seed in range(6):
        adapter = table(seed=seed, eos=1)
        early = decoded(adapter, LLaDA(remasking=remasking))
        whole = decoded(adapter, LLaDA(remasking=remasking, ends_early=False))
        assert [r.tokens for r in early] == [r.tokens for r in whole]
        for one, other in zip(early, whole, strict=True):
            assert one.usage.passes <= other.usage.passes
            saved += other.usage.passes - one.usage.passes
            if len(one.tokens) < 6:
                assert one.finish_reason == "stop"
                assert one.canvas[len(one.tokens)] == 1
                assert adapter.mask_id not in one.canvas
    assert saved > 0


def test_bans_keep_tokens_away_or_say_that_nothing_is_left(table):
    adapter = table(seed=1)
    for result in decoded(adapter, LLaDA(), transforms=[TokenBan([0, 2, 4])]):
        assert set(result.canvas) <= {1, 3}
    with pytest.raises(DeadEndError, match="no token is left for slot 0"):
        decoded(adapter, LLaDA(), transforms=[TokenBan(range(6))])


def test_nan_is_an_error(table):
    adapter = table()
    adapter.model.law = lambda tokens, at: torch.full((6,), torch.nan, dtype=torch.float64)
    with pytest.raises(LogitsError):
        decoded(adapter, LLaDA())
