"""Cautious next token prediction: where the model is unsure, several short trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from guided.errors import InputError
from guided.search.effects import Plan, grow
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.segmenter import Punctuation, Segmenter
from guided.search.tokenwise import carry_on, conclude


@dataclass(frozen=True)
class CNTP(Search):
    """Cautious next token prediction (Wang et al. 2025, arXiv 2507.03038).

    Samples token by token. Where the entropy H of the next token's law (after temperature and all
    controls) is high, N continuations are drawn up to the next punctuation, and the one with the
    lowest perplexity is kept whole.

    Args:
        h_min: entropy in nats up to which one draw is enough.
        h_max: entropy from which `n_max` trials are made.
        n_max: most trials.
        trials: how N grows in between: "paper": floor(x * n_max), "code" (as released):
            floor(1 + x * (n_max - 1)), where x = (H - h_min) / (h_max - h_min).

    The option `segmenter` says where trials end; by default at the punctuation of the paper, or
    after 128 tokens.

    Raises:
        InputError: a setting out of its range.
    """

    h_min: float = 0.01
    h_max: float = 1.5
    n_max: int = 10
    trials: Literal["paper", "code"] = "paper"

    needs_reward: ClassVar[bool] = False
    default_segmenter: ClassVar[Segmenter | None] = Punctuation()

    def __post_init__(self) -> None:
        if not 0 <= self.h_min < self.h_max < math.inf:
            raise InputError(
                f"CNTP: 0 <= h_min < h_max must hold, not {self.h_min} and {self.h_max}"
            )
        if self.n_max < 1:
            raise InputError(f"CNTP: n_max must be at least 1, not {self.n_max}")
        if self.trials not in ("paper", "code"):
            raise InputError(f'CNTP: trials must be "paper" or "code", not {self.trials!r}')

    def count(self, entropy: float) -> int:
        """How many trials an entropy in nats calls for."""
        if not entropy > self.h_min:
            return 1
        part = (entropy - self.h_min) / (self.h_max - self.h_min)
        if self.trials == "code":
            return int(1 + (self.n_max - 1) * min(1.0, max(0.0, part)))
        return max(1, min(self.n_max, math.floor(part * self.n_max)))

    def plan(self, problem: Problem) -> Plan[None]:
        node = carry_on(problem, problem.root)
        pauses, drawn = 0, 0
        while not node.is_over:
            entropy = node.branch.entropy()
            count = self.count(entropy)
            if count == 1:
                yield from grow([node], lambda branch: True)
                continue
            yield from problem.round([node], entropy=entropy, trials=count)
            node = yield from self._try(problem, node, count)
            pauses, drawn = pauses + 1, drawn + count
        yield from conclude(problem, node, pauses=pauses, trials=drawn)

    def _try(self, problem: Problem, node: Node, count: int) -> Plan[Node]:
        """The trial with the lowest perplexity; the first draws what plain sampling would."""
        nodes = problem.fork(node, count, keep_stream=True)
        yield from grow(nodes, problem.until([each.branch for each in nodes]))
        for each in nodes:
            each.facts["ppl"] = perplexity(each)
        best = min(nodes, key=lambda each: each.facts["ppl"])
        problem.offer(best, len(best.branch.tokens))
        problem.withdraw(node)
        others = [each for each in nodes if each is not best]
        for each in others:
            problem.record_facts(each)
        problem.close([each.branch for each in [node, *others]])
        return best


def perplexity(node: Node) -> float:
    """That of the node's own segment under the laws it was drawn from."""
    log_q = node.branch.log_q[node.start :]
    return math.exp(-sum(log_q) / len(log_q))
