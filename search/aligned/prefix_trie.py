"""The prefix trie of ASAp and of adaptive rejection: what draws have shown about a language.

For a prefix u let P(a|u) be the model's law and c(u) the probability that a text which begins with
u ends inside of the language. The trie bounds c from above: a prefix of which nothing is known has
ub(u) = 1, and an expanded one

    ub(u) = rest(u) + Σ_a P(a|u) ub(ua)

over its children, where rest(u) is the probability of all legal tokens, stop tokens included, that
are no children. (In the papers' terms that is Σ over the legal a of P(a|u) ub(ua).)

Numerics. All numbers are logarithms, so that long texts do not underflow. `rest` is summed over
the very tokens that it is about, never as a difference, and the recursion only adds positive
numbers: every bound has a relative error of a few units in the last place for each level,
however small it is. Sums are rounded once (`math.fsum`), so that they do not depend on the order in
which the children came.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping

#: Bytes that a node takes, its entry in its parent included; measured, on 64 bits.
NODE_BYTES = 480
_NOTHING = -math.inf


class Node:
    """A prefix.

    Attributes:
        parent: the prefix without its last token; None of the root.
        token: its last token; -1 of the root.
        log_p: log P(token | parent).
        log_rest: log rest(u); NaN where the node was not expanded.
        log_cap: a bound that holds whatever its children say: 0, or what was known of a subtree
            that had to go, or -inf where nothing valid begins with the prefix.
        log_bound: log ub(u).
        log_drawn: log of the share of ub(u) that falls on distinct texts that were drawn: where
            nothing is capped, the probability under P(.|u) of what is left of them after u.
        children: by token.
        ends: log P(stop | u) of the stop tokens that were drawn here, by token.
    """

    __slots__ = (
        "children",
        "ends",
        "log_bound",
        "log_cap",
        "log_drawn",
        "log_p",
        "log_rest",
        "parent",
        "token",
    )

    def __init__(self, parent: Node | None, token: int, log_p: float, log_cap: float = 0.0) -> None:
        self.parent = parent
        self.token = token
        self.log_p = log_p
        self.log_rest = math.nan
        self.log_cap = self.log_bound = log_cap
        self.log_drawn = _NOTHING
        self.children: dict[int, Node] = {}
        self.ends: dict[int, float] = {}

    @property
    def is_expanded(self) -> bool:
        """Whether the law at this prefix has been seen."""
        return self.log_rest == self.log_rest

    def refresh(self) -> None:
        """Computes `log_bound` and `log_drawn` from those of the children."""
        if not self.is_expanded:
            self.log_bound, self.log_drawn = self.log_cap, _NOTHING
            return
        bounds, drawn = [self.log_rest], list(self.ends.values())
        for child in self.children.values():
            bounds.append(child.log_p + child.log_bound)
            if child.log_drawn > _NOTHING:
                drawn.append(child.log_p + child.log_drawn)
        total = log_sum(bounds)
        self.log_bound = min(total, self.log_cap)
        self.log_drawn = log_sum(drawn)
        if self.log_bound < total:
            # The law below adds up to more than what the law above lets come here.
            self.log_drawn += self.log_bound - total


class PrefixTrie:
    """Bounds on how likely prefixes end up inside of the language, and what was drawn.

    Attributes:
        root: the empty continuation.
        size: nodes.
        attempts: draws whose estimates of the normalising constant Z were banked.
        total: the sum of these estimates; `squares`: of their squares.
    """

    def __init__(self) -> None:
        self.root = Node(None, -1, 0.0)
        self.size = 1
        self.attempts = 0
        self.total = 0.0
        self.squares = 0.0

    @property
    def n_bytes(self) -> int:
        """Memory of the nodes, about."""
        return self.size * NODE_BYTES

    @property
    def log_bound(self) -> float:
        """log ub of the root: an upper bound of log Z."""
        return self.root.log_bound

    @property
    def log_drawn(self) -> float:
        """log of the probability of all distinct texts drawn: a lower bound of log Z."""
        return self.root.log_drawn

    @property
    def distance(self) -> float:
        """A bound on the total variation between ASAp's law, as the trie is now, and the target.

        1 - P(D) / ub(root), with D the distinct texts drawn: on D the law is P / ub(root), which
        is at most the target P / Z, so that all that it has too much lies outside of D.
        """
        if self.log_bound == _NOTHING:
            return 1.0
        return min(1.0, max(0.0, -math.expm1(self.log_drawn - self.log_bound)))

    def expand(
        self,
        node: Node,
        log_rest: float,
        children: Mapping[int, float],
        dead: Collection[int] = (),
    ) -> None:
        """Says what the law at a prefix is, after new children of it have been drawn.

        The bounds are old until `refresh`.

        Args:
            log_rest: of what is legal and none of its children, old or new.
            children: log P(token | node) of the new ones.
            dead: those of them that nothing valid begins with.
        """
        node.log_rest = log_rest
        for token, log_p in children.items():
            cap = _NOTHING if token in dead else 0.0
            node.children[token] = Node(node, token, log_p, cap)
        self.size += len(children)

    def end(self, node: Node, token: int, log_p: float) -> None:
        """Says that a text was drawn: the prefix and a stop token of that probability."""
        node.ends[token] = log_p

    def refresh(self, node: Node) -> None:
        """Computes the bounds from a node up to the root."""
        at: Node | None = node
        while at is not None:
            at.refresh()
            at = at.parent

    def refresh_all(self) -> None:
        """Computes all bounds."""
        for node in reversed(list(self.nodes())):
            node.refresh()

    def bank(self, estimates: Iterable[float]) -> None:
        """Takes unbiased estimates of Z into account, one for every draw."""
        for estimate in estimates:
            self.attempts += 1
            self.total += estimate
            self.squares += estimate * estimate

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents first, siblings by their tokens."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            yield node
            stack += [node.children[token] for token in sorted(node.children, reverse=True)]

    def shrink(self, limit: int, keeps_bounds: bool) -> None:
        """Forgets subtrees, those first that a draw is least likely to come to, until few are left.

        Nothing happens within the limit; beyond it the trie shrinks to three quarters of it, so
        that this is rare. The root stays expanded.

        What holds afterwards: bounds are bounds. With `keeps_bounds` a subtree's own bound stays
        as a cap, ub(root) stays as it was, and the texts below a cap no longer count as drawn;
        once the prefix is drawn again its law below the cap is rescaled, so that a text w there
        has less than P(w) / ub(root). Without it the subtree is as if it had never been visited:
        ub(root) grows, and everything that was exact stays exact, which rejection needs.

        Args:
            limit: bytes.
        """
        if self.n_bytes <= limit:
            return
        room = max(1, limit * 3 // 4 // NODE_BYTES)
        for _, node in sorted(self._visits(), key=lambda pair: pair[0]):
            if self.size <= room:
                break
            self.collapse(node, keeps_bounds)
        self.refresh_all()

    def collapse(self, node: Node, keeps_bound: bool) -> None:
        """Forgets all below a node; bounds above it are old until they are refreshed."""
        self.size -= sum(1 for _ in _below(node))
        # That nothing valid begins here is no bound that could be too small.
        node.log_cap = node.log_bound if keeps_bound or node.log_bound == _NOTHING else 0.0
        node.log_rest = math.nan
        node.children, node.ends = {}, {}
        node.refresh()

    def release_caps(self) -> None:
        """Forgets what is only known as a cap, so that every law adds up again."""
        for node in self.nodes():
            if node.log_cap > _NOTHING:
                node.log_cap = 0.0
        self.refresh_all()

    def _visits(self) -> Iterator[tuple[float, Node]]:
        """Nodes with something below them, and how likely draws visit them (log, unnormalised)."""
        stack = [(0.0, self.root)]
        while stack:
            log_p, node = stack.pop()
            for child in node.children.values():
                if child.is_expanded:
                    below = log_p + child.log_p
                    yield below + child.log_bound, child
                    stack.append((below, child))


def log_sum(terms: Collection[float]) -> float:
    """log Σ exp, rounded once: the order of the terms does not matter; -inf of nothing."""
    top = max(terms, default=_NOTHING)
    if top == _NOTHING or len(terms) == 1:
        return top
    return top + math.log(math.fsum([math.exp(term - top) for term in terms]))


def _below(node: Node) -> Iterator[Node]:
    stack = list(node.children.values())
    while stack:
        at = stack.pop()
        yield at
        stack += at.children.values()
