"""Process reward models: what the cache saves, what is repaired, what is refused."""

import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForTokenClassification, Qwen2ForCausalLM

from guided.errors import InputError, ModelError, RewardError
from guided.rewards.formats import PRESETS
from guided.rewards.heads import Qwen2StepScores, Qwen2ValueHead
from guided.rewards.prm import PRM
from guided.rewards.protocol import Continuation
from guided.rewards.rotary import repair_rotary
from guided.rewards.step_readers import CachedReader
from guided.search import BestOfN
from guided.testing import check_reward_laws, tiny_model

Models = Callable[[str], Any]
QUESTIONS = ["What is 12 + 30?", "What is 42 - 2, and why?"]


def solutions(count: int, seed: int, delimiter: str) -> Iterator[tuple[str, Continuation]]:
    """Texts that share beginnings, as those of a search do."""
    rng = random.Random(seed)
    texts = [""]
    for _ in range(count):
        text = rng.choice(texts) + f"So {rng.randrange(3)} + {rng.randrange(3)} = 4." + delimiter
        texts.append(text)
        if is_complete := rng.random() < 0.4:
            text += f"The answer is {rng.randrange(3)}."
        yield rng.choice(QUESTIONS), Continuation(text, (), is_complete)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_cache_changes_no_score(preset: str, models: Models, tokenizer: Any) -> None:
    given = {"tokenizer": tokenizer, "batch_size": 5}
    cached = PRM(models(preset), preset, cache=True, **given)
    plain = PRM(models(preset), preset, cache=False, **given)
    assert cached.is_cached
    assert not plain.is_cached
    for seed in range(4):
        pairs = list(solutions(9, seed, PRESETS[preset].delimiter))
        prompts, texts = zip(*pairs, strict=True)
        for one, other in zip(
            cached.score(prompts, texts), plain.score(prompts, texts), strict=True
        ):
            assert one == pytest.approx(other, abs=1e-5)
    assert cached.usage.tokens < 0.5 * plain.usage.tokens


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_obey_the_laws_of_rewards(preset: str, models: Models, tokenizer: Any) -> None:
    prompts, texts = zip(*solutions(8, 11, PRESETS[preset].delimiter), strict=True)
    prm = PRM(models(preset), preset, tokenizer=tokenizer)
    check_reward_laws(prm, prompts, texts, causal=True, tolerance=1e-5)


def test_what_was_scored_before_costs_nothing(models: Models, tokenizer: Any) -> None:
    prm = PRM(models("tiny-prm"), "tiny-prm", tokenizer=tokenizer, cache=True)
    question, begun = "Question: 3 + 4\n", Continuation("3+4=7\n", (), False)
    (first,) = prm.score([question], [begun])
    assert prm.last_tokens == [len(prm._written(question, begun).tokens)]
    (second,) = prm.score([question], [begun])
    assert prm.last_tokens == [0]
    assert first == second
    longer = Continuation("3+4=7\n7+1=8\n", (), False)
    (third,) = prm.score([question], [longer])
    assert prm.last_tokens == [len(tokenizer("7+1=8\n")["input_ids"])]
    assert third[:1] == first
    assert prm.usage.passes == 2


def test_equal_beginnings_are_computed_once_within_a_call(models: Models, tokenizer: Any) -> None:
    prm = PRM(models("tiny-prm"), "tiny-prm", tokenizer=tokenizer, cache=True)
    question = "Question: " + "3 + 4 and " * 20 + "\n"
    texts = [Continuation(f"{a}+{b}=7\n", (), False) for a in range(4) for b in range(4)]
    prm.score([question] * 16, texts)
    written = [prm._written(question, text).tokens for text in texts]
    head = len(written[0]) - 6
    own = sum(len(tokens) - head for tokens in written)
    assert head + own <= sum(prm.last_tokens) + 12
    assert sum(prm.last_tokens) <= head + own


def test_every_position_is_computed_once_where_any_saving_is_worth_it(
    models: Models, tokenizer: Any
) -> None:
    prm = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=True, check=False)
    assert isinstance(prm._reader, CachedReader)
    prm._reader.worth = 0
    prompts, texts = zip(*solutions(20, 3, "\n"), strict=True)
    prm.score(prompts, texts)
    written = [prm._written(*pair).tokens for pair in zip(prompts, texts, strict=True)]
    prefixes = {tokens[: at + 1] for tokens in written for at in range(len(tokens))}
    assert sum(prm.last_tokens) == len(prefixes)


