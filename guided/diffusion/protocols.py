"""What the decode loop is put together from. Each part is one file; most have one method.

A part sees one sequence at a time, as an immutable `State`. What it does must be a pure function of
what it is given: drafts are decoded ahead with the same parts and thrown away again. What a part
wants to remember goes into `State.scratch`; a selector or scorer that does so says
`reads_history`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

from torch import Tensor

from guided.diffusion.law import Law
from guided.diffusion.state import Ints, Prediction, State

if TYPE_CHECKING:
    from guided.grammars.canvas import Completion, Verdict


class Candidate(NamedTuple):
    """A token proposed for a slot. `score` orders candidates, the greatest first."""

    slot: int
    token: int
    score: float


#: Whether a candidate is committed, given those that this step has already accepted.
Rule = Callable[[Sequence[Candidate], Candidate], bool]
#: Runs the model on states: one prediction each, one pass for all.
Predict = Callable[[Sequence[State]], "list[Prediction]"]
#: One step of decoding without a pass: what becomes of a state under a prediction.
Advance = Callable[[State, Prediction], State]


class BlockScheduler(Protocol):
    """Chooses which slots are decoded next."""

    def next(self, state: State, prediction: Prediction | None) -> tuple[int, int] | None:
        """The next block as slots `(begin, end)`; it holds at least one masked slot.

        None where it needs a prediction of the whole canvas to decide and has none.
        """
        ...

    def count(self, length: int, prompt: int) -> int:
        """Blocks of a canvas of `length` slots after a prompt; 1 where it decides as it goes."""
        ...


class LogitsTransform(Protocol):
    """Changes the law at every slot (bans, penalties)."""

    def apply(self, state: State, slots: Ints, logits: Tensor) -> Tensor:
        """Logits `[n, V]` of the slots; may change `logits` in place."""
        ...


class Scorer(Protocol):
    """Says which proposals to commit first."""

    @property
    def reads_history(self) -> bool:
        """Whether it reads what earlier steps left in `State.scratch`."""
        ...

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        """Scores `[n]` of the tokens `[n]` proposed for the slots, the best the greatest."""
        ...


class Selector(Protocol):
    """Says how many proposals to commit."""

    @property
    def reads_history(self) -> bool:
        """Whether it reads what earlier steps left in `State.scratch`."""
        ...

    @property
    def may_wait(self) -> bool:
        """Whether a step may commit nothing; else the best candidate is committed in any case."""
        ...

    def rule(self, state: State, candidates: Sequence[Candidate]) -> Rule:
        """The rule of this step. `candidates` are in order, best first.

        The rule is asked about candidates in that order; one whose token the constraint refused
        comes back with its next token and that token's score.
        """
        ...

    def check(self, length: int, prompt: int) -> None:
        """Raises InputError where it cannot fill a canvas of `length` slots after a prompt."""
        ...


class Verifier(Protocol):
    """Looks several steps ahead and keeps what would have happened anyway."""

    def drafts(self, state: State, prediction: Prediction, advance: Advance) -> list[State]:
        """States that decoding may come through; the first is certain."""
        ...

    def judge(
        self, drafts: Sequence[State], predictions: Sequence[Prediction], advance: Advance
    ) -> tuple[State, Prediction | None]:
        """The furthest true state, with its prediction where there is one.

        Args:
            predictions: of the drafts, in their order; the last draft has none where it is done.
        """
        ...


class Span(NamedTuple):
    """What a pass computes of one sequence. Positions count from the prompt's begin.

    Attributes:
        begin: first position that is computed.
        end: one past the last.
        keeps: keys and values of so many positions, from the first on, are kept with the state.
        uses_memory: whether the state's memory stands for what is not computed.
    """

    begin: int
    end: int
    keeps: int = 0
    uses_memory: bool = False


class CachePolicy(Protocol):
    """Says which positions are computed again."""

    @property
    def keeps(self) -> bool:
        """Whether it keeps keys and values at all."""
        ...

    def plan(self, state: State, begin: int, end: int, length: int) -> Span:
        """What the next pass computes; `state.memory` is None when a block begins.

        Args:
            begin: first position that the active block's predictions come from.
            end: one past the active block's last position.
            length: positions of the whole sequence.
        """
        ...


class Filling(Protocol):
    """What a constraint knows about a canvas: a persistent value.

    `grammar.canvas(vocabulary, slots)` gives one.
    """

    def check(self, slot: int, token: int) -> Verdict:
        """Whether the canvas can still be completed with `token` at a masked slot."""
        ...

    def fix(self, tokens: Mapping[int, int]) -> Filling | None:
        """The value after tokens were written; None where nothing valid is left."""
        ...

    def completion(self) -> Completion | None:
        """A valid text that the canvas can become, None where none was found.

        Where it does not fit (`fits`), it holds the committed text but not slot for slot.
        """
        ...


class Judged(Filling, Protocol):
    """A filling that also knows whether it can be completed as it is, as a canvas does.

    Where many tokens are accepted at once, this is one question instead of two.
    """

    @property
    def verdict(self) -> Verdict:
        """Whether the canvas can still be completed."""
        ...


def is_judged(filling: Filling) -> TypeGuard[Judged]:
    """Whether a filling has a `verdict`; it is not asked for it."""
    return hasattr(type(filling), "verdict")


class Constraint(Protocol):
    """What is allowed on a canvas."""

    def begin(self, slots: Sequence[int | None]) -> Filling:
        """What is known about a canvas before decoding: its fixed tokens, None where it is open.

        Raises:
            BudgetError: nothing valid fits.
        """
        ...


class Guidance(Protocol):
    """Pulls the law towards what a classifier or a reward likes; may ask for further passes."""

    def apply(self, state: State, slots: Ints, logits: Tensor, predict: Predict) -> Tensor:
        """Logits `[n, V]` of the slots. Committed slots must stay as they are."""
        ...


@dataclass(frozen=True)
class FillRest:
    """Commit every masked slot now, and end with this finish reason."""

    finish: str


@dataclass(frozen=True)
class Stop:
    """End now, with this finish reason; what is masked stays so."""

    finish: str


class Stopper(Protocol):
    """Ends decoding early. It is asked before the step commits."""

    def check(self, state: State, slots: Ints, logits: Tensor) -> FillRest | Stop | None:
        """What to do now; None: go on.

        Args:
            slots: every masked slot of the canvas.
            logits: `[n, V]` of those slots, after transforms.
        """
        ...


class Callback(Protocol):
    """Sees every step of every row that is adopted."""

    def __call__(self, before: State, after: State) -> None: ...
