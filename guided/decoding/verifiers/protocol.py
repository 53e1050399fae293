"""What a verifier is: it decides which drafted tokens stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from guided.decoding.sampling import Stream


class Verdict(NamedTuple):
    """How many drafted tokens stand, and the token that follows them."""

    accepted: int
    token: int


class ChainVerifier(Protocol):
    """Verifies a chain that was drawn at random from known laws; lossless.

    The tokens that stand, with the one that follows, have the law of drawing one token after the
    other from the model's controlled law, whatever the drafter's law is.
    """

    def verify(
        self, log_p: Tensor, log_q: Tensor, tokens: Sequence[int], streams: Sequence[Stream]
    ) -> Verdict:
        """Verifies g drafted tokens.

        Args:
            log_p: controlled log-probabilities `[g + 1, V]`; row i is the law after i drafted
                tokens. -inf where a token is illegal.
            log_q: log-probabilities `[g, V]` from which the tokens were drawn.
            streams: g + 1 names of random numbers, one for each position; use the purposes
                `Purpose.ACCEPT` and `Purpose.RESIDUAL`.
        """
        ...
