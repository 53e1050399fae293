"""FreeDave gives the tokens of what it speeds up, in the same order, in fewer passes."""

import pytest

from guided.diffusion import (
    Confident,
    Dream,
    EntropyBound,
    FastDLLM,
    FreeDave,
    LLaDA,
    MaskedDiffusionDecoder,
    Prophet,
)
from guided.diffusion.decodings import DecodingSettings
from guided.diffusion.selectors import FixedSchedule
from guided.errors import InputError

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]
STATIC = [
    LLaDA(),
    LLaDA(block_length=4),
    LLaDA(steps=4, block_length=4),
    LLaDA(temperature=0.8),
    LLaDA(remasking="random", temperature=0.5),
    LLaDA(cfg_scale=0.5, remasking="margin"),
    Dream(alg="entropy", alg_temp=0.4, temperature=0.2),
    Dream(alg="origin", steps=5, temperature=0.5),
    Dream(schedule="dream"),
    FastDLLM(threshold=0.6, block_length=4),
    FastDLLM(factor=1.0),
    EntropyBound(gamma=0.5, block_length=4),
    Confident(threshold=0.7),
    Prophet(LLaDA(block_length=4), gaps=(2.0, 1.5, 1.0)),
]


def decoded(adapter, decoding, **options):
    return MaskedDiffusionDecoder(adapter, decoding, **options).generate(PROMPTS, 8, seed=3)


def same(one, other):
    assert [r.canvas for r in one] == [r.canvas for r in other]
    assert [r.steps for r in one] == [r.steps for r in other]
    assert [r.finish_reason for r in one] == [r.finish_reason for r in other]
    for first, second in zip(one, other, strict=True):
        assert first.log_p == pytest.approx(second.log_p)
        assert first.log_q == pytest.approx(second.log_q)


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("of", STATIC, ids=lambda of: f"{type(of).__name__}")
def test_the_tokens_and_their_order_are_those_of_the_other_decoding(table, of, d):
    adapter = table(seed=d, spread=8.0)
    static, fast = decoded(adapter, of), decoded(adapter, FreeDave(d, of))
    same(static, fast)
    for slow, quick in zip(static, fast, strict=True):
        waits = isinstance(of, Dream)
        assert slow.usage.passes <= quick.usage.passes * max(d, 1) + 8 * waits
        assert quick.usage.passes <= slow.usage.passes + 8 * waits


def test_guesses_save_passes_where_the_model_does_not_change_its_mind(encoders):
    adapter = encoders()
    static, fast = decoded(adapter, LLaDA()), decoded(adapter, FreeDave(4))
    same(static, fast)
    assert sum(r.usage.passes for r in fast) <= 0.75 * sum(r.usage.passes for r in static)
    for result in fast:
        assert 0 < result.usage.accepted <= result.usage.drafted
        assert result.usage.committed == 8


def test_one_state_a_pass_is_the_decoding_itself(table):
    adapter = table(seed=1)
    static, fast = decoded(adapter, LLaDA()), decoded(adapter, FreeDave(1))
    assert [r.usage.passes for r in static] == [r.usage.passes for r in fast]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("block_length", [None, 4])
def test_with_keys_kept_the_tokens_are_those_of_decoding_with_keys_kept(
    encoders, cache, block_length
):
    adapter = encoders("modernbert", block_length)
    of = LLaDA(block_length=4, cache=cache, temperature=0.7)
    static, fast = decoded(adapter, of), decoded(adapter, FreeDave(4, of))
    same(static, fast)
    assert sum(r.usage.passes for r in fast) < sum(r.usage.passes for r in static)


def test_what_depends_on_its_own_history_is_refused_by_name(table):
    class Remembering(FixedSchedule):
        reads_history = True

    class History(DecodingSettings):
        def _selector(self, blocks):
            return Remembering(None, blocks)

    with pytest.raises(InputError, match="FreeDave cannot draft for Remembering"):
        MaskedDiffusionDecoder(table(), FreeDave(2, History()))
    with pytest.raises(InputError, match="twice"):
        MaskedDiffusionDecoder(table(), FreeDave(2, FreeDave(2)))
    with pytest.raises(InputError, match="at least 1"):
        FreeDave(0)
