"""Generative judges."""

from typing import Any

import pytest
import torch

from guided import Model
from guided.errors import InputError
from guided.rewards import Continuation, Grader, Judge
from guided.rewards.judge import filled
from guided.testing import check_reward_laws, fake_model, tiny_model

PROMPTS = ["What is 2 + 3?", "What is 2 + 3?", [{"role": "user", "content": "Why {answer}?"}]]
TEXTS = [Continuation("5"), Continuation("6 {question}"), Continuation("")]


def chance(model: Model, prompt: Any, verdict: str, *, ends: bool = False) -> float:
    """The probability that the model writes a verdict, token by token, without any cache."""
    ids, log_p = model.encode(prompt), 0.0
    tokens = model.vocabulary.encode(verdict.encode())
    for token in [*tokens, *([min(model.vocabulary.stop_ids)] if ends else [])]:
        with torch.no_grad():
            logits = model.hf_model(input_ids=torch.tensor([ids])).logits[0, -1]
        log_p += float(logits.double().log_softmax(-1)[token])
        ids = [*ids, token]
    return float(torch.tensor(log_p, dtype=torch.float64).exp())


def test_the_score_is_the_probability_of_yes_against_no() -> None:
    model = tiny_model()
    judge = Judge(model, verdicts={"yes": 1.0, "Yes": 1.0, "no": 0.0})
    scores = judge.score(PROMPTS, TEXTS)
    for prompt, text, (score,) in zip(PROMPTS, TEXTS, scores, strict=True):
        asked = judge.ask(prompt, text.text)
        yes = chance(model, asked, "yes") + chance(model, asked, "Yes")
        assert score == pytest.approx(yes / (yes + chance(model, asked, "no")), rel=1e-6)
    check_reward_laws(judge, PROMPTS, TEXTS)


def test_a_verdict_that_begins_another_one_has_to_end() -> None:
    model = tiny_model()
    judge = Judge(model, "{answer} Grade: ", {"1": 1.0, "10": 10.0, "2": 2.0})
    ((score,),) = judge.score(["?"], TEXTS[:1])
    asked = judge.ask("?", "5")
    weights = [
        chance(model, asked, "1", ends=True), chance(model, asked, "10"), chance(model, asked, "2"),
    ]  # fmt: skip
    wanted = (weights[0] + 10 * weights[1] + 2 * weights[2]) / sum(weights)
    assert score == pytest.approx(wanted, rel=1e-6)


def test_a_judge_that_says_yes_scores_near_one() -> None:
    judge = Judge(fake_model({"answer:\n5": "yes", "answer:\n6": "no"}))
    (good,), (bad,) = judge.score(["What is 2 + 3?"] * 2, [Continuation("5"), Continuation("6")])
    assert good > 0.99
    assert bad < 0.01


def test_steps_are_asked_about_one_by_one() -> None:
    judge = Judge(tiny_model(), delimiter="\n")
    text = Continuation("a\nb\nc")
    ((one, two, three),) = judge.score(["?"], [text])
    whole = Judge(tiny_model())
    singles = whole.score(["?"] * 3, [Continuation(t) for t in ("a\n", "a\nb\n", "a\nb\nc")])
    assert [one, two, three] == pytest.approx([score for (score,) in singles])
    check_reward_laws(judge, ["?"] * 2, [text, Continuation("")], causal=True)


def test_what_is_read_is_counted_once() -> None:
    judge = Judge(tiny_model())
    judge.score(["?"] * 2, [Continuation("a"), Continuation("a")])
    first, second = judge.last_tokens
    assert first > 0 == second
    assert judge.usage.tokens == first


def test_a_grader_always_gives_a_grade() -> None:
    grader = Grader(tiny_model(), thinking=3)
    scores = grader.score(PROMPTS, TEXTS)
    assert all(round(9 * score, 9) in range(10) for score in scores)
    for (critique,) in grader.critiques:
        assert "Grade: " in critique
    check_reward_laws(grader, PROMPTS[:2], TEXTS[:2])


def test_a_grader_reads_what_the_model_writes() -> None:
    model = fake_model({"answer:\n5": "It is right. Grade: 10", "answer:\n6": "Wrong. Grade: 4"})
    grader = Grader(model)
    assert grader.score(["2 + 3?"] * 2, [Continuation("5"), Continuation("6")]) == [1.0, 3 / 9]
    assert grader.critiques == [["It is right. Grade: 10"], ["Wrong. Grade: 4"]]
    assert all(count > 0 for count in grader.last_tokens)


def test_samples_are_averaged_and_repeatable() -> None:
    given = {"after": None, "samples": 3, "temperature": 1.0, "lowest": 0, "highest": 2}
    one, other = (Grader(tiny_model(), seed=5, **given).score(PROMPTS, TEXTS) for _ in range(2))
    assert one == other
    assert all(round(6 * score, 9) in range(7) for score in one)


def test_a_template_may_be_a_function() -> None:
    judge = Judge(tiny_model(), lambda prompt, answer: f"{prompt} {answer} right?")
    assert judge.ask("Why?", "So.") == "Why? So. right?"


def test_braces_in_an_answer_mean_nothing() -> None:
    assert filled("{a} {b} {c}", a="{b}", b="x") == "{b} x {c}"


def test_what_cannot_work_is_refused() -> None:
    model = tiny_model()
    for make in (
        lambda: Judge(model, "no place"),
        lambda: Judge(model, verdicts={"yes": 1.0}),
        lambda: Judge(model, verdicts={"yes": 1.0, "no": float("nan")}),
        lambda: Judge(model, delimiter=""),
        lambda: Judge(model, batch_size=0),
        lambda: Judge(model.hf_model),
        lambda: Grader(model, lowest=3, highest=3),
        lambda: Grader(model, samples=2),
        lambda: Grader(model, thinking=0),
    ):
        with pytest.raises(InputError):
            make()
