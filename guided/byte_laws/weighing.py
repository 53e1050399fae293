"""How likely a model finds what covers some bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Head
from guided.byte_laws.spelling import END, N_SYMBOLS, Range, Spelling
from guided.decoding.branch import Branch

Normalize = Literal["tokens", "bytes"]


class Weighing:
    """The law of the next token after a head, restricted to what canonical sequences go on with.

    Attributes:
        branch: the head's tokens.
        log_weight: log-probability of the head's tokens.
        log_p: `[n]`, of the tokens of the canon's spelling.
        log_end: of the stop tokens; -inf where the text cannot end.
    """

    __slots__ = ("branch", "log_end", "log_p", "log_weight")

    def __init__(
        self,
        canon: Canon,
        head: Head,
        logits: Tensor,
        log_weight: float,
        stop_ids: list[int],
        normalize: Normalize,
        branch: Branch | None = None,
    ) -> None:
        law = logits.double().log_softmax(-1).cpu().numpy()
        allowed = canon.after(head.state, head.token) >= 0
        self.log_p: NDArray[np.float64] = np.where(allowed, law[canon.spelling.ids], -np.inf)
        may_end = bool(stop_ids) and canon.is_complete(head.state)
        self.log_end = log_sum(law[stop_ids]) if may_end else -np.inf
        if normalize == "tokens":
            total = float(np.logaddexp(log_sum(self.log_p), self.log_end))
            if total > -np.inf:
                self.log_p -= total
                self.log_end -= total
        self.log_weight = log_weight
        self.branch = branch

    def add_to(self, law: NDArray[np.float64], canon: Canon, some: Range) -> None:
        """Adds, in place, the log mass of every next symbol of a range to `law [257]`."""
        found = canon.spelling.next_bytes(some, self.log_p)
        if some.depth == 0:
            found[END] = self.log_end
        np.logaddexp(law, found + self.log_weight, out=law)

    def goes_on(self, spelling: Spelling, some: Range) -> bool:
        """Whether a token of a range that some bytes have begun, or any at all, can follow."""
        if some.depth == 0:
            return True
        return bool((self.log_p[spelling.longer(some) : some.high] > -np.inf).any())

    def log_p_of(self, canon: Canon, token: int) -> float:
        """The log-probability of a next token."""
        return float(self.log_p[canon.index[token]])


def log_sum(values: NDArray[np.float64]) -> float:
    """log of the sum of exponentials; -inf for none."""
    most = values.max(initial=-np.inf)
    if most == -np.inf:
        return -np.inf
    return float(np.log(np.exp(values - most).sum()) + most)


def mixed(canon: Canon, heads: Iterable[tuple[Range, Weighing]]) -> NDArray[np.float64]:
    """The log mass `[257]` of what the heads go on with in these ranges; not normalised."""
    law = np.full(N_SYMBOLS, -np.inf)
    for some, one in heads:
        one.add_to(law, canon, some)
    return law
