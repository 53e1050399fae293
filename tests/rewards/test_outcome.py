"""Outcome models: sequence classifiers on the chat of prompt and answer."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaForSequenceClassification

from guided.errors import InputError, ModelError, RewardError
from guided.rewards import Continuation, OutcomeModel
from guided.testing import check_reward_laws

PROMPTS = ["What is 2 + 3?", "Why?", [{"role": "system", "content": "Be brief."},
           {"role": "user", "content": "Why?"}], "Why?"]  # fmt: skip
TEXTS = [Continuation(text) for text in ("It is 5, as 2 + 3 = 5.", "No.", "Because.", "<eos>")]


@pytest.fixture(scope="module")
def ranker(build: Any) -> Any:
    return build(LlamaForSequenceClassification, labels=1)


def alone(model: Any, tokenizer: Any, prompt: Any, text: str) -> Any:
    chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    chat.append({"role": "assistant", "content": text})
    ids = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False))["input_ids"]
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].double()


def test_the_score_is_the_raw_output_on_the_chat(ranker: Any, tokenizer: Any) -> None:
    assert ranker.config.pad_token_id is None
    reward = OutcomeModel(ranker, tokenizer=tokenizer, batch_size=3)
    scores = reward.score(PROMPTS, TEXTS)
    for prompt, text, score in zip(PROMPTS, TEXTS, scores, strict=True):
        wanted = float(alone(ranker, tokenizer, prompt, text.text)[0])
        assert score == pytest.approx(wanted, abs=1e-5)
    assert ranker.config.pad_token_id is None
    assert reward.usage.tokens == sum(reward.last_tokens) > 0
    check_reward_laws(reward, PROMPTS, TEXTS)


def test_a_text_that_ends_with_the_pad_token_is_read_as_alone(build: Any, tokenizer: Any) -> None:
    model = build(LlamaForSequenceClassification, labels=1, pad_token_id=0)
    reward = OutcomeModel(
        model, tokenizer=tokenizer, template=lambda prompt, text: f"{prompt} {text}"
    )
    texts = [Continuation("a long answer that goes on"), Continuation("short<eos>")]
    together = reward.score(["?"] * 2, texts)
    assert together[1] == pytest.approx(reward.score(["?"], texts[1:])[0], abs=1e-5)


def test_a_label_is_named_where_there_are_several(build: Any, tokenizer: Any) -> None:
    model = build(
        LlamaForSequenceClassification, labels=3, id2label={0: "bad", 1: "fair", 2: "good"}
    )
    reward = OutcomeModel(model, tokenizer=tokenizer, label="good")
    wanted = alone(model, tokenizer, PROMPTS[0], TEXTS[0].text).softmax(-1)
    assert reward.score(PROMPTS[:1], TEXTS[:1]) == [pytest.approx(float(wanted[2]), abs=1e-6)]
    numbered = OutcomeModel(model, tokenizer=tokenizer, label=0)
    assert numbered.score(PROMPTS[:1], TEXTS[:1]) == [pytest.approx(float(wanted[0]), abs=1e-6)]
    for label in (None, "best", 3):
        with pytest.raises(InputError, match="bad, fair, good"):
            OutcomeModel(model, tokenizer=tokenizer, label=label)


def test_frequencies_that_were_not_loaded_are_computed_again(build: Any, tokenizer: Any) -> None:
    model = build(LlamaForSequenceClassification, labels=1)
    wanted = OutcomeModel(model, tokenizer=tokenizer).score(PROMPTS, TEXTS)
    model.model.rotary_emb.inv_freq.zero_()
    with pytest.warns(RuntimeWarning, match="rotary frequencies") as caught:
        repaired = OutcomeModel(model, tokenizer=tokenizer)
    assert caught[0].filename == __file__
    assert repaired.score(PROMPTS, TEXTS) == pytest.approx(wanted, abs=1e-6)


def test_folders_load_and_those_without_a_head_do_not(
    ranker: Any, build: Any, tokenizer: Any, tmp_path: Path
) -> None:
    ranker.save_pretrained(tmp_path / "good")
    tokenizer.save_pretrained(tmp_path / "good")
    loaded = OutcomeModel(tmp_path / "good")
    given = OutcomeModel(ranker, tokenizer=tokenizer)
    assert loaded.score(PROMPTS, TEXTS) == pytest.approx(given.score(PROMPTS, TEXTS), abs=1e-5)
    build(LlamaForCausalLM).save_pretrained(tmp_path / "bad")
    tokenizer.save_pretrained(tmp_path / "bad")
    with pytest.raises(ModelError, match="has no weights score"):
        OutcomeModel(str(tmp_path / "bad"))


def test_what_cannot_work_is_refused(ranker: Any, tokenizer: Any) -> None:
    bare = deepcopy(tokenizer)
    bare.chat_template = None
    with pytest.raises(InputError, match="template="):
        OutcomeModel(ranker, tokenizer=bare)
    with pytest.raises(InputError, match="tokenizer="):
        OutcomeModel(ranker)
    with pytest.raises(InputError, match="arguments for loading"):
        OutcomeModel(ranker, tokenizer=tokenizer, dtype="float32")
    with pytest.raises(InputError, match="Hugging Face model"):
        OutcomeModel(7, tokenizer=tokenizer)
    with pytest.raises(InputError, match="one output"):
        OutcomeModel(ranker, tokenizer=tokenizer, label="good")
    with pytest.raises(RewardError, match="exceed the 512"):
        OutcomeModel(ranker, tokenizer=tokenizer).score(["?"], [Continuation("word " * 700)])
