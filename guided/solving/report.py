"""Solutions for people to read, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guided.solving.comparison import Tally
from guided.solving.solver import Solution

_STOPPED = {
    "tokens": "the budget of tokens ended it",
    "reward_passes": "the budget of reward passes ended it",
    "rounds": "the budget of rounds ended it",
    "seconds": "the budget of time ended it",
    "interrupt": "interrupted",
    "memory": "there was no memory left",
    "reward": "the reward failed",
}


def as_text(solution: Solution) -> str:
    """Question, steps with their rewards, answer and spend, in lines."""
    result = solution.result
    width = max((len(step.text) for step in solution.steps if "\n" not in step.text), default=0)
    lines = [solution.problem.question]
    for step in solution.steps:
        text = step.text.replace("\n", "\n  ")
        reward = "" if step.reward is None else f"  {step.reward:.3f}"
        lines.append(f"  {text.ljust(min(width, 60)) if reward else text}{reward}")
    lines.append(f"answer: {solution.answer or 'none'}{_verdict(solution)}")
    if result.stopped is not None:
        lines.append(f"stopped: {_STOPPED.get(result.stopped, result.stopped)}")
    spent = result.spent
    score = "" if result.score is None else f"score {result.score:.3f}, "
    lines.append(
        f"({score}{spent['tokens']:,.0f} tokens, {spent['reward_passes']:,.0f} reward passes, "
        f"{spent['seconds']:.2f} s)\n"
    )
    return "\n".join(lines)


def _verdict(solution: Solution) -> str:
    if solution.is_right is None:
        return ""
    return "  right" if solution.is_right else f"  wrong, it is {solution.problem.answer}"


def as_record(solution: Solution) -> dict[str, Any]:
    """The same as one object."""
    result = solution.result
    return {
        "question": solution.problem.question,
        "text": result.text,
        "steps": [{"text": step.text, "reward": step.reward} for step in solution.steps],
        "answer": solution.answer,
        "right_answer": solution.problem.answer,
        "is_right": solution.is_right,
        "score": result.score,
        "stopped": result.stopped,
        "spent": dict(result.spent),
    }


def summary(solutions: Sequence[Solution], seconds: float) -> str:
    """One line about all problems."""
    tally = Tally.of("", solutions)
    right = ""
    if tally.count:
        low, high = tally.interval
        right = f"{tally.right} of {tally.count} right ({tally.accuracy:.0%}, 95 %: "
        right += f"{100 * low:.0f}-{100 * high:.0f}); "
    count = len(solutions)
    return (
        f"{right}{count} {'problem' if count == 1 else 'problems'}, "
        f"{tally.tokens * count:,.0f} tokens, {tally.reward_passes * count:,.0f} reward passes, "
        f"{seconds:.1f} s"
    )
