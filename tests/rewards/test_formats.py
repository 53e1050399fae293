"""Every preset against its published recipe, written out on one row at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from guided.errors import InputError, ModelError, RewardError
from guided.rewards.formats import PRESETS, ProcessFormat, format_of
from guided.rewards.layouts import Pieces
from guided.rewards.prm import PRM
from guided.rewards.protocol import Continuation
from guided.rewards.readouts import Label, NextToken, Value

QUESTION = "What is 12 + 30 - 2?"
STEPS = ["12 + 30 = 42.", "So 42 - 2 = 40.", "The answer is 40."]
Models = Callable[[str], Any]


def text_of(preset: str) -> str:
    return PRESETS[preset].delimiter.join(STEPS)


def outputs(model: Any, ids: list[int]) -> Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].double()


def by_qwen(model: Any, tokenizer: Any) -> list[float]:
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "<extra_0>".join(STEPS) + "<extra_0>"},
    ]
    ids = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False))["input_ids"]
    (separator,) = tokenizer("<extra_0>")["input_ids"]
    at = [place for place, token in enumerate(ids) if token == separator]
    return outputs(model, ids)[at].softmax(-1)[:, 1].tolist()


def by_shepherd(model: Any, tokenizer: Any) -> list[float]:
    ids = tokenizer(f"{QUESTION} " + " ки\n".join(STEPS) + " ки")["input_ids"]
    tag = tokenizer(" ки")["input_ids"][-1]
    good, bad = (tokenizer(word)["input_ids"][-1] for word in "+-")
    at = [place for place, token in enumerate(ids) if token == tag]
    return outputs(model, ids)[at][:, [good, bad]].softmax(-1)[:, 0].tolist()


def by_rlhflow(model: Any, tokenizer: Any) -> list[float]:
    messages, scores = [], []
    good, bad = (tokenizer(word)["input_ids"][-1] for word in "+-")
    for number, step in enumerate(STEPS):
        content = step if number else f"{QUESTION} {step}"
        messages.append({"role": "user", "content": content})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        last = outputs(model, tokenizer(text)["input_ids"])[-1]
        scores.append(float(last[[good, bad]].softmax(-1)[0]))
        messages.append({"role": "assistant", "content": "+"})
    return scores


def by_skywork(model: Any, tokenizer: Any) -> list[float]:
    ids = [tokenizer.bos_token_id, *tokenizer(QUESTION + "\n")["input_ids"]]
    at = []
    for step in STEPS:
        ids += [*tokenizer(step)["input_ids"], *tokenizer("\n")["input_ids"]]
        at.append(len(ids) - 1)
    return outputs(model, ids)[at][:, 0].sigmoid().tolist()


def by_pure(model: Any, tokenizer: Any) -> list[float]:
    ids, at = list(tokenizer(QUESTION)["input_ids"]), []
    for step in STEPS:
        ids += [*tokenizer(step)["input_ids"], *tokenizer("\n")["input_ids"]]
        at.append(len(ids) - 1)
    chances = outputs(model, ids)[at].softmax(-1)
    return (chances[:, 1] - chances[:, 0]).tolist()


def by_trl(model: Any, tokenizer: Any, last: str = "\n") -> list[float]:
    ids, at = [tokenizer.bos_token_id, *tokenizer(QUESTION)["input_ids"]], []
    for number, step in enumerate(STEPS):
        end = last if number + 1 == len(STEPS) else "\n"
        ids += [*tokenizer(step)["input_ids"], *tokenizer(end)["input_ids"]]
        at.append(len(ids) - 1)
    return outputs(model, ids)[at].softmax(-1)[:, 1].tolist()


RECIPES: dict[str, Callable[[Any, Any], list[float]]] = {
    "qwen": by_qwen,
    "math-shepherd": by_shepherd,
    "rlhflow": by_rlhflow,
    "skywork": by_skywork,
    "pure": by_pure,
    "trl": by_trl,
    "tiny-prm": lambda model, tokenizer: by_trl(model, tokenizer, "<eos>"),
}


def test_every_preset_has_a_recipe_here() -> None:
    assert RECIPES.keys() == PRESETS.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_scores_as_its_published_recipe_does(
    preset: str, models: Models, tokenizer: Any
) -> None:
    model = models(preset)
    prm = PRM(model, preset, tokenizer=tokenizer)
    (scores,) = prm.score([QUESTION], [Continuation(text_of(preset))])
    assert scores == pytest.approx(RECIPES[preset](model, tokenizer), abs=1e-5)
    assert len({round(score, 4) for score in scores}) == 3
    least, greatest = prm.format.range
    assert all(least <= score <= greatest for score in scores)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_score_of_a_step_does_not_depend_on_what_follows(
    preset: str, models: Models, tokenizer: Any
) -> None:
    prm = PRM(models(preset), preset, tokenizer=tokenizer, cache=False)
    whole, begun = text_of(preset), PRESETS[preset].delimiter.join(STEPS[:2])
    found = prm.score(
        [QUESTION] * 3,
        [
            Continuation(whole),
            Continuation(begun + PRESETS[preset].delimiter, (), False),
            Continuation(begun, (), False),
        ],
    )
    assert found[1] == pytest.approx(found[0][:2], abs=1e-5)
    # An unfinished last step is scored as if it ended there.
    assert found[2] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_text_without_a_step_still_has_a_score(
    preset: str, models: Models, tokenizer: Any
) -> None:
    prm = PRM(models(preset), preset, tokenizer=tokenizer)
    (scores,) = prm.score([QUESTION], [Continuation("")])
    assert len(scores) == 1


def test_the_stop_token_ends_the_last_step_only_where_no_line_break_does(
    models: Models, tokenizer: Any
) -> None:
    prm = PRM(models("tiny-prm"), "tiny-prm", tokenizer=tokenizer)
    stop, line = tokenizer.eos_token_id, tokenizer("\n")["input_ids"][0]
    assert prm._written(QUESTION, Continuation("1\n2")).tokens[-1] == stop
    assert prm._written(QUESTION, Continuation("1\n2\n")).tokens[-1] == line
    assert prm._written(QUESTION, Continuation("1\n2", (), False)).tokens[-1] == line


@pytest.mark.parametrize(("preset", "own"), [("qwen", "<extra_0>"), ("math-shepherd", " ки")])
def test_a_separator_of_the_texts_own_is_an_error(
    preset: str, own: str, models: Models, tokenizer: Any
) -> None:
    prm = PRM(models(preset), preset, tokenizer=tokenizer)
    for question, text in ((QUESTION, f"It is{own} 42."), (f"Is it{own}?", "Yes.")):
        with pytest.raises(RewardError, match=r"2 separators .* for 1 steps"):
            prm.score([question], [Continuation(text)])


def test_a_chat_is_scored_by_what_the_user_said(models: Models, tokenizer: Any) -> None:
    prm = PRM(models("qwen"), "qwen", tokenizer=tokenizer)
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": QUESTION}]
    one, other = prm.score([QUESTION, chat], [Continuation("42")] * 2)
    assert one == pytest.approx(other, abs=1e-6)
    with pytest.raises(InputError, match="without a user's message"):
        prm.score([chat[:1]], [Continuation("42")])


def test_a_probability_of_zero_shifts_no_other_score(models: Models, tokenizer: Any) -> None:
    raw = torch.tensor([[0.0, 1.0], [800.0, -800.0], [1.0, 0.0]])
    read = Label().read(raw, tokenizer)
    assert read[1] == 0.0
    assert read[[0, 2]].tolist() == pytest.approx([0.7310585786, 0.2689414214])
    assert Label(against=0).read(raw, tokenizer)[1] == -1.0


def test_outputs_of_another_width_are_refused(tokenizer: Any) -> None:
    for readout in (Label(), Value(), NextToken()):
        with pytest.raises(ModelError):
            readout.read(torch.zeros(2, 3), tokenizer)


def test_a_tokenizer_without_the_separator_is_refused(models: Models) -> None:
    from guided.testing import byte_tokenizer

    plain = byte_tokenizer(["abc"], 300)
    for preset in ("qwen", "math-shepherd", "rlhflow"):
        with pytest.raises(ModelError, match=r"template|tokenizer"):
            PRM(models(preset), preset, tokenizer=plain)


class _Config:
    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("Qwen/Qwen2.5-Math-PRM-7B", "qwen"),
        ("Qwen/Qwen2.5-Math-PRM-72B", "qwen"),
        ("Qwen/Qwen2.5-Math-7B-PRM800K", "qwen"),
        ("peiyi9979/math-shepherd-mistral-7b-prm", "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", "rlhflow"),
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "skywork"),
        ("jinachris/PURE-PRM-7B", "pure"),
        ("examples/models/tiny-prm", "tiny-prm"),
    ],
)
def test_published_models_are_known_by_name(name: str, preset: str) -> None:
    assert format_of(None, name, _Config()).name == preset


def test_the_configuration_may_tell() -> None:
    config = _Config(architectures=["Qwen2ForProcessRewardModel"])
    assert format_of(None, "my-folder", config).name == "qwen"
    assert format_of(None, "my-folder", _Config(process_format="trl")).name == "trl"


def test_what_is_unknown_is_refused_with_the_list_of_presets() -> None:
    for preset, name in (("nonsense", ""), (None, "meta/llama"), (None, "")):
        with pytest.raises(InputError, match="qwen, math-shepherd, rlhflow"):
            format_of(preset, name, _Config())


def test_a_format_of_ones_own_needs_no_registration(models: Models, tokenizer: Any) -> None:
    mine = ProcessFormat("mine", "token_classification", Pieces(separator=" ки"), Label(good=0))
    prm = PRM(models("trl"), mine, tokenizer=tokenizer)
    (scores,) = prm.score([QUESTION], [Continuation("a\n\nb")])
    assert len(scores) == 2
