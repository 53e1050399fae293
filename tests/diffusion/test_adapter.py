"""One convention for all models: shifts, padding, masks, families, and what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import guided
from guided.diffusion import (
    FAMILIES,
    DiffusionAdapter,
    Family,
    LLaDA,
    MaskedDiffusionDecoder,
    is_masked_diffusion,
    load,
)
from guided.diffusion.adapter import View, Work
from guided.diffusion.families import NATIVE, family_of
from guided.diffusion.protocols import Span
from guided.errors import ModelError, VocabularyError
from guided.testing import MaskModel, fake_model
from tests.diffusion.conftest import MASK, encoder

PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]


def decoded(adapter, decoding=None, prompts=PROMPTS, length=6):
    results = MaskedDiffusionDecoder(adapter, decoding or LLaDA()).generate(prompts, length)
    return [(result.canvas, result.steps) for result in results]


def rows(adapter, sequences, first=1):
    views = [View(torch.tensor(row).numpy(), Span(0, len(row)), first) for row in sequences]
    return [output.logits for output in adapter.forward(views, Work())]


def test_a_shifted_model_decodes_like_the_one_that_is_not():
    plain, shifted = MaskModel(6, 3), MaskModel(6, 3, shift=True)
    assert decoded(DiffusionAdapter(shifted, shift=True)) == decoded(DiffusionAdapter(plain))
    assert decoded(DiffusionAdapter(shifted)) != decoded(DiffusionAdapter(plain))


@pytest.mark.parametrize("kind", ["modernbert", "bert"])
@pytest.mark.parametrize("block_length", [None, 3])
def test_a_padded_row_has_the_logits_of_the_row_alone(encoders, kind, block_length):
    adapter = encoders(kind, block_length)
    sequences = [[1, 2, MASK], [3, 4, 5, 6, MASK, MASK], [7, MASK, MASK, MASK, 2, 3, MASK, MASK, 1]]
    for together, sequence in zip(rows(adapter, sequences), sequences, strict=True):
        (alone,) = rows(adapter, [sequence])
        assert torch.allclose(together, alone, atol=1e-9)


def test_rows_of_a_model_without_masks_go_in_passes_of_their_own():
    bare, padded = MaskModel(6, 3, takes_mask=False), MaskModel(6, 3)
    decoder = MaskedDiffusionDecoder(DiffusionAdapter(bare))
    results = decoder.generate([[1, 2], [3, 1], [2]], 4)
    assert [len(call) for call in bare.calls] == [2, 1] * 4
    assert (decoder.work.passes, decoder.work.rows) == (8, 12)
    exact = MaskedDiffusionDecoder(DiffusionAdapter(padded)).generate([[1, 2], [3, 1], [2]], 4)
    assert [r.canvas for r in results] == [r.canvas for r in exact]


def test_later_blocks_do_not_change_a_block_of_a_block_causal_model(encoders):
    adapter = encoders("modernbert", 3)
    one, other = rows(adapter, [[1, 2, MASK, 4, 5, MASK], [1, 2, MASK, 7, 8, 9]])
    assert torch.equal(one[:2], other[:2])
    assert not torch.allclose(one[2:], other[2:])


def test_a_block_causal_model_sees_no_further_than_its_block():
    model = MaskModel(6, 3, block_length=4)
    adapter = DiffusionAdapter(model, block_length=4)
    MaskedDiffusionDecoder(adapter).generate([[1, 2, 3]], 7)
    # Blocks end at 4, 8 and 12: the prompt's last block is completed, the last one is filled up.
    assert [len(call[0]) for call in model.calls] == [4] * 1 + [8] * 4 + [12] * 2


def test_families_are_recognised_from_the_configuration():
    for family in FAMILIES:
        for model_type in family.model_types:
            assert family_of(SimpleNamespace(model_type=model_type.upper())) is family
        for name in family.classes:
            assert family_of(SimpleNamespace(), name) is family
            assert family_of(SimpleNamespace(architectures=[name])) is family
            auto_map = {family.auto_class: f"modeling.{name}"}
            assert family_of(SimpleNamespace(auto_map=auto_map)) is family
    assert family_of(SimpleNamespace(architectures=["RobertaForMaskedLM"])) is NATIVE
    assert (
        family_of(SimpleNamespace(model_type="llama", architectures=["LlamaForCausalLM"])) is None
    )


def test_the_kind_of_a_model_is_told_without_a_pass():
    causal = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )
    assert not is_masked_diffusion(causal)
    assert not is_masked_diffusion(fake_model([b"a"]))
    assert is_masked_diffusion(encoder())
    assert is_masked_diffusion(MaskModel())
    assert is_masked_diffusion(SimpleNamespace(hf_model=MaskModel()))
    with pytest.raises(ModelError, match="LlamaForCausalLM is not known as a masked-diffusion"):
        DiffusionAdapter(causal, mask_id=7)
    # Who knows better says so: a decoder that was trained on bidirectional masks.
    mine = Family("mine", mask_form="boolean", needs_mask=True)
    adapter = DiffusionAdapter(causal.double(), family=mine, mask_id=7, stop_ids=())
    left, right = rows(adapter, [[1, 7, 2], [1, 7, 3]])
    assert not torch.allclose(left[0], right[0])


def test_ids_come_from_tokenizer_configuration_or_family():
    tokenizer = SimpleNamespace(mask_token_id=5, eos_token_id=[1, 2], pad_token_id=5)
    model = MaskModel(6)
    adapter = DiffusionAdapter(model, tokenizer)
    assert (adapter.mask_id, adapter.stop_ids, adapter.pad_id) == (5, {1, 2}, 0)
    model.config.mask_token_id = None
    with pytest.raises(ModelError, match="give mask_id="):
        DiffusionAdapter(model)
    with pytest.raises(ModelError, match="outside of the 6 columns"):
        DiffusionAdapter(model, family="Dream")
    with pytest.raises(ModelError, match="both be the mask and end the text"):
        DiffusionAdapter(model, mask_id=4, stop_ids=[4])
    with pytest.raises(ModelError, match="both be the mask and padding"):
        DiffusionAdapter(model, mask_id=4, pad_id=4)
    with pytest.raises(ModelError, match="no family is named 'GPT'"):
        DiffusionAdapter(model, family="GPT", mask_id=4)
    with pytest.raises(ModelError, match="takes no mask"):
        DiffusionAdapter(MaskModel(6, takes_mask=False), block_length=2)


def test_logits_of_another_width_are_an_error():
    model = MaskModel(6)
    adapter = DiffusionAdapter(model)
    model.law = lambda tokens, at: torch.zeros(9, dtype=torch.float64)
    model.config.vocab_size = 9
    with pytest.raises(VocabularyError, match="9 columns, not 6"):
        decoded(adapter)


def write_config(folder, **values):
    (folder / "config.json").write_text(json.dumps(values))
    return str(folder)


def test_code_of_a_checkpoint_is_not_run_unasked(tmp_path):
    (tmp_path / "modeling.py").write_text("raise SystemExit('it was run')")
    auto_map = {"AutoConfig": "modeling.C", "AutoModel": "modeling.LLaDAModelLM"}
    path = write_config(tmp_path, model_type="llada", auto_map=auto_map)
    with pytest.raises(ModelError, match="trust_remote_code=True"):
        load(path)


def test_what_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(ModelError, match="not known as a masked-diffusion model"):
        load(write_config(tmp_path, model_type="llama", architectures=["LlamaForCausalLM"]))
    with pytest.raises(ModelError, match="its code is missing"):
        load(write_config(tmp_path, model_type="Dream"))
    with pytest.raises(ModelError, match="cannot load"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="no family is named"):
        load(write_config(tmp_path, model_type="llama"), family="GPT")


def test_a_masked_diffusion_model_is_not_loaded_as_a_causal_one():
    folder = Path(__file__).parents[2] / "examples" / "models" / "tiny-diffusion"
    with pytest.raises(ModelError, match="is a masked-diffusion model, no causal one"):
        guided.load(str(folder), kind="causal")


def test_a_native_model_is_loaded_from_its_folder(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    model = encoder()
    model.float().save_pretrained(tmp_path)
    words = {f"w{i}": i for i in range(MASK)} | {"[MASK]": MASK}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="w0")), mask_token="[MASK]"
    )
    tokenizer.save_pretrained(tmp_path)
    adapter = load(str(tmp_path))
    assert (adapter.mask_id, adapter.stop_ids, adapter.family) == (MASK, {1}, NATIVE)
    own = DiffusionAdapter(model, tokenizer)
    assert decoded(adapter) == decoded(own)
