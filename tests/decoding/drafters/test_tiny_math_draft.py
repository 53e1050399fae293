"""The embedded draft model of tiny-math saves passes of searches and changes no text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import guided
from guided.decoding import Speculation
from guided.decoding.drafters import DraftModel
from guided.decoding.policy import Fixed
from guided.search import SMC, BestOfN, Search

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("search", [BestOfN(8), SMC(8)], ids=["best-of-8", "SMC 8"])
def test_texts_are_the_same_in_fewer_passes(search: Search) -> None:
    large, small = (
        guided.load(str(EXAMPLES / "models" / name)) for name in ("tiny-math", "tiny-math-draft")
    )
    lines = (EXAMPLES / "data" / "word_problems.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [f"Question: {json.loads(line)['question']}\n" for line in lines[:3]]

    def reward(prompt: object, text: str) -> float:
        return text.count("1") / (1 + len(text))

    plain, drafted = (
        search.run(
            large, prompts, reward, draft=draft, max_new_tokens=80, seed=4, temperature=1.0,
            segmenter=guided.search.Delimiter("\n"), heal=False,
        )
        # As many guesses whatever they cost: how busy the machine is must not decide.
        for draft in (None, Speculation([DraftModel(small, large.vocabulary)], policy=Fixed(8)))
    )  # fmt: skip
    assert [one.text for one in drafted] == [one.text for one in plain]
    passes = [sum(one.spent["passes"] for one in some) for some in (plain, drafted)]
    assert passes[1] < 0.6 * passes[0]
