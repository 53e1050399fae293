"""Transfer Q*: every token by the value that rollouts of an aligned model give it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from guided.decoding import Decoder
from guided.errors import InputError, VocabularyError
from guided.model import Model
from guided.rewards.scorer import Scorer
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.rollout_values import Estimate, RolloutValues
from guided.search.search import Search
from guided.search.session import scorer_of
from guided.search.tilting import Selection, Tilt, check_selection, decode


@dataclass(frozen=True)
class TransferQ(Search):
    """Transfer Q* (Chakraborty et al. 2024, arXiv 2405.20495).

    Tokens follow pi(z) exp(TQ(z) / alpha) over the `k` likeliest. TQ(z) is the reward to be
    expected after z if a model goes on that is aligned with the reward already: `baseline`.

    * *Direct*: the baseline is aligned with the search's reward; TQ is the rollouts' mean reward.
    * *Indirect*: the baseline is aligned with `baseline_reward`; rollouts count by their weights
      exp((reward - baseline reward) / beta).

    Args:
        k: candidates, the likeliest tokens (None: all).
        alpha: how far the law may move; 0 takes the highest value.
        rollouts: for every candidate.
        length: tokens of a rollout. The theory asks for whole texts: None. The default is that of
            the released code, for rewards that make sense of unfinished text.
        baseline: grows the rollouts; needs the same vocabulary. None: the model itself.
            They follow the call's temperature and constraints, but not its top_k, top_p, min_p.
        baseline_reward: what the baseline is aligned with; None: the reward of the search.
        beta: strength of the alignment, as in DPO: rho = rho_ref exp(r / beta) / Z.
        normaliser: "prefix" divides by the sum of a candidate's weights; "none" does not, as in
            the released code, which ranks candidates wrongly.
        value: "mean", or "soft" for beta log E_ref exp(reward / beta); with alpha = beta the text
            is then distributed as rho_r. The model that the weights refer to is the reference.
        select: the likeliest candidate under the tilted law, or a draw from it.

    Raises:
        InputError: a setting out of its range, or one that would have no effect.
    """

    k: int | None = 10
    alpha: float = 1.0
    rollouts: int = 1
    length: int | None = 5
    baseline: Model | None = None
    baseline_reward: Any = None
    beta: float = 2.0
    normaliser: Literal["prefix", "none"] = "prefix"
    value: Literal["mean", "soft"] = "mean"
    select: Selection = "greedy"
    _scorer: Scorer | None = field(default=None, init=False, repr=False, compare=False)
    _decoders: WeakKeyDictionary[Decoder, Decoder] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_selection("TransferQ", self.select, self.k)
        self._check_numbers()
        if self.normaliser not in ("prefix", "none"):
            raise InputError(
                f'TransferQ: normaliser must be "prefix" or "none", not {self.normaliser!r}'
            )
        if self.value not in ("mean", "soft"):
            raise InputError(f'TransferQ: value must be "mean" or "soft", not {self.value!r}')
        if self.normaliser == "none" and (self.baseline_reward is None or self.value == "soft"):
            raise InputError(
                'TransferQ: normaliser="none" concerns the mean of indirect transfer; '
                'give a baseline_reward and value="mean"'
            )
        # Greedy rollouts of one candidate are all alike.
        object.__setattr__(self, "needs_draws", self.rollouts > 1)
        if self.baseline_reward is not None:
            object.__setattr__(self, "_scorer", scorer_of(self.baseline_reward))

    def _check_numbers(self) -> None:
        if not (self.alpha >= 0 and not math.isnan(self.alpha)):
            raise InputError(f"TransferQ: alpha must not be negative, not {self.alpha}")
        if self.rollouts < 1:
            raise InputError(f"TransferQ: rollouts must be at least 1, not {self.rollouts}")
        if self.length is not None and self.length < 0:
            raise InputError(f"TransferQ: length must not be negative, not {self.length}")
        if not (self.beta > 0 and math.isfinite(self.beta)):
            raise InputError(f"TransferQ: beta must be positive, not {self.beta}")
        if self.length == 0 and self.rollouts > 1:
            raise InputError("TransferQ: rollouts without length are all alike; give rollouts=1")

    def check(self, model: Model, scorer: Scorer | None) -> None:
        super().check(model, scorer)
        if self.baseline is not None and self.baseline.vocabulary != model.vocabulary:
            raise VocabularyError(
                "TransferQ: the baseline's vocabulary "
                f"({self.baseline.vocabulary.size} tokens) is not the model's "
                f"({model.vocabulary.size}); tokens must mean the same to both"
            )

    def plan(self, problem: Problem) -> Plan[None]:
        estimate = Estimate(self.beta, self.normaliser == "prefix", self.value == "soft")
        values = RolloutValues(
            estimate, self.rollouts, self.length, self._scorer, self._decoder(problem)
        )
        values.begin(problem, self.controls(problem.row))
        yield from decode(problem, Tilt(self.k, self.alpha, self.select), values)

    def _decoder(self, problem: Problem) -> Decoder | None:
        """The baseline's decoder: one for all prompts of a call, so that they share batches."""
        if self.baseline is None:
            return None
        if problem.decoder not in self._decoders:
            self._decoders[problem.decoder] = Decoder(
                self.baseline.network, self.baseline.vocabulary, problem.decoder.sampler
            )
        return self._decoders[problem.decoder]
