"""One step's proposals: a token and a score for every slot that may be committed now."""

from __future__ import annotations

import torch
from torch import Tensor

from guided.diffusion.law import Law, token_noise
from guided.diffusion.protocols import Candidate, Scorer
from guided.diffusion.state import Ints, State
from guided.errors import DeadEndError, LogitsError


class Proposals:
    """Tokens drawn for slots, best by score; a token can be banned, which draws the next one.

    Raises:
        LogitsError: NaN in the logits.
        DeadEndError: a slot has no finite logit.
    """

    def __init__(
        self,
        state: State,
        slots: Ints,
        law: Law,
        scorer: Scorer,
        refused: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        self.state, self.slots, self.law, self._scorer = state, slots, law, scorer
        self._at = {int(slot): index for index, slot in enumerate(slots)}
        self._noisy = self._with_noise(refused)
        best, tokens = self._noisy.max(-1)
        scores = scorer.score(state, slots, law, tokens).double().tolist()
        found = [
            Candidate(int(slot), token, score)
            for slot, token, score, is_open in zip(
                slots, tokens.tolist(), scores, self._open(best, refused), strict=True
            )
            if is_open
        ]
        #: Best first; the lowest slot first where scores are equal.
        self.candidates = sorted(found, key=lambda each: (-each.score, each.slot))

    def _with_noise(self, refused: frozenset[tuple[int, int]]) -> Tensor:
        drawn = self.law.drawn
        if self.law.warp.temperature:
            noise = token_noise(self.state, self.slots, drawn.shape[1], drawn.device)
            drawn = drawn.double() + noise
        known = [(self._at[slot], token) for slot, token in refused if slot in self._at]
        if known:
            drawn = drawn.clone()
            rows, tokens = zip(*known, strict=True)
            drawn[list(rows), list(tokens)] = -torch.inf
        return drawn

    def _open(self, best: Tensor, refused: frozenset[tuple[int, int]]) -> list[bool]:
        """Whether there is a token left for each slot."""
        if bool(torch.isnan(best).any()):
            raise LogitsError("the model's logits hold NaN")
        is_open = torch.isfinite(best).tolist()
        closed = {int(slot) for slot, some in zip(self.slots, is_open, strict=True) if not some}
        if banned := closed - {slot for slot, _ in refused}:
            raise DeadEndError(
                f"no token is left for slot {min(banned)}: bans leave none", position=min(banned)
            )
        return is_open

    def again(self, candidate: Candidate) -> Candidate | None:
        """The next proposal for a slot whose token was refused; None where none is left.

        It is drawn from the same law without the refused tokens: the noise is the same.
        """
        index = self._at[candidate.slot]
        if self._noisy is self.law.drawn:
            self._noisy = self._noisy.clone()
        self._noisy[index, candidate.token] = -torch.inf
        token = self._noisy[index].argmax()
        if not torch.isfinite(self._noisy[index, token]):
            return None
        slots = self.slots[index : index + 1]
        score = self._scorer.score(self.state, slots, self.law.one(index), token[None])
        return Candidate(candidate.slot, int(token), float(score[0]))

    def log_probabilities(self, candidate: Candidate) -> tuple[float, float]:
        """Of its token, under the model's own law and under the one it was drawn from."""
        index = self._at[candidate.slot]
        log_p = float(self.law.log_p[index, candidate.token])
        if not self.law.warp.temperature:
            return log_p, 0.0
        drawn = self.law.drawn[index].double()
        return log_p, float(drawn[candidate.token] - drawn.logsumexp(-1))
