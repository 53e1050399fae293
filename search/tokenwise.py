"""Deciding on single tokens: the candidates, a look ahead from each, the commitment to some."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from guided.decoding import Branch, Decoder
from guided.decoding.draws import check_row
from guided.search.effects import Plan, grow_branches, weigh
from guided.search.node import Node
from guided.search.problem import Problem


def likeliest(log_law: Tensor, count: int | None) -> tuple[list[int], list[float]]:
    """The tokens with the highest log-probabilities of `[V]`, and these; the lowest id, if tied.

    Args:
        count: how many at most; None: all. Tokens without probability are never among them.
    """
    law = log_law.cpu()
    possible = int((law > -torch.inf).sum())
    count = possible if count is None else min(count, possible)
    if not count:
        return [], []
    least = law.topk(count).values[-1]
    # Which of equals topk takes, and in which order, is not defined.
    above, tied = (law > least).nonzero()[:, 0], (law == least).nonzero()[:, 0]
    above = above[law[above].argsort(descending=True, stable=True)]
    tokens = torch.cat([above, tied[: count - len(above)]])
    return tokens.tolist(), law[tokens].tolist()


def propose(problem: Problem, node: Node, count: int | None) -> list[Node]:
    """A child for each of the `count` likeliest tokens that may follow a node, the first first.

    The model has not read these tokens yet. A child's log-probability under the law is its fact
    `log_law`.

    Raises:
        LogitsError: NaN in the model's logits.
        DeadEndError: the controls leave no token.
    """
    tokens, log_law = likeliest(node.branch.law(), count)
    if not tokens:
        _refuse(node.branch)
    children = problem.fork(node, len(tokens))
    problem.decoder.append([child.branch for child in children], tokens)
    for child, value in zip(children, log_law, strict=True):
        child.facts["log_law"] = value
    return children


def _refuse(branch: Branch) -> None:
    """Says why no token can follow a branch."""
    total = torch.logsumexp(branch.logits[0].double(), -1) if branch.logits else math.nan
    check_row(branch, total=float(total), best=-math.inf)


def look_ahead(
    problem: Problem,
    branches: Sequence[Branch],
    length: int | None,
    copies: int = 1,
    *,
    greedy: bool = False,
    decoder: Decoder | None = None,
    stop: Callable[[str], bool] | None = None,
) -> Plan[list[list[Branch]]]:
    """`copies` continuations of every branch, all in one batch; close them after use.

    Args:
        length: most tokens; None: to the end of the text.
        decoder: that of the branches, where it is not the search's own.
        stop: ends a continuation where it holds of the text.
    """
    found = [problem.fork_branches(branch, copies, decoder) for branch in branches]
    rollouts = [rollout for some in found for rollout in some]
    growing = [rollout for rollout in rollouts if rollout.finish_reason is None]
    if length == 0 or not growing:
        return found
    if length is not None:
        for rollout in growing:
            # A limit instead of a pause: the logits after the last token are not wanted.
            ends = len(rollout.tokens) + length
            rollout.limit = ends if rollout.limit is None else min(ends, rollout.limit)
    until = None if stop is None else lambda branch: stop(problem.text(branch))
    yield from grow_branches(growing, until, greedy=greedy, decoder=decoder)
    return found


def read(branches: Sequence[Branch], decoder: Decoder | None = None) -> Plan[None]:
    """Has the model read tokens that were appended, so that there is a law after them."""
    unread = [branch for branch in branches if branch.finish_reason is None]
    if unread:
        yield from grow_branches(unread, lambda branch: True, decoder=decoder)


def commit(
    problem: Problem, taken: Sequence[Node], left: Sequence[Node], parents: Sequence[Node]
) -> Plan[None]:
    """Goes on with some proposed children of nodes; gives up the others, and the nodes' memory."""
    for node in left:
        problem.record_facts(node)
    for node in parents:
        problem.withdraw(node)
    problem.close([node.branch for node in [*left, *parents]])
    # Candidates that are not taken cost no token: nobody has drawn or kept them.
    problem.ledger.tokens += len(taken)
    yield from read([node.branch for node in taken])


def carry_on(problem: Problem, node: Node) -> Node:
    """The child of a node that goes on with its random stream, as plain decoding would.

    Its segment grows from here on, while that of a node in the trace is whole.
    """
    (child,) = problem.fork(node, 1, keep_stream=True)
    problem.offer(child, len(child.branch.tokens))
    problem.withdraw(node)
    problem.close([node.branch])
    return child


def conclude(problem: Problem, node: Node, **info: float) -> Plan[None]:
    """Makes a node the result, scores it where there is a reward, and ends the last iteration."""
    problem.choose(node)
    if problem.scorer is not None and node.score is None:
        yield from weigh([node])
    yield from problem.round([node], **info)
