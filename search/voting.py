"""Votes among samples by their answers: self-consistency, plain and weighted by a reward."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal

from guided.errors import InputError
from guided.search.effects import Plan
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.samples import sampled
from guided.search.search import Search

#: The answer that a text gives, in a form in which equal answers are equal; None: it gives none.
Answer = Callable[[str], str | None]
#: How one of several complete texts is chosen.
Selection = Literal["reward", "majority", "weighted_majority"]

SELECTIONS = ("reward", "majority", "weighted_majority")
_NUMBER = re.compile(r"[-+]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:/\d+)?")
_BOXED = "\\boxed{"
_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")


def final_answer(text: str) -> str | None:
    r"""The answer that a text ends with: its last `\boxed{…}`, else its last number, else the text.

    Numbers are the same however they are written (1,000.0 and $1000; 1/2 and 0.5). None where
    there is nothing but spaces.
    """
    boxed = _last_boxed(text)
    if boxed is not None:
        return _canonical(boxed)
    numbers = [found for found in _NUMBER.findall(text) if any(c.isdigit() for c in found)]
    return _canonical(numbers[-1] if numbers else text)


def _last_boxed(text: str) -> str | None:
    """What stands in the last complete box, whatever braces it holds."""
    begin = text.rfind(_BOXED)
    while begin >= 0:
        depth, start = 1, begin + len(_BOXED)
        for at in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if not depth:
                return text[start:at]
        begin = text.rfind(_BOXED, 0, begin)
    return None


def _canonical(answer: str) -> str | None:
    plain = " ".join(_FRACTION.sub(r"\1/\2", answer).split()).rstrip(".").strip("$ ")
    try:
        return str(Fraction(plain.replace(",", "").replace("$", "").replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        return plain or None


def winner(answers: Sequence[str | None], weights: Sequence[float]) -> int | None:
    """The number of the text that wins a vote; None if nobody gives an answer.

    The answer with the greatest sum of weights wins (the first one given, if tied). Of the texts
    that give it, that with the greatest weight stands for it (again the first).
    """
    sums: dict[str, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            sums[answer] = sums.get(answer, 0.0) + weight
    if not sums:
        return None
    best = max(sums, key=lambda answer: sums[answer])
    own = [number for number, answer in enumerate(answers) if answer == best]
    return max(own, key=lambda number: weights[number])


def check_selection(select: str) -> None:
    """Refuses an unknown way to choose.

    Raises:
        InputError: not one of "reward", "majority", "weighted_majority".
    """
    if select not in SELECTIONS:
        raise InputError(f"select={select!r} is unknown; give one of {', '.join(SELECTIONS)}")


def choose(problem: Problem, select: Selection, answer: Answer | None) -> None:
    """Makes one of the complete texts that were offered the result; with "reward" their ranks do.

    Where nobody gives an answer, the ranks decide, too.
    """
    nodes = problem.candidates
    if select == "reward" or not nodes:
        return
    weights = [
        1.0 if select == "majority" or node.score is None else node.score.value for node in nodes
    ]
    number = winner([answer_of(problem, node, answer) for node in nodes], weights)
    if number is not None:
        problem.choose(nodes[number])


def answer_of(problem: Problem, node: Node, answer: Answer | None) -> str | None:
    """The answer of a node's text: by `answer`, else the value of an output type, else the end."""
    text = problem.text(node)
    if answer is not None:
        found = answer(text)
        return found if found is None else str(found)
    if problem.row.output.schema is None:
        return final_answer(text)
    return _value(problem, node, text)


def _value(problem: Problem, node: Node, text: str) -> str | None:
    """A structured output as canonical JSON; its text where it is none."""
    tokens, data = node.branch.tokens, text.encode()
    begin, _ = problem.row.body(tokens, problem.row.pieces(tokens), data)
    body = data[begin:].decode(errors="replace")
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except json.JSONDecodeError:
        return body or None


@dataclass(frozen=True)
class Majority(Search):
    """Self-consistency: the answer that most of `n` samples give (the first one given, if tied).

    The text is that of the first sample with this answer; samples without an answer do not vote.
    Needs no reward. See Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning".

    Args:
        n: samples.
        answer: the answer that a text gives, equal for equal answers; None: it gives none. If not
            given, `final_answer`, or the value where the output has a type.

    Raises:
        InputError: `n` below 1.
    """

    needs_reward: ClassVar[bool] = False
    select: ClassVar[Selection] = "majority"

    n: int = 16
    answer: Answer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n must be at least 1, not {self.n}")

    def plan(self, problem: Problem) -> Plan[None]:
        try:
            nodes = yield from sampled(problem, self.n)
        finally:
            choose(problem, self.select, self.answer)
        yield from problem.round(nodes, **self._votes(problem, nodes))

    def _votes(self, problem: Problem, nodes: Sequence[Node]) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for node in nodes:
            found = answer_of(problem, node, self.answer) if node.is_complete else None
            if found is not None:
                counts[found] = counts.get(found, 0) + 1
        return {"votes": counts}


@dataclass(frozen=True)
class WeightedMajority(Majority):
    """The answer whose samples have the greatest sum of rewards (weighted best-of-N).

    The text is that of its sample with the highest reward. See Li et al. 2022, "Making Large
    Language Models Better Reasoners with Step-Aware Verifier". Arguments as of `Majority`.
    """

    needs_reward: ClassVar[bool] = True
    select: ClassVar[Selection] = "weighted_majority"


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The chance that `k` of `samples` texts, of which `correct` are right, hold a right one.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. 2021, "Evaluating Large Language
    Models Trained on Code", as a product that does not overflow.

    Raises:
        InputError: `k` is not between 1 and `samples`, or `correct` not between 0 and `samples`.
    """
    if not 1 <= k <= samples or not 0 <= correct <= samples:
        raise InputError(
            f"pass@{k} of {samples} samples, {correct} of them right: k is between 1 and the "
            "number of samples, and no more are right than there are"
        )
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(samples - correct + 1, samples + 1))
