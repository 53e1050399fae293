"""The value of a candidate token by the rewards of rollouts that begin with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from guided.controls.protocol import Control, Stage
from guided.decoding import Branch, Decoder
from guided.rewards.scorer import Scorer
from guided.search.effects import Plan, weigh
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.tilting import Values
from guided.search.tokenwise import look_ahead, read


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of the rewards of rollouts from a baseline rho_BL.

    With w = exp((r - r_BL) / beta), the value is

    * E[w r] / E[w], the mean reward of rho_r (r_BL absent: w = 1, E[r]);
    * not `normalised`: E[w r], as in the released code of Transfer Q*;
    * `soft`: beta log(E[w] / E[exp(-r_BL / beta)]), which is beta log E_ref exp(r / beta) where
      rho_BL = rho_ref exp(r_BL / beta) / Z (r_BL absent: the rollouts are the reference's own).
    """

    beta: float
    normalised: bool = True
    soft: bool = False

    def __call__(
        self,
        rewards: Sequence[float],
        baseline_rewards: Sequence[float] | None = None,
        chances: Sequence[float] | None = None,
    ) -> float:
        """The value.

        Args:
            baseline_rewards: r_BL of each rollout; None: the baseline is aligned with r itself.
            chances: probabilities of the rollouts, where they are not draws but all there are.
        """
        r = torch.tensor(rewards, dtype=torch.float64)
        base = torch.zeros_like(r)
        if baseline_rewards is not None:
            base = torch.tensor(baseline_rewards, dtype=torch.float64)
        if chances is None:
            log_chances = torch.full_like(r, 1 / len(rewards)).log()
        else:
            log_chances = torch.tensor(chances, dtype=torch.float64).log()
        if self.soft:
            return self.beta * float(
                torch.logsumexp(log_chances + (r - base) / self.beta, 0)
                - torch.logsumexp(log_chances - base / self.beta, 0)
            )
        if baseline_rewards is None:
            return float((log_chances.exp() * r).sum())
        return self._mean(r, log_chances + (r - base) / self.beta)

    def _mean(self, r: Tensor, log_weights: Tensor) -> float:
        weights = log_weights.softmax(-1) if self.normalised else log_weights.exp()
        return float((weights * r).sum())


@dataclass(slots=True, eq=False)
class RolloutValues(Values):
    """Values of candidates by rollouts from them, for one problem.

    Attributes:
        copies: rollouts for every candidate.
        length: tokens of a rollout; None: to the end.
        scorer: of the baseline's own reward; None: that is the reward of the search.
        decoder: the baseline's; None: the search's own model grows the rollouts.
        branch: the text so far as the baseline has read it.
    """

    estimate: Estimate
    copies: int
    length: int | None
    scorer: Scorer | None = None
    decoder: Decoder | None = None
    branch: Branch | None = field(default=None, init=False)

    def begin(self, problem: Problem, controls: Sequence[Control]) -> None:
        """Has the baseline read the prompt."""
        if self.decoder is None:
            return
        # A token that the model proposes need not be among the baseline's own likely ones.
        kept = [control for control in controls if control.stage != Stage.TRUNCATION]
        row = problem.row
        (self.branch,) = self.decoder.open(
            [row.tokens], [kept], problem.seed, max_new_tokens=[row.limit], rows=[problem.stream]
        )
        problem.ledger.passes += self.branch.passes
        problem.ledger.positions += self.branch.positions

    def of(self, problem: Problem, children: Sequence[Node]) -> Plan[list[float]]:
        starts = self._starts(problem, children)
        rollouts = yield from look_ahead(
            problem, starts, self.length, self.copies, decoder=self.decoder
        )
        drawn = [rollout for some in rollouts for rollout in some]
        rewards = yield from weigh(drawn)
        base = (yield from weigh(drawn, self.scorer)) if self.scorer is not None else None
        self._close(problem, drawn if self.decoder is None else [*drawn, *starts])
        values = []
        for at in range(0, len(drawn), self.copies):
            own = slice(at, at + self.copies)
            values.append(
                self.estimate(
                    [score.value for score in rewards[own]],
                    None if base is None else [score.value for score in base[own]],
                )
            )
        return values

    def follow(self, problem: Problem, child: Node) -> Plan[None]:
        if self.decoder is not None and self.branch is not None and not child.is_over:
            self.decoder.append([self.branch], child.segment)
            yield from read([self.branch], self.decoder)

    def _starts(self, problem: Problem, children: Sequence[Node]) -> list[Branch]:
        """Branches of the model that grows the rollouts, one at the end of each candidate."""
        if self.decoder is None or self.branch is None:
            return [child.branch for child in children]
        starts = problem.fork_branches(self.branch, len(children), self.decoder)
        self.decoder.append(starts, [child.tokens[-1] for child in children])
        return starts

    def _close(self, problem: Problem, branches: Sequence[Branch]) -> None:
        (self.decoder or problem.decoder).close(branches)
