"""The fake model says its script under any prompt."""

from __future__ import annotations

import guided
from guided.testing import byte_tokenizer, fake_model


def test_it_says_its_script_and_stops() -> None:
    result = guided.run(fake_model("aa aab aa"), "whatever")
    assert (result.text, result.finish_reason) == ("aa aab aa", "stop")


def test_scripts_are_chosen_by_a_word_of_the_prompt() -> None:
    model = fake_model({"cats": "meow", "dogs": "woof"})
    assert guided.generate(model, ["About dogs", "About cats"]) == ["woof", "meow"]


def test_it_keeps_to_the_script_as_far_as_a_constraint_lets_it() -> None:
    model = fake_model('{"age": 7}')
    assert guided.generate(model, "x", schema={"type": "object", "required": ["age"]}) == {"age": 7}
    assert guided.generate(model, "x", regex="[0-9]+") != ""


def test_its_tokenizer_may_have_merges() -> None:
    tokenizer = byte_tokenizer(["meow meow meow"] * 5, 300)
    result = guided.run(fake_model("meow meow", tokenizer), "x")
    assert result.text == "meow meow"
    assert len(result.tokens) < 6


def test_it_runs_in_a_batch_with_other_prompts() -> None:
    texts = guided.generate(fake_model("hello"), ["a", "a much longer prompt", "b b"])
    assert texts == ["hello"] * 3