def test_the_cache_stays_within_its_limit(models: Models, tokenizer: Any) -> None:
    limit = 60_000
    prm = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=True, cache_limit=limit)
    plain = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=False)
    reader = prm._reader
    assert isinstance(reader, CachedReader)
    fullest = 0
    for seed in range(6):
        prompts, texts = zip(*solutions(8, seed, "\n"), strict=True)
        for one, other in zip(prm.score(prompts, texts), plain.score(prompts, texts), strict=True):
            assert one == pytest.approx(other, abs=1e-5)
        held = sum(node.bytes for node in reader.tree._all())
        assert held == reader.tree.bytes <= limit
        fullest = max(fullest, held)
    assert fullest > limit // 2
    none = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=True, cache_limit=0)
    none.score(prompts, texts)
    assert isinstance(none._reader, CachedReader)
    assert none._reader.tree.bytes == 0


def test_a_position_that_was_not_read_before_is_computed_again(
    models: Models, tokenizer: Any
) -> None:
    prm = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=True)
    plain = PRM(models("trl"), "trl", tokenizer=tokenizer, cache=False)
    # The line break inside of the first question ends a step of the second text.
    pairs = [("1+1=2\n3", Continuation("4")), ("1+1=2", Continuation("3"))]
    for prompt, text in [*pairs, ("", Continuation("1+1=2\n34"))]:
        (one,), (other,) = prm.score([prompt], [text]), plain.score([prompt], [text])
        assert one == pytest.approx(other, abs=1e-5)


def test_frequencies_that_were_not_loaded_are_computed_again(build: Any, tokenizer: Any) -> None:
    right = build(LlamaForTokenClassification)
    wanted = PRM(right, "trl", tokenizer=tokenizer).score(["Why?"], [Continuation("a\nb")])
    for wrong in (0.0, float("nan"), 7e3):
        model = build(LlamaForTokenClassification)
        model.model.rotary_emb.inv_freq.fill_(wrong)
        with pytest.warns(RuntimeWarning, match="rotary frequencies .* were not loaded") as caught:
            prm = PRM(model, "trl", tokenizer=tokenizer)
        assert caught[0].filename == __file__
        (scores,) = prm.score(["Why?"], [Continuation("a\nb")])
        assert scores == pytest.approx(wanted[0], abs=1e-6)
    assert repair_rotary(right) == []


