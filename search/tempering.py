"""Powers of the model's law: what the base of a target is, and how proposals follow it.

`p` is always the raw model, `q` the law that tokens are drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from guided.controls import StopStrings, Temperature
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Control, Stage
from guided.decoding import Branch
from guided.errors import InputError

#: "tempered": Π softmax(alpha logits), the model at temperature 1 / alpha; "powered": p ** alpha,
#: not normalised; "drawn": the law that tokens are drawn from, whatever it is.
Base = Literal["tempered", "powered", "drawn"]


def check_alpha(alpha: float) -> None:
    """Raises InputError unless `alpha` can be an exponent."""
    if not (alpha > 0 and math.isfinite(alpha)):
        raise InputError(f"alpha must be a positive number, not {alpha}")


@dataclass(frozen=True)
class Exponents:
    """The exponents a_t = 1 + (alpha - 1) l / L of Power-SMC's bridge (arXiv 2602.10273).

    Token t, counted from 0, belongs to stage l = floor(t L / ramp) + 1, at most L.

    Args:
        ramp: tokens until `alpha` is reached; 0 or 1: from the first token on.
        stages: L; None: one stage for every token.
    """

    alpha: float
    ramp: int = 0
    stages: int | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.ramp < 0:
            raise InputError(f"ramp must be a number of tokens, not {self.ramp}")
        if self.stages is not None and not 1 <= self.stages <= max(1, self.ramp):
            raise InputError(f"stages must be from 1 to ramp={self.ramp}, not {self.stages}")

    @property
    def is_constant(self) -> bool:
        """Whether every token has the exponent `alpha`."""
        return self.ramp <= 1 or self.stages == 1 or self.alpha == 1

    def at(self, token: int) -> float:
        """The exponent in force when the token at this position has been drawn."""
        if self.is_constant:
            return self.alpha
        stages = self.stages or self.ramp
        stage = min(stages, token * stages // self.ramp + 1)
        return 1 + (self.alpha - 1) * stage / stages


@dataclass(frozen=True)
class Sharpening(Control):
    """Logits times the exponent of their position: the proposal q ∝ p ** a_t.

    Its state is the position.
    """

    exponents: Exponents
    stage: ClassVar[Stage] = Stage.LAW
    spares_last: ClassVar[bool] = True

    def begin(self, context: Any) -> int:
        return 0

    def apply(
        self, logits: Tensor, states: Sequence[int], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[int]]:
        factors = [self.exponents.at(position) for position in states]
        return logits.mul_(logits.new_tensor(factors)[:, None]), states

    def step(self, state: int, token: int) -> int:
        return state + 1


@dataclass(frozen=True, slots=True)
class Mass:
    """Σ log Σ_v p(v) ** alpha over the laws seen: of tokens drawn, and of the one to come."""

    drawn: float = 0.0
    coming: float = 0.0

    @property
    def total(self) -> float:
        """Of all positions that the law has been looked at."""
        return self.drawn + self.coming


@dataclass(frozen=True)
class PowerMass(Control):
    """Leaves the law alone; its state adds up log Σ_v p(v) ** alpha of the raw laws.

    That is what p ** alpha lacks to be the normalised law at temperature 1 / alpha. It must stand
    before everything that edits the law. `sequential`, since states carry what `apply` has seen.
    """

    alpha: float
    stage: ClassVar[Stage] = Stage.LAW
    sequential: ClassVar[bool] = True
    spares_last: ClassVar[bool] = True

    def begin(self, context: Any) -> Mass:
        return Mass()

    def apply(
        self, logits: Tensor, states: Sequence[Mass], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Mass]]:
        masses = log_mass(logits, self.alpha).tolist()
        return logits, [Mass(state.drawn, mass) for state, mass in zip(states, masses, strict=True)]

    def step(self, state: Mass, token: int) -> Mass:
        return Mass(state.total)


def log_mass(logits: Tensor, alpha: float) -> Tensor:
    """log Σ_v p(v) ** alpha `[n]` of raw logits `[n, V]`: (1 - alpha) times the Rényi entropy."""
    return (logits.double().log_softmax(-1) * alpha).logsumexp(-1)


def tempered_controls(controls: Sequence[Control], alpha: float) -> list[Control]:
    """Controls of sequences whose `log_tempered` is to be known."""
    return list(controls) if alpha == 1 or is_tempered(controls, alpha) else [
        PowerMass(alpha), *controls
    ]  # fmt: skip


def is_tempered(controls: Sequence[Control], alpha: float) -> bool:
    """Whether the law drawn from is the model's at temperature 1 / alpha and nothing else."""
    temperatures = [c.value for c in controls if isinstance(c, Temperature)]
    others = [c for c in controls if not isinstance(c, Temperature | StopStrings)]
    return not others and temperatures == ([] if alpha == 1 else [1 / alpha])


def log_tempered(branch: Branch, alpha: float, log_p: float, log_q: float) -> float:
    """The logarithm of Π softmax(alpha logits) over a branch's tokens, unmasked and untruncated.

    Args:
        log_p: of all its tokens; `log_q` likewise.
    """
    controls = branch.pipeline.controls
    if is_tempered(controls, alpha):
        return log_q
    if alpha == 1:
        return log_p
    index = next(i for i, control in enumerate(controls) if isinstance(control, PowerMass))
    return alpha * log_p - float(branch.states[index].total)
