"""Trees for the reward model: solutions of a problem, and drills of bare equations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .batches import made_ahead
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


@dataclass(frozen=True)
class Growth:
    """How trees become batches: `micro` rows of similar length each, out of pools of `pool`.

    Pools do not depend on the number of `workers` (0: this process makes them).
    """

    micro: int = 4
    pool: int = 512
    seed: int = 0
    workers: int = 0


def forests(rows: StepRows, chains: list[Chains], growth: Growth) -> Iterator[Forest]:
    """Endless batches; every round goes through all chains, with branches that are made anew."""
    wanted = ((rows, some, growth.micro, key) for some, key in _pools(chains, growth))
    if not growth.workers:
        for arguments in wanted:
            yield from pool_of(*arguments)
    for arrays in made_ahead(packed_pool, wanted, growth.workers):
        yield from (Forest(*torch.from_numpy(array).long()) for array in arrays)


def _pools(chains: list[Chains], growth: Growth) -> Iterator[tuple[list[Chains], str]]:
    """What each pool is made of, and the seed of its generator."""
    rng = random.Random(growth.seed)
    for turn in itertools.count():
        order = rng.sample(chains, len(chains))
        for start in range(0, len(order), growth.pool):
            yield order[start : start + growth.pool], f"{growth.seed} {turn} {start}"


def pool_of(rows: StepRows, chains: list[Chains], micro: int, key: str) -> list[Forest]:
    """The batches of one pool in random order; `key` seeds what is random."""
    rng = random.Random(key)
    made = [rows.problem(one, rng) for one in chains]
    drills = round(len(made) * DRILL_SHARE / (1 - DRILL_SHARE))
    made += [rows.drill(rng) for _ in range(drills)]
    made = [row for row in made if len(row.ids) <= LONGEST]
    made.sort(key=lambda row: len(row.ids) + 8 * rng.random())
    batches = [collate(made[i : i + micro]) for i in range(0, len(made), micro)]
    rng.shuffle(batches)
    return batches


def packed_pool(rows: StepRows, chains: list[Chains], micro: int, key: str) -> list[Any]:
    """A pool as arrays, which travel between processes without a file handle each."""
    made = pool_of(rows, chains, micro, key)
    return [torch.stack(batch.parts).to(torch.int32).numpy() for batch in made]