def test_old_tables_of_cosines_are_made_again(build: Any) -> None:
    class OldRotary(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("inv_freq", torch.zeros(4), persistent=False)
            self.register_buffer("cos_cached", torch.zeros(16, 8), persistent=False)
            self.register_buffer("sin_cached", torch.zeros(16, 8), persistent=False)

    model = build(LlamaForTokenClassification)
    model.model.layers[0].old = OldRotary()
    assert repair_rotary(model) == ["model.layers.0.old"]
    old = model.model.layers[0].old
    angles = torch.outer(torch.arange(16).float(), model.model.rotary_emb.inv_freq)
    assert torch.allclose(old.cos_cached[:, :4], angles.cos(), atol=1e-5)
    assert torch.allclose(old.sin_cached[:, 4:], angles.sin(), atol=1e-5)


def test_scaled_frequencies_that_were_not_loaded_are_refused(build: Any, tokenizer: Any) -> None:
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    model = build(LlamaForTokenClassification, rope_parameters=scaled)
    assert repair_rotary(model) == []
    model.model.rotary_emb.inv_freq.zero_()
    with pytest.raises(ModelError, match="were not loaded"):
        PRM(model, "trl", tokenizer=tokenizer)


def test_a_model_with_constant_scores_is_refused(build: Any, tokenizer: Any) -> None:
    model = build(LlamaForTokenClassification)
    torch.nn.init.zeros_(model.score.weight)
    with pytest.raises(ModelError, match="for every step of different texts"):
        PRM(model, "trl", tokenizer=tokenizer)
    torch.nn.init.constant_(model.score.weight, float("nan"))
    with pytest.raises(ModelError, match="nan"):
        PRM(model, "trl", tokenizer=tokenizer)


class _Forgetful(LlamaForTokenClassification):
    """Loses its past, as code for older caches does."""

    def forward(self, input_ids: Any, cache: Any = None, past_key_values: Any = None, **given: Any):
        given.pop("position_ids", None)
        mask = given.pop("attention_mask")[:, -input_ids.shape[1] :]
        return super().forward(input_ids, attention_mask=mask, **given)


def test_a_cache_that_does_not_work_is_found_out(build: Any, tokenizer: Any) -> None:
    model = build(_Forgetful)
    with pytest.warns(RuntimeWarning, match="goes on without") as caught:
        prm = PRM(model, "trl", tokenizer=tokenizer)
    assert caught[0].filename == __file__
    assert not prm.is_cached
    with pytest.raises(ModelError, match="cache=False"):
        PRM(model, "trl", tokenizer=tokenizer, cache=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PRM(model, "trl", tokenizer=tokenizer, cache=False)


@pytest.mark.parametrize(
    ("kind", "preset"), [(Qwen2StepScores, "qwen"), (Qwen2ValueHead, "skywork")]
)
def test_published_heads_load_from_a_folder_without_their_code(
    kind: type, preset: str, build: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model = build(kind)
    folder = tmp_path / ("Qwen2.5-Math-PRM-1B" if preset == "qwen" else "Skywork-o1-Open-PRM-1B")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_missing.Missing"}
    config["architectures"] = ["Qwen2ForProcessRewardModel"]
    (folder / "config.json").write_text(json.dumps(config))
    loaded = PRM(folder, preset if preset == "skywork" else None)
    given = PRM(model, preset, tokenizer=tokenizer)
    question, text = ["Why?"], [Continuation("Because.\n\nSo it is.")]
    assert loaded.score(question, text)[0] == pytest.approx(given.score(question, text)[0])


def test_a_folder_without_the_head_is_refused(build: Any, tokenizer: Any, tmp_path: Path) -> None:
    build(Qwen2ForCausalLM).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for preset in ("qwen", "pure"):
        with pytest.raises(ModelError, match=r"has no weights score"):
            PRM(str(tmp_path), preset)
    with pytest.raises(ModelError, match=r"cannot load .*nothing': there is no such folder"):
        PRM(str(tmp_path / "nothing"), "qwen")


def test_what_cannot_work_is_refused(models: Models, tokenizer: Any) -> None:
    model = models("trl")
    with pytest.raises(InputError, match="tokenizer="):
        PRM(model, "trl")
    with pytest.raises(InputError, match="arguments for loading"):
        PRM(model, "trl", tokenizer=tokenizer, dtype="float32")
    with pytest.raises(InputError, match="batch_size"):
        PRM(model, "trl", tokenizer=tokenizer, batch_size=0)
    with pytest.raises(InputError, match="delimiter"):
        PRM(model, "trl", tokenizer=tokenizer, delimiter="")
    with pytest.raises(InputError, match="Hugging Face model"):
        PRM(7, "trl", tokenizer=tokenizer)
    prm = PRM(model, "trl", tokenizer=tokenizer)
    with pytest.raises(RewardError, match="exceed the 512"):
        prm.score(["Why?"], [Continuation("word " * 700)])
    assert prm.score([], []) == []


def test_the_question_and_the_delimiter_can_be_told(models: Models, tokenizer: Any) -> None:
    prm = PRM(
        models("trl"),
        "trl",
        tokenizer=tokenizer,
        delimiter=";",
        question=lambda prompt: str(prompt).removeprefix("Q: "),
    )
    plain = PRM(models("trl"), "trl", tokenizer=tokenizer)
    assert prm.score(["Q: 1?"], [Continuation("a;b;c")])[0] == pytest.approx(
        plain.score(["1?"], [Continuation("a\nb\nc")])[0]
    )


def test_blank_steps_are_left_out(models: Models, tokenizer: Any) -> None:
    prm = PRM(models("trl"), "trl", tokenizer=tokenizer)
    assert prm.steps("\na\n \n\nb") == ["a", "b"]
    assert prm.steps("\n\n") == [""]


def test_a_model_without_a_pad_token_is_read_like_one_with(build: Any, tokenizer: Any) -> None:
    from copy import deepcopy

    bare = deepcopy(tokenizer)
    bare.pad_token = None
    model = build(LlamaForTokenClassification)
    prompts, texts = zip(*solutions(6, 2, "\n"), strict=True)
    for cache in (True, False):
        one = PRM(model, "trl", tokenizer=bare, cache=cache).score(prompts, texts)
        other = PRM(model, "trl", tokenizer=tokenizer, cache=cache).score(prompts, texts)
        assert one == other


def test_a_search_cuts_its_steps_where_the_reward_says(build: Any) -> None:
    model = tiny_model()
    kind = build(LlamaForTokenClassification, vocab_size=model.vocabulary.size)
    prm = PRM(kind, "tiny-prm", tokenizer=model.tokenizer, cache=True)
    given = {"temperature": 1.0, "max_new_tokens": 40, "seed": 3, "regex": r"(\d+\+\d=\d+\n){3}"}
    found = BestOfN(5).run(model, "Question: 1?\n", prm, **given)
    assert found.stopped is None
    assert all(len(candidate.steps) == 3 for candidate in found.candidates)
    assert found.score == max(min(candidate.steps) for candidate in found.candidates)
    assert found.spent["reward_tokens"] == prm.usage.tokens > 0
    plain = PRM(kind, "tiny-prm", tokenizer=model.tokenizer, cache=False)
    again = BestOfN(5).run(model, "Question: 1?\n", plain, **given)
    assert again.text == found.text
    assert found.spent["reward_tokens"] < again.spent["reward_tokens"]
