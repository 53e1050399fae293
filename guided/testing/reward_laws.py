"""What every reward must obey, as assertions that a test calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from guided.model import Prompt
from guided.rewards.protocol import Continuation, Reward
from guided.rewards.scorer import as_steps
from guided.testing.holding import hold

Scores = tuple[float, ...]


def check_reward_laws(
    reward: Reward,
    prompts: Sequence[Prompt],
    continuations: Sequence[Continuation],
    *,
    causal: bool = False,
    tolerance: float = 1e-5,
) -> None:
    """Raises AssertionError, naming the law, unless the scores obey these.

    There is one entry for each continuation, of at least one score, all finite; scores depend
    neither on what else is in the call, nor on its order, nor on what was asked before.

    Args:
        prompts: one for each continuation.
        causal: also check that the scores of whole steps stay as they are when the text goes on.
            Needs a reward with a `delimiter`.
        tolerance: how far scores may differ; floating-point numbers depend on the batch's shape.
    """
    pairs = list(zip(prompts, continuations, strict=True))
    together = _scores(reward, pairs)
    for (_, continuation), scores in zip(pairs, together, strict=True):
        hold(bool(scores), "every continuation has a score", continuation)
        hold(all(map(math.isfinite, scores)), "scores are finite", continuation, scores)
    for pair, scores in zip(pairs, together, strict=True):
        (alone,) = _scores(reward, [pair])
        _same(alone, scores, tolerance, "scores do not depend on the batch", pair[1])
    backwards = _scores(reward, pairs[::-1])[::-1]
    for pair, scores, again in zip(pairs, together, backwards, strict=True):
        _same(again, scores, tolerance, "scores do not depend on the order", pair[1])
    hold(len(reward.score([], [])) == 0, "nothing asked, nothing answered")
    if causal:
        for pair, scores in zip(pairs, together, strict=True):
            _check_prefixes(reward, pair, scores, tolerance)


def _check_prefixes(
    reward: Reward, pair: tuple[Prompt, Continuation], scores: Scores, tolerance: float
) -> None:
    delimiter = getattr(reward, "delimiter", None)
    hold(bool(delimiter), "a causal process reward says what ends a step")
    prompt, whole = pair
    end = 0
    while delimiter and (found := whole.text.find(delimiter, end)) >= 0:
        end = found + len(delimiter)
        begun = replace(whole, text=whole.text[:end], tokens=(), is_complete=False)
        if begun.text == whole.text:
            return
        (before,) = _scores(reward, [(prompt, begun)])
        law = "what a text goes on with changes no earlier score"
        hold(len(before) <= len(scores), law, whole, before, scores)
        _same(before, scores[: len(before)], tolerance, law, begun)


def _scores(reward: Reward, pairs: Sequence[tuple[Prompt, Continuation]]) -> list[Scores]:
    made = reward.score([prompt for prompt, _ in pairs], [text for _, text in pairs])
    hold(len(made) == len(pairs), "one entry for each continuation", len(made), len(pairs))
    return [as_steps(each) for each in made]


def _same(one: Scores, other: Scores, tolerance: float, law: str, *where: object) -> None:
    close = len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        for a, b in zip(one, other, strict=True)
    )
    hold(close, law, *where, one, other)
