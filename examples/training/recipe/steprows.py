"""Trees for the reward model: solutions of a problem, and drills of bare equations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .chains import Chains
from .checking import same_step
from .mistakes import wrong_line, wrong_result
from .model import BOS, EOS
from .trees import Forest, Line, Tree, collate, tree
from .wordproblems import Problem, drill

MOST_SAMPLED, MADE_UP = 9, 6
DRILL_SHARE = 0.2
LONGEST = 420


@dataclass(frozen=True)
class StepRows:
    """Makes tree rows with the tokenizer of the language model.

    A line ends with the line break, the answer with that or with `<eos>`, by chance.
    """

    tokenizer: Any

    def problem(self, chains: Chains, rng: random.Random) -> Tree:
        """The gold solution with sampled and made-up lines that leave it."""
        gold = chains.problem.lines()
        others: list[dict[str, None]] = [{} for _ in gold]  # dicts keep their order
        for number, line in sampled_faults(chains)[:MOST_SAMPLED]:
            others[number][line] = None
        for _ in range(MADE_UP):
            number = rng.randrange(len(gold))
            made = wrong_line(chains.problem, number, rng)
            if made is not None:
                others[number][made] = None
        trunk = [self._line(one, True, rng) for one in gold]
        branches = [
            [self._line(one, same_step(one, right), rng, beside=right) for one in lines]
            for right, lines in zip(gold, others, strict=True)
        ]
        return tree(self.prompt(chains.problem), trunk, branches)

    def drill(self, rng: random.Random) -> Tree:
        """Bare equations with wrong results beside them."""
        gold = drill(rng)
        trunk = [self._line(one, True, rng, operands=False) for one in gold]
        branches = []
        for right in gold:
            tries = [wrong_result(right, rng) for _ in range(rng.choice([1, 1, 2]))]
            made = dict.fromkeys(line for line in tries if line is not None)
            branches.append([self._line(one, False, rng, beside=right) for one in made])
        return tree([BOS], trunk, branches)

    def prompt(self, problem: Problem) -> list[int]:
        ids: list[int] = self.tokenizer(problem.prompt()).input_ids
        return ids

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _line(
        self,
        text: str,
        right: bool,
        rng: random.Random,
        beside: str | None = None,
        operands: bool = True,
    ) -> Line:
        """A line of the trunk, or of a branch in place of the line `beside`."""
        ids = self._encode(f"{text}\n")
        is_answer = text.startswith("Answer")
        if is_answer and rng.random() < 0.5:
            ids = [*ids[:-1], EOS]
        if beside is None:
            first = 0 if operands else len(self._encode(text.split("=")[0] + "="))
            return Line(ids, right, said=(first, len(ids) - is_answer))
        same = 0
        for own, other in zip(ids[:-1], self._encode(beside), strict=False):
            if own != other:
                break
            same += 1
        return Line(ids, right, judged=same)


def sampled_faults(chains: Chains) -> list[tuple[int, str]]:
    """Of every sampled solution the first line that is not written like the gold one, once each."""
    gold = chains.problem.lines()
    found: dict[tuple[int, str], None] = {}
    for number in range(len(chains.texts)):
        lines = chains.lines(number)
        for at, (line, right) in enumerate(zip(lines, gold, strict=False)):
            if line != right:
                found[at, line] = None
                break
    return list(found)


def forests(
    rows: StepRows, chains: list[Chains], micro: int, pool: int, seed: int
) -> Iterator[Forest]:
    """Endless batches of `micro` rows of similar length; branches are made anew in every round."""
    rng = random.Random(seed)
    while True:
        order = rng.sample(chains, len(chains))
        for start in range(0, len(order), pool):
            made = [rows.problem(one, rng) for one in order[start : start + pool]]
            drills = round(len(made) * DRILL_SHARE / (1 - DRILL_SHARE))
            made += [rows.drill(rng) for _ in range(drills)]
            made = [row for row in made if len(row.ids) <= LONGEST]
            made.sort(key=lambda row: len(row.ids) + 8 * rng.random())
            batches = [collate(made[i : i + micro]) for i in range(0, len(made), micro)]
            rng.shuffle(batches)
            yield from batches
