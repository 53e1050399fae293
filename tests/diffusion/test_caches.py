"""Keys and values kept while a block is decoded: exact where they can be, else as stale as said."""

import pytest
import torch

from guided.diffusion import DiffusionAdapter, FastDLLM, LLaDA, MaskedDiffusionDecoder
from guided.diffusion.adapter import View, Work
from guided.diffusion.protocols import Span
from guided.errors import ModelError
from guided.testing import MaskModel
from tests.diffusion.conftest import MASK, encoder

PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [2, 2]]


def decoded(adapter, decoding, prompts=PROMPTS, length=8):
    decoder = MaskedDiffusionDecoder(adapter, decoding)
    return decoder.generate(prompts, length, seed=1), decoder.work


def forward(adapter, tokens, span, first, memory=None):
    (output,) = adapter.forward([View(torch.tensor(tokens).numpy(), span, first, memory)], Work())
    return output


@pytest.mark.parametrize("kind", ["modernbert", "bert"])
@pytest.mark.parametrize("block_length", [None, 3])
def test_a_pass_that_keeps_keys_has_the_logits_of_one_that_does_not(encoders, kind, block_length):
    adapter = encoders(kind, block_length)
    tokens = [1, 2, 3, MASK, MASK, 5, MASK, 7, 8]
    plain = forward(adapter, tokens, Span(0, 9), 3)
    keeping = forward(adapter, tokens, Span(0, 9, keeps=9), 3)
    assert torch.allclose(plain.logits, keeping.logits, atol=1e-9)
    assert keeping.memory.length == 9
    assert keeping.memory.layers[0][0].shape[1] == 9


@pytest.mark.parametrize("span", [Span(3, 9, 9, True), Span(3, 6, 9, True), Span(6, 9, 6, True)])
def test_kept_keys_of_the_same_tokens_are_exact(encoders, span):
    adapter = encoders()
    tokens = [1, 2, 3, MASK, MASK, 5, MASK, 7, 8]
    whole = forward(adapter, tokens, Span(0, 9, keeps=span.keeps), 3)
    part = forward(adapter, tokens, span, span.begin, whole.memory)
    exact = whole.logits[span.begin - 3 : span.end - 3]
    assert torch.allclose(part.logits, exact, atol=1e-9)


def test_fresh_keys_stand_in_the_place_of_the_kept_ones():
    # With one layer, keys depend on their own token alone: everything but the block may be stale
    # and nothing is, so that the pass over the block is exact.
    adapter = DiffusionAdapter(encoder(layers=1), mask_id=MASK, stop_ids=())
    before, after = [1, 2, MASK, MASK, MASK, MASK], [1, 2, 7, MASK, MASK, MASK]
    kept = forward(adapter, before, Span(0, 6, keeps=6), 2).memory
    exact = forward(adapter, after, Span(0, 6), 2).logits
    part = forward(adapter, after, Span(2, 4, 6, True), 2, kept)
    assert torch.allclose(part.logits, exact[:2], atol=1e-9)
    assert not torch.allclose(forward(adapter, before, Span(0, 6), 2).logits, exact)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("kind", ["modernbert", "bert"])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.8}, {"cfg_scale": 0.7}])
def test_a_block_causal_model_decodes_the_same_with_keys_kept(encoders, kind, cache, options):
    adapter = encoders(kind, 4)
    exact, all_ = decoded(adapter, LLaDA(**options))
    kept, work = decoded(adapter, LLaDA(cache=cache, **options))
    assert [(r.canvas, r.steps) for r in kept] == [(r.canvas, r.steps) for r in exact]
    for one, other in zip(kept, exact, strict=True):
        assert one.log_p == pytest.approx(other.log_p)
        assert one.usage.passes == other.usage.passes
    assert work.positions < all_.positions


def test_positions_computed_are_those_of_the_policy(encoders):
    adapter = encoders()
    prompt, length = [[1, 2, 3]], 8
    counts = {
        cache: decoded(adapter, LLaDA(block_length=4, cache=cache), prompt, length)[1].positions
        for cache in ("none", "prefix", "dual")
    }
    assert counts["none"] == 8 * 11
    # At each of two blocks one pass over all; then three over what follows the block's begin.
    assert counts["prefix"] == 2 * 11 + 3 * 8 + 3 * 4
    assert counts["dual"] == 2 * 11 + 3 * 4 + 3 * 4


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_blocks_of_one_slot_are_never_stale(encoders, cache):
    adapter = encoders()
    exact, _ = decoded(adapter, LLaDA(block_length=1))
    kept, _ = decoded(adapter, LLaDA(block_length=1, cache=cache))
    assert [r.canvas for r in kept] == [r.canvas for r in exact]


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_a_row_alone_is_the_row_in_a_batch(encoders, cache):
    adapter = encoders()
    decoding = FastDLLM(threshold=0.5, block_length=4, cache=cache)
    together, _ = decoded(adapter, decoding)
    alone = [decoded(adapter, decoding, [prompt])[0][0] for prompt in PROMPTS]
    assert [r.canvas for r in together] == [r.canvas for r in alone]
    assert [r.usage for r in together] == [r.usage for r in alone]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_shifted_model_computes_the_position_before_the_block_again(cache):
    # The same weights, read with and without shift: the logits rolled by one.
    plain = encoder()
    rolled = encoder()
    inner = rolled.decoder.forward
    shape = {}

    def forward_rolled(hidden):
        logits = inner(hidden)
        shape["width"] = logits.shape[1]
        return logits

    rolled.decoder.forward = forward_rolled
    exact = DiffusionAdapter(plain, mask_id=MASK, stop_ids=(), shift=True)
    results, work = decoded(exact, LLaDA(block_length=4, cache=cache), [[1, 2, 3]])
    none, _ = decoded(exact, LLaDA(block_length=4), [[1, 2, 3]])
    assert len(results[0].canvas) == len(none[0].canvas) == 8
    spans = 2 * 11 + (3 * 9 + 3 * 5 if cache == "prefix" else 3 * 5 + 3 * 5)
    assert work.positions == spans


def test_models_whose_attention_cannot_be_reached_are_refused(encoders):
    with pytest.raises(ModelError, match="does not call its attention through"):
        MaskedDiffusionDecoder(DiffusionAdapter(MaskModel()), LLaDA(cache="dual"))
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    config = ModernBertConfig(
        vocab_size=12,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        layer_types=["full_attention", "sliding_attention"],
    )
    sliding = DiffusionAdapter(ModernBertForMaskedLM(config), mask_id=MASK)
    with pytest.raises(ModelError, match="sliding_attention"):
        MaskedDiffusionDecoder(sliding, LLaDA(cache="prefix"))


def test_the_models_own_attention_is_given_back(encoders):
    adapter = encoders()
    before = adapter.model.config._attn_implementation
    decoded(adapter, LLaDA(cache="dual", block_length=4))
    assert adapter.model.config._attn_implementation == before
