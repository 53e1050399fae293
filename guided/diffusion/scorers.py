"""Which proposals to commit first ("remasking strategies"): higher is better."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from guided.diffusion.law import Law, order_uniforms
from guided.diffusion.protocols import Scorer
from guided.diffusion.state import Ints, State
from guided.errors import InputError


class Probability:
    """The probability of the proposed token ("low_confidence", "maskgit_plus")."""

    reads_history = False

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        return law.probabilities(tokens)


class Margin:
    """How far the likeliest token is ahead of the second ("topk_margin")."""

    reads_history = False

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        best = law.scored.topk(min(2, law.scored.shape[1]), dim=-1).values.exp()
        return best[:, 0] - best[:, 1:].sum(-1)


class NegativeEntropy:
    """Minus the entropy of the slot's law ("entropy")."""

    reads_history = False

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        return -law.entropy


class Random:
    """A fresh random number at every step, from a stream that tokens never use."""

    reads_history = False

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        return torch.tensor(order_uniforms(state, slots), dtype=torch.float64)


class LeftToRight:
    """The leftmost slot first."""

    reads_history = False

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        return -torch.from_numpy(slots).double()


@dataclass(frozen=True)
class Perturbed:
    """Scores / temperature + Gumbel noise: slots are drawn without replacement from the softmax.

    Dream's `alg_temp`; its noise is that of the order, never that of the tokens.
    """

    scorer: Scorer
    temperature: float

    @property
    def reads_history(self) -> bool:
        return self.scorer.reads_history

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        scores = self.scorer.score(state, slots, law, tokens).double().cpu() / self.temperature
        uniforms = torch.tensor(order_uniforms(state, slots), dtype=torch.float64)
        return scores - (-uniforms.clamp_min(2.0**-54).log()).log()


@dataclass(frozen=True)
class StopLast:
    """Proposals of tokens that end the text come after all others (LLaDA's confidence_eos_eot_inf).

    Scores of those become less than any other's by a constant, and keep their order.
    """

    scorer: Scorer
    below: float = field(default=1e6, repr=False)

    @property
    def reads_history(self) -> bool:
        return self.scorer.reads_history

    def score(self, state: State, slots: Ints, law: Law, tokens: Tensor) -> Tensor:
        scores = self.scorer.score(state, slots, law, tokens)
        ends = [int(token) in state.row.stop_ids for token in tokens.tolist()]
        return scores.double() - self.below * torch.tensor(ends, device=scores.device)


_NAMED: dict[str, Scorer] = {
    "low_confidence": Probability(),
    "maskgit_plus": Probability(),
    "margin": Margin(),
    "topk_margin": Margin(),
    "entropy": NegativeEntropy(),
    "random": Random(),
    "left_to_right": LeftToRight(),
}


def scorer_named(remasking: str | Scorer) -> Scorer:
    """The scorer of the field's name for it, or a scorer itself.

    Raises:
        InputError: no such name.
    """
    if not isinstance(remasking, str):
        return remasking
    if remasking not in _NAMED:
        raise InputError(f"no remasking rule is named {remasking!r}; there are {sorted(_NAMED)}")
    return _NAMED[remasking]
