"""What a drafter is: something that guesses what a branch will say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from guided.decoding.branch import Branch
from guided.decoding.drafts import Draft
from guided.decoding.rng import Purpose
from guided.decoding.sampling import Sampler


@dataclass(slots=True)
class Request:
    """What a drafter is asked for.

    Attributes:
        branches: all of them growing, each with at least one token (prompt included).
        room: for each the most nodes that are of use; 0: none.
        sampler: how a drafter with a law of its own chooses from it.
        purpose: of the random numbers that it may use. `TOKEN` couples its choice with the one to
            be made from the model's law: equal laws give equal tokens.
        keeps_laws: whether the draft has to be a chain that carries the laws it was drawn from.
            Then every token drawn stays in it, up to and with one that is illegal or ends the
            text, and every round needs random numbers of its own.
        guesses: for drafters that read guesses: what the others have proposed for each branch,
            all of it legal. Empty: nothing.
        pass_seconds: what a pass of the model takes without guesses; None: not known.
    """

    branches: Sequence[Branch]
    room: Sequence[int]
    sampler: Sampler
    purpose: Purpose = Purpose.TOKEN
    keeps_laws: bool = False
    guesses: Sequence[Draft] = ()
    pass_seconds: float | None = None


@dataclass(slots=True)
class Observation:
    """What a round has shown of one branch, after its tokens were added.

    Attributes:
        tokens: the new tokens; they are the end of `branch.tokens`.
        before: the token before each of `tokens` (of prompt or branch).
        logits: the model's raw logits `[len(tokens), V]` from which each was drawn.
    """

    branch: Branch
    tokens: Sequence[int]
    before: Sequence[int]
    logits: Tensor


class Drafter:
    """Guesses subtrees; changes the speed of decoding, never its law.

    Subclasses implement `propose`, and the other two where they keep something. What they keep
    for a branch they keep in its `notes`, under themselves. Tokens need not be
    legal: what the controls forbid is cut off before the model sees it, with all that follows.
    Stop tokens are never worth drafting.
    """

    #: Names the nodes; acceptance is measured for each name.
    name: ClassVar[str]
    #: Whether drafts are drawn from a law that they can carry; a verifier for chains needs one.
    has_law: ClassVar[bool] = False
    #: Whether `observe` needs the logits, which costs memory traffic.
    reads_logits: ClassVar[bool] = False
    #: Whether it is asked after the others and told what they propose.
    reads_guesses: ClassVar[bool] = False

    def propose(self, request: Request) -> list[Draft]:
        """One draft for each branch, empty where there is nothing to guess."""
        raise NotImplementedError

    def observe(self, observations: Sequence[Observation]) -> None:
        """Learns from what was drawn; called once a round, and after a prompt with no tokens."""

    @property
    def passes(self) -> int:
        """Forward passes of a model of its own so far."""
        return 0

    def fork(self, branch: Branch, child: Branch) -> None:
        """Lets `child` go on with what is known of `branch`."""
