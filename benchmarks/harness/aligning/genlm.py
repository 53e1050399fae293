"""AWRS within SMC as genlm-control does it, on the same network."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import guided

KAPPA = 0.5


@dataclass(frozen=True)
class Population:
    """What a run of particles gives.

    Attributes:
        steps: tokens drawn, of particles that died too.
        log_z: the estimate of log Z.
        weights: log-weights of the particles that have ended by the stop token, with their tokens.
    """

    steps: int
    log_z: float
    weights: tuple[tuple[tuple[int, ...], float], ...] = ()


def reason_missing() -> str | None:
    """Why genlm-control cannot be run; None where it can."""
    try:
        import genlm.backend.llm
        import genlm.control  # noqa: F401
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


class GenLM:
    """A network with genlm-control's samplers around it.

    Args:
        prompt: tokens that the network reads first.
        output: `regex` or `schema`.
    """

    def __init__(self, model: guided.Model, prompt: Sequence[int], output: dict[str, Any]) -> None:
        from genlm.backend.llm import AsyncTransformer
        from genlm.control import BoolFSA, JsonSchema, PromptedLLM

        (self.stop,) = model.vocabulary.stop_ids
        self.backend = AsyncTransformer(model.hf_model, model.tokenizer, timeout=0)
        self.language_model = PromptedLLM(self.backend, prompt_ids=list(prompt))
        found = (
            BoolFSA.from_regex(output["regex"])
            if "regex" in output
            else JsonSchema(output["schema"])
        )
        self.condition = found.coerce(self.language_model, f=b"".join)

    def run(self, particles: int, longest: int, seed: int, kappa: float = KAPPA) -> Population:
        """AWRS with its defaults, resampled below `kappa` times the particles."""
        from genlm.control import AWRS, EOS, SMC

        self.backend.clear_cache()
        sampler, steps = AWRS(self.language_model, self.condition, seed=seed), 0
        draw = sampler.sample

        async def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            return await draw(*arguments, **named)

        sampler.sample = counted
        with np.errstate(divide="ignore"):
            found = asyncio.run(SMC(sampler)(particles, kappa, longest))
        log_z = float(found.log_ml)
        ended = [
            ((*(token.token_id for token in context[:-1]), self.stop), float(weight))
            for context, weight in found
            if context and context[-1] is EOS
        ]
        return Population(steps, log_z if math.isfinite(log_z) else -math.inf, tuple(ended))
