"""What a control is: a map from the law at a node of the token tree to another law."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from torch import Tensor

from guided.grammars.vocabulary import Vocabulary

#: Logits of auxiliary models at the same nodes, by the name under which a control asks for them.
Auxiliary = Mapping[str, Tensor]
NO_AUXILIARY: Auxiliary = {}


class Stage(IntEnum):
    """Where in the pipeline a control stands; the pipeline sorts by it."""

    LAW = 10  #: repetition penalties, biases, temperature
    MASK = 20  #: what is allowed at all: grammars, bans
    TRUNCATION = 30  #: top-k, top-p, min-p, of the legal tokens
    CORRECTION = 40  #: what must come last, at most one


@dataclass(frozen=True, slots=True)
class Context:
    """What a control may know when a sequence begins.

    `row` names the sequence's random stream. `max_new_tokens` is None where nobody set a limit.
    """

    prompt: tuple[int, ...]
    vocabulary: Vocabulary
    max_new_tokens: int | None = None
    row: int = 0
    seed: int = 0


class Control:
    """Turns the law at a node into another law; a pure function of the token prefix.

    Subclasses implement `apply`, and `begin` and `step` where they carry a state. States are
    persistent values: `step` returns a new one and leaves the old one intact, so that forks,
    drafts and rollbacks cost nothing.
    """

    stage: ClassVar[Stage]
    #: A node's law depends on how much its ancestors changed; applied level by level down a tree.
    sequential: ClassVar[bool] = False
    #: Never takes away the only token that is left.
    spares_last: ClassVar[bool] = False
    #: At most one of this kind makes sense on a sequence.
    unique: ClassVar[bool] = True
    #: Why tokens must be drawn from its law, and not chosen otherwise ("": they need not be).
    needs_draws: ClassVar[str] = ""
    #: Whether its settings are about the tokens of one vocabulary.
    names_tokens: ClassVar[bool] = False

    def over(self, model: Any) -> Any:
        """The `guided.Model` that this control works on, made of the caller's; mostly that one."""
        return model

    @property
    def models(self) -> Mapping[str, Any]:
        """Auxiliary models (`guided.Model`) with the same vocabulary, by the names of their logits.

        They read the same tokens as the model; `apply` finds their logits in `aux`, edited by the
        controls that stand before this one.
        """
        return {}

    @property
    def reads_prompt(self) -> bool:
        """Whether `read` wants to know how likely the prompt was."""
        return False

    @property
    def group(self) -> Hashable:
        """Rows whose controls have equal groups share one `apply`, called on the first of them."""
        return self

    def begin(self, context: Context) -> Any:
        """The state after the prompt.

        Raises:
            InputError: this control cannot work on this prompt.
        """
        return None

    def read(self, state: Any, log_p: Mapping[str, Sequence[float]]) -> Any:
        """The state once the models have read the prompt; asked where `reads_prompt`.

        Args:
            log_p: the raw log-probabilities of the prompt's tokens, from the second one on, each
                given those before it: of the model under "", of auxiliary models by their names.
        """
        return state

    def apply(
        self, logits: Tensor, states: Sequence[Any], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Any]]:
        """The new logits `[n, V]` and states of n nodes; `logits` may be changed in place."""
        raise NotImplementedError

    def step(self, state: Any, token: int) -> Any:
        """The state after one more token."""
        return state

    def stop(self, state: Any, token: int) -> Any:
        """The state after a stop token, which ends the sequence."""
        return state

    def certificate(self, state: Any) -> Any | None:
        """What can be said about how a sequence was drawn, from its last state; None: nothing."""
        return None

    def finish(self, state: Any) -> str | None:
        """The reason why a sequence must end here, before any further token; None: go on."""
        return None

    def stop_reason(self, state: Any) -> str | None:
        """What to call the end if a stop token is drawn here; None: plain "stop"."""
        return None

    def allows(self, state: Any, token: int) -> bool:
        """Whether `token` may come here; cheap, and True where only `apply` can tell.

        Drafts are cut where this is False.
        """
        return True

    def follow(self, state: Any, token: int) -> Any:
        """The state after a guessed token; raises StopIteration where nothing can follow it.

        That is where the token is not allowed, or ends the sequence.
        """
        if not self.allows(state, token):
            raise StopIteration
        after = self.step(state, token)
        if self.finish(after) is not None:
            raise StopIteration
        return after

    def forced(self, state: Any) -> int | None:
        """The one token that this control allows here, None if it is not just one."""
        return None
