"""Bad input is refused by name, before any pass."""

import math

import pytest

from guided.diffusion import (
    Confident,
    Dream,
    EntropyBound,
    FastDLLM,
    Hole,
    LLaDA,
    MaskedDiffusionDecoder,
    Prophet,
    Template,
    TokenBan,
)
from guided.errors import InputError


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([[]], {"length": 3}, "prompt 0 is empty"),
        ([[1], [2, 5, 1]], {"length": 3}, r"prompt 1 has the mask \(token 5\) at position 1"),
        ([[1, 6]], {"length": 3}, "prompt 0 has the token 6"),
        ([[-1]], {"length": 3}, "has the token -1"),
        ([1, 2], {"length": 3}, "lists of token ids"),
        (["text"], {"length": 3}, "lists of token ids"),
        ([[1]], {}, "either a length or a template"),
        ([[1]], {"length": 3, "template": Template([Hole(3)])}, "either a length or a template"),
        ([[1]], {"length": 0}, "at least one slot"),
        ([[1]], {"length": [2, 3]}, "2 canvases for 1 prompts"),
        ([[1]], {"template": Template([[5], Hole(1)])}, "fixes the mask"),
        ([[1]], {"template": Template([[9], Hole(1)])}, "the template of prompt 0 has the token 9"),
    ],
)
def test_what_cannot_be_decoded_is_refused(table, prompts, options, message):
    adapter = table()
    with pytest.raises(InputError, match=message):
        MaskedDiffusionDecoder(adapter).generate(prompts, **options)
    assert adapter.model.calls == []


def test_a_sequence_longer_than_the_model_is_refused(encoders):
    with pytest.raises(InputError, match="are 66 positions, the model has 64"):
        MaskedDiffusionDecoder(encoders()).generate([[1, 2]], 64)


@pytest.mark.parametrize(
    ("decoding", "length"),
    [
        (LLaDA(steps=5, block_length=2), 8),
        (LLaDA(steps=6, block_length=3), 8),
        (LLaDA(steps=0), 8),
        (Dream(alg="origin", steps=0), 8),
        (Confident(steps=0), 8),
    ],
)
def test_steps_that_do_not_fit_are_refused(table, decoding, length):
    adapter = table()
    with pytest.raises(InputError, match="steps"):
        MaskedDiffusionDecoder(adapter, decoding).generate([[1]], length)
    assert adapter.model.calls == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LLaDA(remasking="luck"), "no remasking rule is named 'luck'"),
        (lambda: LLaDA(temperature=-1.0), "temperature"),
        (lambda: LLaDA(temperature=math.inf), "temperature"),
        (lambda: LLaDA(top_p=0.5), "change nothing at temperature 0"),
        (lambda: LLaDA(temperature=1.0, top_p=0.0), "top-p"),
        (lambda: LLaDA(temperature=1.0, top_k=0), "top-k"),
        (lambda: LLaDA(cfg_scale=math.nan), "cfg_scale"),
        (lambda: LLaDA(cache="all"), "cache is one of"),
        (lambda: LLaDA(stop="never"), "stop is"),
        (lambda: LLaDA(confidence="both"), "confidence is"),
        (lambda: LLaDA(block_length=0).rules(None), "at least one slot"),
        (lambda: Dream(alg="random"), "no alg 'random'"),
        (lambda: Dream(remasking="entropy"), "by alg"),
        (lambda: Dream(block_length=4), "neither blocks nor caches"),
        (lambda: Dream(cache="dual"), "neither blocks nor caches"),
        (lambda: Dream(alg_temp=-1.0), "alg_temp"),
        (lambda: Dream(alg="origin", alg_temp=0.5), "alg_temp"),
        (lambda: Dream(schedule="own"), "schedule is"),
        (lambda: Dream().rules(4), "block-causal"),
        (lambda: FastDLLM(threshold=0.9, factor=1.0), "not both"),
        (lambda: FastDLLM(factor=-1.0), "factor must"),
        (lambda: FastDLLM(threshold=math.nan), "not a number"),
        (lambda: FastDLLM(factor=1.0, remasking="entropy"), "factor needs probabilities"),
        (lambda: EntropyBound(gamma=-0.1), "gamma"),
        (lambda: EntropyBound(remasking="margin"), "by entropy"),
        (lambda: Confident(block_length=4), "no blocks"),
        (lambda: Prophet(gaps=(1.0, 2.0)), "three gaps"),
        (lambda: Prophet(answer=(3, 3)), "answer"),
        (lambda: TokenBan([-1]), "not negative"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
