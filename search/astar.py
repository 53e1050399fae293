"""A*-decoding: the best partial text goes on, wherever in the tree it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch

from guided.errors import InputError
from guided.model import Model
from guided.rewards.scorer import Scorer
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, grow, weigh
from guided.search.finishing import finished, show_partial
from guided.search.frontier import Frontier
from guided.search.node import Node
from guided.search.path_cost import CostMode, Heuristic, checked, edge_cost, value
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.voting import Answer, Selection, check_selection, choose

_COUNTS = ("width", "batch_pop", "max_depth", "max_expansions", "max_frontier")


@dataclass(frozen=True)
class AStar(Search):
    """Best-first search over partial texts, guided by a reward of every step.

    The node with the lowest f = g + h is taken from the frontier; a complete one is the result,
    any other gets `width` sampled continuations by one step, which are scored in one call. See
    "A*-Decoding: Token-Efficient Inference Scaling" (arXiv 2505.13672). When the budget ends with
    nothing complete, the best partial text is finished greedily on `Budget.reserve`.

    The default is what worked best on small models with a trained process reward: the path costs
    -log of the steps' scores, depth is rewarded, and an expanded node returns to the frontier with
    its key raised, so that a node whose children are all bad is not lost. The paper's own form is
    `AStar(4, cost="consistent", reexpand_penalty=None)`.

    Args:
        width: continuations of a node at each expansion (k).
        cost: what g and h are made of, with V the reward's score, 1 at the root:
            "neglog" (g: sum of -log step scores; h: 0), "consistent" (g: sum of the rises of V;
            h: 1 - V), "best_first" (g: 0; h: 1 - V), "nll" (g: `nll_scale` times the negative
            log-likelihood; h: 1 - V, or 0 without a reward).
        heuristic: takes the place of h: a function of the prompt and a `Continuation`.
        depth_bonus: subtracted from f for every step; None: 0.3 with "neglog", else 0.
        reexpand_penalty: how much dearer a node is each time that it returns; None: never.
        nll_scale: see `cost`.
        batch_pop: nodes expanded together. A complete node is then the result only after those
            that came out before it have been expanded.
        max_depth: steps of a path; the last one runs to the end of the text.
        max_expansions: expansions after which the best partial text is finished.
        max_frontier: most nodes kept; None: all.
        proposals: "sample", or "all": every legal token is a continuation, one token is a step.
        patience: expansions after the first goal; what they complete shares most of its path and
            may change the vote, so this is a cheap way to a safer answer.
        select: which of all complete texts is the result: "reward" (the first goal), "majority"
            or "weighted_majority" of their answers.
        answer: the answer that a text gives, for majorities; see `Majority`.

    Raises:
        InputError: a number out of range, or options that contradict each other.
    """

    finishes: ClassVar[bool] = True

    width: int = 3
    cost: CostMode = "neglog"
    heuristic: Heuristic | None = field(default=None, kw_only=True)
    depth_bonus: float | None = field(default=None, kw_only=True)
    reexpand_penalty: float | None = field(default=0.7, kw_only=True)
    nll_scale: float = field(default=1.0, kw_only=True)
    batch_pop: int = field(default=1, kw_only=True)
    max_depth: int = field(default=40, kw_only=True)
    max_expansions: int = field(default=1000, kw_only=True)
    max_frontier: int | None = field(default=1024, kw_only=True)
    proposals: Literal["sample", "all"] = field(default="sample", kw_only=True)
    patience: int = field(default=0, kw_only=True)
    select: Selection = field(default="reward", kw_only=True)
    answer: Answer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in _COUNTS:
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InputError(f"{name} must be at least 1, not {number}")
        if self.patience < 0:
            raise InputError(f"patience must not be negative, not {self.patience}")
        check_selection(self.select)
        if self.cost not in ("neglog", "consistent", "best_first", "nll"):
            raise InputError(
                f"cost={self.cost!r} is unknown; give neglog, consistent, best_first or nll"
            )
        if self.proposals not in ("sample", "all"):
            raise InputError(f"proposals={self.proposals!r} is unknown; give sample or all")
        if self.reexpand_penalty is not None and not self.reexpand_penalty > 0:
            raise InputError(f"reexpand_penalty must be above 0, not {self.reexpand_penalty}")
        if self.depth_bonus is not None and not math.isfinite(self.depth_bonus):
            raise InputError(f"depth_bonus must be a number, not {self.depth_bonus}")
        if not (self.nll_scale > 0 and math.isfinite(self.nll_scale)):
            raise InputError(f"nll_scale must be above 0, not {self.nll_scale}")

    def check(self, model: Model, scorer: Scorer | None) -> None:
        if self.cost != "nll":
            super().check(model, scorer)

    @property
    def bonus(self) -> float:
        """What every step takes off f."""
        if self.depth_bonus is not None:
            return self.depth_bonus
        return 0.3 if self.cost == "neglog" else 0.0

    def plan(self, problem: Problem) -> Plan[None]:
        tree = _Tree(self, problem)
        try:
            yield from self._search(problem, tree)
        except BudgetReached as reached:
            tree.take_in_scored()
            if problem.chosen is None:
                yield from self._end(problem, tree, reached.what)
        finally:
            show_partial(problem, tree.lowest() or problem.root)
            choose(problem, self.select, self.answer)

    def _search(self, problem: Problem, tree: _Tree) -> Plan[None]:
        tree.open_root()
        expanded, most = 0, self.max_expansions
        while len(tree.frontier) and expanded < most:
            chosen = tree.take(min(self.batch_pop, most - expanded))
            if chosen[0].is_complete:
                if problem.chosen is None:
                    problem.choose(chosen[0])
                    most = min(most, expanded + self.patience)
                continue
            expanded += len(chosen)
            yield from self._expand(problem, tree, chosen)
            children = tree.drop_repeated()
            if children and problem.scorer is not None:
                yield from weigh(children)
            tree.take_in()
            yield from problem.round(
                children,
                expanded=[node.id for node in chosen],
                f=chosen[0].facts["f"],
                frontier=len(tree.frontier),
                dropped=tree.frontier.dropped,
            )
        if problem.chosen is None:
            yield from self._end(problem, tree)

    def _end(self, problem: Problem, tree: _Tree, why: str | None = None) -> Plan[None]:
        """Sees to it that there is an answer where no goal was found."""
        unscored = tree.complete_in_flight()
        unscored += yield from finished(problem, tree.lowest(), why)
        if unscored and problem.scorer is not None:
            yield from weigh(unscored)
        for node in unscored:
            tree.price(node)
            problem.offer(node, -node.facts["f"], value(node))

    # --- expansion

    def _expand(self, problem: Problem, tree: _Tree, nodes: Sequence[Node]) -> Plan[None]:
        """Grows children of the nodes by one step."""
        if self.proposals == "all":
            yield from self._expand_all(problem, tree, nodes)
            return
        tree.growing = made = [
            child
            for node in nodes
            # What was drawn before would only be drawn again.
            for child in problem.fork(node, self.width, keep_stream=node.children == 0)
        ]
        step_ends = problem.until([child.branch for child in made])
        last = {id(child.branch) for child in made if child.depth >= self.max_depth}
        yield from grow(made, lambda branch: id(branch) not in last and step_ends(branch))

    def _expand_all(self, problem: Problem, tree: _Tree, nodes: Sequence[Node]) -> Plan[None]:
        unread = [node for node in nodes if node.branch.logits is None]
        # Reads the token that was appended, and draws nothing.
        yield from grow(unread, lambda branch: True)
        made: list[Node] = []
        tokens: list[int] = []
        for node in nodes:
            legal = torch.nonzero(node.branch.law() > -torch.inf).flatten().tolist()
            made += problem.fork(node, len(legal))
            tokens += legal
        problem.decoder.append([child.branch for child in made], tokens)
        problem.ledger.tokens += len(tokens)
        tree.growing = made


class _Tree:
    """The frontier of one problem, and what is known of its nodes.

    Attributes:
        taken: nodes that are being expanded.
        growing: their children, until they are in the frontier.
    """

    def __init__(self, method: AStar, problem: Problem) -> None:
        self.method = method
        self.problem = problem
        self.frontier = Frontier()
        self.taken: list[Node] = []
        self.growing: list[Node] = []
        #: The facts of each child by its segment, by its parent's number.
        self._children: dict[int, dict[tuple[int, ...], dict[str, float]]] = {}

    def lowest(self) -> Node | None:
        """The best partial text; None if nothing can grow."""
        open_ones = [*self.taken, *self.frontier]
        return next((node for node in open_ones if not node.is_over), None)

    def open_root(self) -> None:
        """Begins with the root."""
        root = self.problem.root
        self.price(root)
        if root.is_over:
            self.problem.offer(root, -root.facts["f"], value(root))
        else:
            self.push(root)

    def take(self, count: int) -> list[Node]:
        """The nodes to expand, lowest key first; a complete one comes alone: the goal."""
        taken: list[Node] = []
        while len(self.frontier) and len(taken) < count:
            node, key = self.frontier.pop()
            if not node.is_complete:
                taken.append(node)
            elif taken:
                # Those before it may lead to something better.
                self.frontier.push(node, key)
                break
            else:
                return [node]
        self.taken = taken
        return taken

    def drop_repeated(self) -> list[Node]:
        """The children that no sibling equals; each counts how often it was drawn."""
        fresh: list[Node] = []
        for child in self.growing:
            known = self._children.setdefault(child.parent.id if child.parent else 0, {})
            twin = known.get(child.segment)
            if twin is None:
                known[child.segment] = child.facts
                child.facts["drawn"] = 1
                fresh.append(child)
            else:
                twin["drawn"] += 1
                self.problem.close([child.branch])
        self.growing = fresh
        return fresh

    def take_in(self) -> None:
        """Puts the children into the frontier, and their parents again if the method says so."""
        method = self.method
        for child in self.growing:
            self.price(child)
            if child.is_over:
                self.problem.offer(child, -child.facts["f"], value(child))
            if child.is_complete or not child.is_over:
                self.push(child)
        if method.reexpand_penalty is not None and method.proposals == "sample":
            for parent in self.taken:
                parent.facts["returns"] = parent.facts.get("returns", 0) + 1
                self.push(parent, parent.facts["returns"] * method.reexpand_penalty)
        self.taken, self.growing = [], []
        if method.max_frontier is not None:
            self.frontier.trim(method.max_frontier)

    def take_in_scored(self) -> None:
        """The same for those children that the budget let be scored; offers complete others."""
        scored = [child for child in self.growing if child.score is not None]
        in_flight = [child for child in self.growing if child.score is None]
        if scored:
            self.growing = scored
            self.take_in()
        self.growing = in_flight
        for child in self.complete_in_flight():
            self.problem.offer(child, -math.inf)

    def complete_in_flight(self) -> list[Node]:
        """Children that have ended and were not scored when the budget ended."""
        return [child for child in self.growing if child.is_complete]

    def push(self, node: Node, penalty: float = 0.0) -> None:
        """Puts a priced node into the frontier: lowest f first, then deepest, then best valued."""
        self.frontier.push(node, (node.facts["f"] + penalty, -node.depth, -value(node)))

    def price(self, node: Node) -> None:
        """Sets g, h and f."""
        method, before = self.method, node.parent
        g = 0.0
        if before is not None:
            g = before.facts["g"] + edge_cost(method.cost, before, node, method.nll_scale)
        h = self._heuristic(node) - method.bonus * node.depth
        node.facts.update(g=g, h=h, f=g + h)

    def _heuristic(self, node: Node) -> float:
        method = self.method
        if method.heuristic is not None:
            problem = self.problem
            return checked(method.heuristic(problem.prompt, problem.continuation(node)))
        return 0.0 if method.cost == "neglog" else 1.0 - value(node)
