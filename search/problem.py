"""One prompt while it is being searched: its tree, its scores, its budget, the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from guided.alternatives import token_details
from guided.controls.pipeline import States
from guided.decoding import Branch, Decoder
from guided.decoding.rng import Purpose, fold, uniform
from guided.errors import InputError
from guided.model import Prompt
from guided.rewards.protocol import Continuation
from guided.rewards.scorer import Scorer
from guided.rows import Row
from guided.search.budget import Ledger
from guided.search.effects import Plan, Round, Until
from guided.search.laws import Laws
from guided.search.node import ENDS, Node
from guided.search.results import SearchResult
from guided.search.segmenter import Segmenter
from guided.trace import Trace

#: Bytes of logits that are kept of what comes after segments.
_AHEAD = 1 << 24


@dataclass(eq=False)
class Problem:
    """What a method works with; one for each prompt.

    Attributes:
        number: of the prompt in the call.
        prompt: as the caller gave it.
        row: how the prompt is opened and a finished branch is read.
        decoder: grows branches; methods ask for that by `grow`.
        root: the empty continuation.
        segmenter: where a step ends.
        scorer: the reward; None where the search was given none.
        ledger: what has been spent.
        seed: of all random numbers; the prompt's own stream is `stream`.
        nodes: how many there are.
        offers: the ranks of the nodes that may be the result.
        chosen: the result, where the method has said so.
    """

    number: int
    prompt: Prompt
    row: Row
    decoder: Decoder
    root: Node
    segmenter: Segmenter
    scorer: Scorer | None
    ledger: Ledger
    seed: int
    trace: Trace | None = None
    nodes: int = 1
    offers: dict[Node, tuple[float, ...]] = field(default_factory=dict)
    chosen: Node | None = None
    #: the method's estimate of the logarithm of the target's normalising constant.
    log_z: float | None = None
    #: what the method can say for certain about its draws.
    certificate: Any = None
    #: why the method gave up, where no budget has stopped it.
    gave_up: str | None = None
    forks: int = 0
    #: what the model has said after guesses beyond the ends of segments.
    ahead: Laws = field(default_factory=lambda: Laws(_AHEAD))
    _recorded: set[int] = field(default_factory=set)

    @property
    def stream(self) -> int:
        """Names the random streams of this prompt; equal alone and among other prompts."""
        return self.root.branch.row

    @property
    def reached(self) -> str | None:
        """The limit of the budget that is used up; None while there is something left."""
        return self.ledger.reached()

    # --- the tree

    def fork(self, node: Node, count: int, *, keep_stream: bool = False) -> list[Node]:
        """Children of a node that start where it ends; nothing is copied, nothing grows yet.

        Every child draws by a stream of its own; with `keep_stream` the first one goes on with
        the node's, so that a path of such children is what plain sampling would have drawn.
        """
        branches = self.fork_branches(node.branch, count, keep_stream=keep_stream)
        return [self.adopt(branch, node) for branch in branches]

    def hand_over(self, node: Node, count: int = 1, *, keep_stream: bool = True) -> list[Node]:
        """Children of a node that take over its keys and values; one child costs nothing.

        The node would have to be read again before it could be forked once more. See `fork`.
        """
        branch = node.branch
        if count == 1 and keep_stream:
            node.branch = branch.snapshot()
            return [self.adopt(branch, node)]
        children = self.fork(node, count, keep_stream=keep_stream)
        node.branch = branch.snapshot()
        return children

    def cut(self, branch: Branch, length: int, states: States) -> Branch:
        """A branch, out of the tree, that goes on by a new stream after the first `length` tokens.

        Args:
            states: those of its controls at that place.
        """
        return self.decoder.cut(self.root.branch, branch, length, states, self._row())

    def fork_branches(
        self,
        branch: Branch,
        count: int,
        decoder: Decoder | None = None,
        *,
        keep_stream: bool = False,
    ) -> list[Branch]:
        """Branches that go on from `branch` and stay out of the tree, like rollouts.

        Args:
            decoder: that of the branch, where it is not the search's own.
            keep_stream: the first one goes on with the stream of `branch`; see `fork`.
        """
        rows = [self._row() for _ in range(count)]
        if keep_stream and rows:
            rows[0] = branch.row
        return (decoder or self.decoder).fork(branch, count, rows=rows)

    def adopt(self, branch: Branch, parent: Node) -> Node:
        """A branch, forked from that of `parent`, as a node of the tree."""
        node = Node(branch, parent, self.nodes, len(parent.branch.tokens), self.ledger.rounds)
        self.nodes += 1
        parent.children += 1
        return node

    def _row(self) -> int:
        self.forks += 1
        return fold((self.stream, Purpose.FORK, self.forks))

    def close(self, branches: Sequence[Branch]) -> None:
        """Gives up branches that are no nodes, and their memory."""
        self.decoder.close(branches)

    # --- what nodes say

    def until(self, branches: Sequence[Branch], segmenter: Segmenter | None = None) -> Until:
        """Whether a branch has come to the end of a segment that begins where it is now.

        Args:
            segmenter: another one than the search's own.
        """
        starts = {id(branch): len(branch.tokens) for branch in branches}
        return (segmenter or self.segmenter).until(self.decoder.vocabulary, starts)

    def continuation(self, text: Node | Branch) -> Continuation:
        """What a reward is shown of a node or branch."""
        branch = text.branch if isinstance(text, Node) else text
        return Continuation(self.text(text), tuple(branch.tokens), branch.finish_reason in ENDS)

    def text(self, text: Node | Branch) -> str:
        """The text of a node or branch without the prompt."""
        branch = text.branch if isinstance(text, Node) else text
        pieces = self.row.pieces(branch.tokens)
        return self.row.text(pieces, branch.finish_reason).decode(errors="replace")

    def need_reward(self) -> Scorer:
        """The scorer.

        Raises:
            InputError: the search was given no reward.
        """
        if self.scorer is None:
            raise InputError("this search needs a reward; pass reward=")
        return self.scorer

    # --- what is counted and recorded

    def count(self, branches: Sequence[Branch], before: Sequence[tuple[int, int, int]]) -> None:
        """Counts what branches have cost since they had so many (tokens, passes, positions)."""
        ledger = self.ledger
        pairs = list(zip(branches, before, strict=True))
        ledger.tokens += sum(len(branch.tokens) - was[0] for branch, was in pairs)
        ledger.passes += max((branch.passes - was[1] for branch, was in pairs), default=0)
        ledger.positions += sum(branch.positions - was[2] for branch, was in pairs)

    def begin(self) -> None:
        """Writes the prompt to the trace."""
        self._write("problem", prompt=self.prompt)
        self.record_node(self.root)

    def end(self, result: SearchResult, best: Node) -> None:
        """Writes the result to the trace."""
        if self.trace is None:
            return
        for node in [*self.candidates, best]:
            self.record_node(node)
            self.record_facts(node)
        if self.trace.tokens and result.stopped not in ("interrupt", "memory"):
            self._record_tokens([*self.candidates, best])
        self._write(
            "result",
            best=best.id,
            stopped=result.stopped,
            spent=dict(result.spent),
            text=result.text,
            value=result.value,
            certificate=None if result.certificate is None else str(result.certificate),
        )

    def record_score(self, node: Node) -> None:
        """Writes a node's score to the trace."""
        if self.trace is not None and node.score is not None:
            self.record_node(node)
            self._write(
                "score",
                id=node.id,
                value=node.score.value,
                steps=node.score.steps,
                spent={
                    "tokens": self.ledger.tokens,
                    "reward_passes": self.ledger.reward_passes,
                },
            )

    def record_node(self, node: Node) -> None:
        """Writes a node, whose segment is whole, to the trace, if it is not there yet.

        Those before it come first.
        """
        if self.trace is None:
            return
        new: list[Node] = []
        at: Node | None = node
        while at is not None and at.id not in self._recorded:
            new.append(at)
            self._recorded.add(at.id)
            at = at.parent
        for each in reversed(new):
            self._write_node(each)

    def _write_node(self, node: Node) -> None:
        branch, start = node.branch, node.start
        text = b"".join(self.row.pieces(node.segment)).decode(errors="replace")
        self._write(
            "node",
            id=node.id,
            parent=None if node.parent is None else node.parent.id,
            round=node.round,
            text=text,
            tokens=len(branch.tokens) - start,
            log_p=sum(branch.log_p[start:]),
            log_q=sum(branch.log_q[start:]),
            reason=branch.finish_reason,
        )

    def record_facts(self, node: Node) -> None:
        """Writes the method's figures about a node to the trace."""
        if self.trace is not None and node.facts:
            self.record_node(node)
            self._write("facts", id=node.id, **node.facts)

    def _record_tokens(self, ends: Sequence[Node]) -> None:
        """Writes the tokens of all nodes on the way to these, each node's once."""
        ends = list(dict.fromkeys(ends))
        written: set[int] = set()
        found = token_details(self.decoder, [node.branch for node in ends])
        for end, details in zip(ends, found, strict=True):
            for node in end.path():
                if node.id not in written and node.start < len(node.branch.tokens):
                    written.add(node.id)
                    own = details[node.start : len(node.branch.tokens)]
                    self._write("tokens", id=node.id, tokens=[asdict(each) for each in own])

    def record_round(self, shown: Round) -> None:
        """Writes a round, and what is new about its nodes, to the trace."""
        if self.trace is None:
            return
        for node in shown.alive:
            self.record_node(node)
            self.record_facts(node)
        self._write(
            "round",
            number=shown.number,
            alive=[node.id for node in shown.alive],
            info=dict(shown.info),
            best=None if shown.best is None else shown.best.id,
            spent=dict(shown.spent),
        )

    def _write(self, kind: str, **facts: Any) -> None:
        if self.trace is not None:
            self.trace.write(kind, problem=self.number, **facts)

    def round(self, alive: Sequence[Node], **info: Any) -> Plan[None]:
        """Ends an iteration: counts it, shows it to the caller, records it.

        Here a budget of rounds ends the search, and callers that iterate get their turn.
        """
        self.ledger.rounds += 1
        shown = Round(
            self.ledger.rounds, list(alive), info, self.best, self.ledger.spent(), self.number
        )
        self.record_round(shown)
        yield shown

    # --- what comes out

    def offer(self, node: Node, *rank: float) -> None:
        """Says that a node may be the result; an earlier offer of it is forgotten."""
        self.offers[node] = rank

    def withdraw(self, node: Node) -> None:
        """Says that a node is no longer worth being the result."""
        self.offers.pop(node, None)

    def choose(self, node: Node) -> None:
        """Says that this node is the result, whatever was offered."""
        self.chosen = node

    @property
    def best(self) -> Node | None:
        """The node that was chosen; else of those offered, complete ones first, the highest rank.

        Of equals the first. None if nothing was offered.
        """
        if self.chosen is not None:
            return self.chosen
        return max(
            self.offers, key=lambda node: (node.is_complete, *self.offers[node]), default=None
        )

    @property
    def candidates(self) -> list[Node]:
        """The complete nodes among those offered, in the order of their making."""
        return sorted((n for n in self.offers if n.is_complete), key=lambda node: node.id)

    def uniform(self, purpose: Purpose, *numbers: int) -> float:
        """A number in [0, 1) for a decision of the method, named by `numbers`."""
        return uniform(self.seed, fold((self.stream, *numbers)), len(numbers), purpose)
