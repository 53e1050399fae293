"""Several independent runs of a sampler as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from guided.errors import InputError
from guided.search.resampling import log_mean, normalised
from guided.search.results import Candidate, SearchResult


@dataclass(frozen=True)
class Pool:
    """The complete texts of all runs with their weights in the whole, and the joint estimate.

    Attributes:
        log_z: of the normalising constant; exp(log_z) is unbiased where those of the runs are.
    """

    candidates: tuple[Candidate, ...]
    log_z: float


def pool(results: Sequence[SearchResult]) -> Pool:
    """Runs of one sampler on one prompt, with different seeds, as one sample.

    A run counts by its estimate of the normalising constant: the weight of candidate i of run k is
    Z_k W_ki / Σ Z. Weights alone would not do, since resampling resets them.

    Raises:
        InputError: no runs, or one without `log_z`.
    """
    if not results:
        raise InputError("pool needs at least one result")
    logs = [result.log_z for result in results if result.log_z is not None]
    if len(logs) < len(results):
        raise InputError("pool needs results of a sampler that ended by itself: one has no log_z")
    shares = normalised(logs).tolist()
    candidates = [
        replace(candidate, weight=share * (candidate.weight or 0.0))
        for result, share in zip(results, shares, strict=True)
        for candidate in result.candidates
    ]
    return Pool(tuple(candidates), log_mean(logs))
