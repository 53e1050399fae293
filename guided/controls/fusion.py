"""Laws between two models' laws: what anchored decoding is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.controls.second_model import check_model
from guided.errors import ControlError, DecodingError

_OTHER = "other"


def _pair(logits: Tensor, aux: Auxiliary) -> tuple[Tensor, Tensor, Tensor]:
    """Both log-laws `[n, V]` in double precision, and which tokens are possible under both."""
    own = logits.double().log_softmax(-1)
    other = aux[_OTHER].to(own.device).double().log_softmax(-1)
    return own, other, own.isfinite() & other.isfinite()


def _check_common(common: Tensor, positions: Sequence[int]) -> None:
    for row, some in enumerate(common.any(-1).tolist()):
        if not some:
            raise DecodingError(
                f"no token is possible under both models at position {positions[row]}; where "
                "top-k or top-p cut their laws apart, widen them or leave them out"
            )


class CPDelta(Control):
    """Draws from what two models agree on: the fixed fusions of CP-Δ (arXiv 2302.10870).

    The models should have seen disjoint protected texts, so that what one has memorised the other
    finds unlikely.

    Args:
        other_model: a `guided.Model` with the same tokens.
        divergence: "max": q ∝ min(p_1, p_2), for bounds on the ratio; "kl": q ∝ sqrt(p_1 p_2).

    Raises:
        ControlError: an unknown divergence; ModelError: `other_model` is none.
    """

    stage: ClassVar[Stage] = Stage.CORRECTION

    def __init__(self, other_model: Any, divergence: Literal["max", "kl"] = "kl") -> None:
        check_model(other_model, "other_model")
        if divergence not in ("max", "kl"):
            raise ControlError(f"divergence must be 'max' or 'kl', not {divergence!r}")
        self.other_model = other_model
        self.divergence = divergence

    @property
    def models(self) -> Mapping[str, Any]:
        return {_OTHER: self.other_model}

    def begin(self, context: Context) -> int:
        return 0

    def apply(
        self, logits: Tensor, states: Sequence[int], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[int]]:
        own, other, common = _pair(logits, aux)
        _check_common(common, states)
        fused = torch.minimum(own, other) if self.divergence == "max" else (own + other) / 2
        return torch.where(common, fused, -torch.inf), states

    def step(self, state: int, token: int) -> int:
        return state + 1


#: Exponents that are tried for each model: nine from 0 below 2, then 2, 3, …, 10.
EXPONENTS = (
    *torch.linspace(0, 2, 10, dtype=torch.float64).tolist()[:-1],
    *map(float, range(2, 11)),
)


@dataclass(frozen=True, slots=True)
class History:
    """How likely the text is under both models, and their laws of the coming token once seen.

    `laws` is a pair of rows `[V]`.
    """

    own: float = 0.0
    other: float = 0.0
    position: int = 0
    laws: tuple[Tensor, Tensor] | None = None


class CPFuse(Control):
    """Draws from the fusion of two models that keeps the text about as likely under both.

    CP-Fuse (arXiv 2412.06619): of the laws q ∝ p_1^a p_2^b with a and b on a grid, the one with
    the least max_i { KL(q || p_i) - log p_i(text so far) }. A text that one model has memorised
    gets likelier under it, which weighs it down. Temperature and the like come before, for both.

    Args:
        other_model: a `guided.Model` with the same tokens, trained on other protected texts.

    Raises:
        ModelError: `other_model` is none.
    """

    stage: ClassVar[Stage] = Stage.CORRECTION
    sequential: ClassVar[bool] = True

    def __init__(self, other_model: Any) -> None:
        check_model(other_model, "other_model")
        self.other_model = other_model

    @property
    def models(self) -> Mapping[str, Any]:
        return {_OTHER: self.other_model}

    def begin(self, context: Context) -> History:
        return History()

    def apply(
        self, logits: Tensor, states: Sequence[History], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[History]]:
        own, other, common = _pair(logits, aux)
        _check_common(common, [state.position for state in states])
        rows, after = [], []
        for row, state in enumerate(states):
            a, b = best_exponents(own[row][common[row]], other[row][common[row]], state)
            blend = a * own[row] + b * other[row]
            rows.append(torch.where(common[row], blend, -torch.inf))
            laws = own[row], other[row]
            after.append(History(state.own, state.other, state.position, laws))
        return torch.stack(rows), after

    def step(self, state: History, token: int) -> History:
        if state.laws is None:
            return state
        own, other = (float(law[token]) for law in state.laws)
        return History(state.own + own, state.other + other, state.position + 1)


def best_exponents(own: Tensor, other: Tensor, history: History) -> tuple[float, float]:
    """The exponents of the best law on the grid, from log-laws on the common tokens.

    All laws of the grid at once: their normalisers and means are products of matrices.
    """
    grid = own.new_tensor(EXPONENTS)
    tops = own.amax(), other.amax()
    left = ((own - tops[0]) * grid[:, None]).exp()
    right = ((other - tops[1]) * grid[:, None]).exp()
    total = left @ right.T
    mean_own = (left * own) @ right.T / total
    mean_other = left @ (right * other).T / total
    log_total = total.log() + grid[:, None] * tops[0] + grid[None, :] * tops[1]
    negative_entropy = grid[:, None] * mean_own + grid[None, :] * mean_other - log_total
    far = torch.maximum(
        negative_entropy - mean_own - history.own, negative_entropy - mean_other - history.other
    )
    # Where the weights vanish in floating point the law says nothing.
    best = int(torch.where(total > 0, far, torch.inf).nan_to_num(nan=torch.inf).argmin())
    return EXPONENTS[best // len(EXPONENTS)], EXPONENTS[best % len(EXPONENTS)]
