"""Particles over the ways from masks to text: a masked-diffusion model steered by a reward.

Feynman-Kac steering (Singhal et al. 2025, arXiv:2501.06848): particles are canvases on their way.
Every few steps the reward looks at what each would become if it were filled now, weights change by
how that has changed, and uneven particles are resampled.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from guided.decoding.rng import Purpose, stream, uniform
from guided.denoising import CanvasRow, canvas_rows, decoding_of
from guided.diffusion.decoder import MaskedDiffusionDecoder, Track
from guided.diffusion_model import DiffusionModel
from guided.errors import InputError, ModelError, ValidationFailedError
from guided.kinds import of_kind
from guided.model import Prompt
from guided.options import Settings
from guided.result import Result
from guided.rewards.protocol import Continuation
from guided.rewards.scorer import Scorer
from guided.search.resampling import (
    Floats,
    Resampling,
    check_resampling,
    ess,
    log_mean,
    normalised,
    resample,
)
from guided.search.results import Candidate, SearchResult
from guided.search.session import scorer_of

#: Rounding alone does not make weights uneven.
_EVEN = 1 - 1e-9


@dataclass(frozen=True, kw_only=True)
class DenoisingSMC:
    """Draws from a masked-diffusion model's law times exp(strength r), r the reward of the text.

    Weights on the way are differences, so that together they make the reward of the final text:
    the weighted particles target that law however far off the guesses on the way were, and
    `log_z` is the logarithm of an unbiased estimate of its normalising constant.

    Args:
        n: particles.
        every: steps between two looks of the reward.
        strength: its factor in the exponent.
        kappa: resample where the effective sample size falls below `kappa` n.
        resampling: "systematic", "multinomial", "stratified" or "residual".

    Raises:
        InputError: a number out of its range, an unknown scheme.
    """

    n: int = 4
    every: int = 8
    strength: float = 10.0
    kappa: float = 0.5
    resampling: Resampling = "systematic"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n must be at least 1 particle, not {self.n}")
        if self.every < 1:
            raise InputError(f"every must be at least 1 step, not {self.every}")
        if not math.isfinite(self.strength):
            raise InputError(f"strength must be finite, not {self.strength}")
        if not 0 <= self.kappa <= 1:
            raise InputError(f"kappa must be a share of n in [0, 1], not {self.kappa}")
        check_resampling(self.resampling)

    def run(self, model: Any, prompt: Prompt, reward: Any, **options: Any) -> SearchResult:
        """The particle that the reward likes best, all particles with their weights, and log Z.

        Args:
            model: a `guided.DiffusionModel`.
            reward: a `Reward`, a function of prompt and text, or a `Scorer`.
            options: of `guided.generate`: `schema`, `grammar`, `decoding`, `seed`, ….

        Raises:
            InputError: decoding without a temperature, options that cannot work.
            ModelError: a causal model.
            RewardError: the reward raised, or gave what is no score.
        """
        if reward is None:
            raise InputError(f"{type(self).__name__} needs a reward; pass reward=")
        settings = Settings(**options)
        model = of_kind(model, settings.kind)
        if not isinstance(model, DiffusionModel):
            raise ModelError(
                f"{model!r} is a causal model; guided.search.SMC steers those by particles"
            )
        (row,) = canvas_rows(model, [prompt], settings.outputs(1, False), replace(settings, n=1))
        decoder = MaskedDiffusionDecoder(model.adapter, decoding_of(model, settings))
        if not decoder.rules.warp.temperature:
            raise InputError(
                f"{type(self).__name__} compares draws, and greedy ones are all alike; give a"
                " temperature above 0"
            )
        if decoder.rules.cache.keeps:
            raise InputError(
                f"{type(self).__name__} looks at the whole canvas, which a cache does not predict;"
                ' decode with cache="none"'
            )
        return _Run(self, decoder, row, prompt, scorer_of(reward), settings.seed).result()


@dataclass
class _Run:
    """The particles of one prompt."""

    method: DenoisingSMC
    decoder: MaskedDiffusionDecoder
    row: CanvasRow
    prompt: Prompt
    scorer: Scorer
    seed: int
    tracks: list[Track] = field(default_factory=list)
    banked: float = 0.0
    rounds: int = 0

    def result(self) -> SearchResult:
        """What the particles have come to."""
        began, n = time.perf_counter(), self.method.n
        self.tracks = self.decoder.open(
            [self.row.prompt] * n, self.row.length, constraint=self.row.constraint, seed=self.seed
        )
        log_weights, rewards = np.zeros(n), np.zeros(n)
        while True:
            self._advance()
            now = self._rewards()
            log_weights = log_weights + self.method.strength * (now - rewards)
            rewards = now
            if all(track.is_done for track in self.tracks):
                break
            chosen = self._resampled(log_weights)
            if chosen is not None:
                self.banked += log_mean(log_weights)
                log_weights, rewards = np.zeros(n), rewards[chosen]
        return self._read(log_weights, rewards, time.perf_counter() - began)

    def _advance(self) -> None:
        """Steps up to the next look of the reward."""
        self.rounds += 1
        for _ in range(self.method.every):
            if all(track.is_done for track in self.tracks):
                return
            self.decoder.step(self.tracks)

    def _rewards(self) -> Floats:
        """The rewards `[n]` of what every particle would become if it were filled now."""
        self.decoder.predict(self.tracks)
        texts = [self._text(track) for track in self.tracks]
        found = self.scorer.score([self.prompt] * len(texts), texts)
        return np.array([score.value for score in found])

    def _text(self, track: Track) -> Continuation:
        """The canvas's text; where a slot is masked, with its likeliest token."""
        tokens = track.state.tokens.copy()
        masked = track.state.masked()
        if len(masked) and track.prediction is not None and not track.is_done:
            logits = track.prediction.at(masked)
            logits[:, track.state.row.mask_id] = -math.inf
            tokens[masked] = logits.argmax(-1).cpu().numpy()
        stops = track.state.row.stop_ids
        text = tokens.tolist()
        end = next((at for at, token in enumerate(text) if token in stops), len(text))
        return Continuation(self.row.model.decode(text[:end]), is_complete=track.is_done)

    def _resampled(self, log_weights: Floats) -> list[int] | None:
        """The ancestor of every particle, after it has taken its place; None: weights are even."""
        n = self.method.n
        if ess(log_weights) >= self.method.kappa * n * _EVEN:
            return None

        def draw(i: int) -> float:
            return uniform(self.seed, self._stream, self.rounds * n + i, Purpose.RESAMPLE)

        chosen = resample(self.method.resampling, normalised(log_weights), n, draw)
        before, seen = self.tracks, set[int]()
        self.tracks = []
        for slot, ancestor in enumerate(chosen):
            # The first copy goes on with its own random numbers, the others get fresh ones.
            copy = before[ancestor]
            self.tracks.append(copy.fork(self.rounds * n + slot + 1) if ancestor in seen else copy)
            seen.add(ancestor)
        return chosen

    @property
    def _stream(self) -> int:
        return stream(self.seed, self.row.prompt, 0)

    def _read(self, log_weights: Floats, rewards: Floats, seconds: float) -> SearchResult:
        weights = normalised(log_weights)
        candidates = tuple(
            Candidate(self._result(track, seconds), float(reward), (float(reward),), float(weight))
            for track, reward, weight in zip(self.tracks, rewards, weights, strict=True)
        )
        best = max(candidates, key=lambda each: each.score or 0.0)
        return SearchResult(
            best=best.result,
            score=best.score,
            steps=best.steps,
            candidates=candidates,
            spent=self._spent(seconds),
            log_z=self.banked + log_mean(log_weights),
        )

    def _result(self, track: Track, seconds: float) -> Result[Any]:
        found = self.decoder.result(track)
        try:
            return self.row.result(found, seconds)
        except ValidationFailedError:
            # A value that its type refuses is no value.
            return self.row.unread(found, seconds)

    def _spent(self, seconds: float) -> dict[str, float]:
        work, usage = self.decoder.work, self.scorer.usage
        return {
            "tokens": float(sum(track.usage.committed for track in self.tracks)),
            "passes": float(work.passes),
            "positions": float(work.positions),
            "reward_passes": float(usage.passes),
            "reward_tokens": float(usage.tokens),
            "rounds": float(self.rounds),
            "seconds": seconds,
        }
