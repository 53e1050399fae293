"""Fixed text stands from the first step on and is never touched."""

import pytest

from guided.diffusion import (
    Confident,
    FastDLLM,
    Fixed,
    FreeDave,
    Hole,
    LLaDA,
    MaskedDiffusionDecoder,
    Template,
)
from guided.errors import InputError
from tests.diffusion.plain_loops import laws

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]
TEMPLATE = Template([Hole(2), Fixed((4, 4)), Hole(3), [2]])


def decoded(adapter, decoding, template, prompts=PROMPTS, **options):
    return MaskedDiffusionDecoder(adapter, decoding, **options).generate(
        prompts, template=template, seed=1
    )


@pytest.mark.parametrize(
    "decoding",
    [
        LLaDA(),
        LLaDA(block_length=4, temperature=1.0),
        FastDLLM(threshold=0.5, block_length=2),
        Confident(threshold=0.5),
        FreeDave(3),
        LLaDA(cfg_scale=1.0),
    ],
    ids=lambda d: type(d).__name__,
)
def test_fixed_text_stays_and_the_holes_are_filled(table, decoding):
    adapter = table(seed=2)
    for result in decoded(adapter, decoding, TEMPLATE):
        assert result.canvas[2:4] == (4, 4)
        assert result.canvas[7] == 2
        assert result.holes == (result.canvas[:2], result.canvas[4:7])
        assert adapter.mask_id not in result.canvas
        assert result.usage.committed == 5
        assert [step >= 0 for step in result.steps] == [1, 1, 0, 0, 1, 1, 1, 0]


def test_the_model_sees_fixed_text_from_the_first_pass_on(table):
    adapter = table(seed=2)
    mask = adapter.mask_id
    (result,) = decoded(adapter, LLaDA(steps=1), Template([Hole(1), [4], Hole(1)]), [[1]])
    law = laws(adapter.model, [1, mask, 4, mask])
    assert result.canvas == (int(law[1].argmax()), 4, int(law[3].argmax()))


def test_without_a_prompt_the_fixed_text_is_still_seen(table):
    adapter = table(seed=2)
    mask = adapter.mask_id
    decoded(adapter, LLaDA(cfg_scale=1.0), Template([[4], Hole(1)]), [[1, 2]])
    assert adapter.model.calls == [[(1, 2, 4, mask), (mask, mask, 4, mask)]]


def test_a_block_of_fixed_text_costs_no_pass(table):
    template = Template([Hole(2), [1, 2, 3, 4], Hole(2)])
    for result in decoded(table(seed=1), FastDLLM(threshold=0.0, block_length=2), template):
        assert result.usage.passes == 2


def test_the_schedule_counts_open_slots_only(table):
    (result,) = decoded(table(seed=1), LLaDA(steps=2), TEMPLATE, [[1]])
    assert result.usage.passes == 2
    assert sorted(result.steps) == [-1, -1, -1, 0, 0, 0, 1, 1]


def test_the_text_does_not_end_before_fixed_text(table):
    for seed in range(6):
        adapter = table(seed=seed, eos=1)
        (result,) = decoded(adapter, LLaDA(), TEMPLATE, [[3]])
        assert 1 not in result.canvas
        assert result.tokens == result.canvas


def test_a_hole_of_variable_length_is_cut_at_its_filler(table):
    filler, seen = 3, set()
    for seed in range(12):
        template = Template([[4], Hole(3, least=1), [2]], filler=filler)
        (result,) = decoded(table(seed=seed, eos=1), LLaDA(), template, [[3]])
        inside = result.canvas[1:4]
        assert inside[0] != filler
        hole = inside[: inside.index(filler)] if filler in inside else inside
        assert result.holes == (hole,)
        assert result.tokens == (4, *hole, 2)
        seen.add(len(hole))
    assert len(seen) > 1


def test_a_stop_token_may_be_the_filler(table):
    seen = set()
    for seed in range(8):
        adapter = table(seed=seed, eos=1)
        template = Template([Hole(3, least=0), [2], Hole(2)], filler=1)
        (result,) = decoded(adapter, LLaDA(), template, [[3]])
        hole = result.holes[0]
        assert result.tokens[: len(hole) + 1] == (*hole, 2)
        seen.add(len(hole))
    assert len(seen) > 1


def test_what_is_no_template_is_refused():
    with pytest.raises(InputError, match="no hole"):
        Template([[1, 2]])
    with pytest.raises(InputError, match="filler"):
        Template([Hole(3, least=1)])
    for values in ((0,), (2, 3), (2, -1)):
        with pytest.raises(InputError, match="a hole needs"):
            Hole(*values)
