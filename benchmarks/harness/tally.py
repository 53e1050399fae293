"""Counting what an engine did with the cases, and its times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Case

Times = NDArray[np.int64]


@dataclass
class Tally:
    """One engine's results. Times are in nanoseconds, by the name of the case."""

    engine: str
    schemas: int = 0
    passed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    timeouts: Counter[str] = field(default_factory=Counter)
    valid: int = 0
    invalid: int = 0
    wrong_rejections: int = 0
    wrong_acceptances: int = 0
    # The number of each valid instance that was rejected, by the name of its case.
    wrongly_rejecting: dict[str, set[int]] = field(default_factory=dict)
    wrongly_accepting: set[str] = field(default_factory=set)
    ttfm: dict[str, int] = field(default_factory=dict)
    tbm: dict[str, Times] = field(default_factory=dict)

    def add(self, case: Case, result: Mapping[str, Any]) -> None:
        """Counts one result."""
        self.schemas += 1
        status = result["status"]
        if status == "compiled":
            self._add_compiled(case, result)
            return
        by_kind = {"refused": self.refusals, "crashed": self.crashes, "timeout": self.timeouts}
        by_kind[status][result["kind"]] += 1

    def _add_compiled(self, case: Case, result: Mapping[str, Any]) -> None:
        self.ttfm[case.name] = result["ttfm"]
        self.tbm[case.name] = np.asarray(result["tbm"], dtype=np.int64)
        wrong = 0
        for index, test in enumerate(result["tests"]):
            self.valid += test["valid"]
            self.invalid += not test["valid"]
            if test["valid"] == test["accepted"]:
                continue
            wrong += 1
            if test["valid"]:
                self.wrong_rejections += 1
                self.wrongly_rejecting.setdefault(case.name, set()).add(index)
            else:
                self.wrong_acceptances += 1
                self.wrongly_accepting.add(case.name)
        self.passed += not wrong

    @property
    def compiled(self) -> int:
        return len(self.ttfm)

    @property
    def coverage(self) -> float:
        """Percent of the schemas that compile and whose instances are all judged rightly."""
        return 100 * self.passed / max(1, self.schemas)

    @property
    def wrong_acceptance_rate(self) -> float:
        """Percent of the invalid instances tried that are accepted."""
        return 100 * self.wrong_acceptances / max(1, self.invalid)

    @property
    def wrong_rejection_rate(self) -> float:
        """Percent of the valid instances tried that are rejected."""
        return 100 * self.wrong_rejections / max(1, self.valid)

    def but_for(self, other: Tally) -> Tally:
        """As if the valid instances that `other` accepts, and this rejects, were not there.

        `other` is the same engine with an option that allows more, so that what it accepts tells
        what was rejected for this option only.
        """
        left, excused = {}, 0
        for name, rejected in self.wrongly_rejecting.items():
            still = rejected & other.wrongly_rejecting.get(name, set())
            if name not in other.ttfm:
                still = rejected
            excused += len(rejected) - len(still)
            if still:
                left[name] = still
        cleared = self.wrongly_rejecting.keys() - left.keys() - self.wrongly_accepting
        return replace(
            self,
            passed=self.passed + len(cleared),
            valid=self.valid - excused,
            wrong_rejections=self.wrong_rejections - excused,
            wrongly_rejecting=left,
        )

    def ttfm_of(self, names: Sequence[str] | None = None) -> Times:
        """Times to first mask; of the named cases only, where names are given."""
        kept = self.ttfm if names is None else names
        return np.array([self.ttfm[name] for name in kept], dtype=np.int64)

    def tbm_of(self, names: Sequence[str] | None = None) -> Times:
        """Times between masks, pooled over all steps."""
        kept = self.tbm if names is None else names
        parts = [self.tbm[name] for name in kept]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def common(self, other: Tally) -> list[str]:
        """Names of the cases that both engines compiled."""
        return [name for name in self.ttfm if name in other.ttfm]


def micro(times: Times, how: str) -> float:
    """A statistic of times, in microseconds: `mean`, `max` or `p…`; NaN where there are none."""
    if not times.size:
        return float("nan")
    if how == "mean":
        return float(times.mean()) / 1e3
    if how == "max":
        return float(times.max()) / 1e3
    return float(np.percentile(times, float(how[1:]))) / 1e3


def ratios(ours: Tally, peers: Sequence[Tally], which: str, how: str) -> dict[str, float]:
    """Our time over each peer's, on the cases that both compiled. `which`: ttfm or tbm."""
    found = {}
    for peer in peers:
        names = ours.common(peer)
        pick = Tally.ttfm_of if which == "ttfm" else Tally.tbm_of
        base = micro(pick(peer, names), how)
        if base > 0:
            found[peer.engine] = micro(pick(ours, names), how) / base
    return found
