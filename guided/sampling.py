"""How tokens are to be chosen: the user's arguments over the model's own generation config."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from guided.controls import MinP, RepetitionPenalty, Temperature, TopK, TopP
from guided.controls.protocol import Control
from guided.decoding.sampling import Greedy, Plain, Sampler
from guided.errors import InputError

DEFAULT_MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class SamplingOptions:
    """What the user asked for; None follows the model's generation config.

    Greedy decoding is chosen by `temperature=0`, or by a config without `do_sample` where no
    temperature is given.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def choose(self, config: Any, controls: Iterable[Control]) -> tuple[Sampler, list[Control]]:
        """The sampler, and the controls that the options stand for besides the given ones.

        Raises:
            InputError: an option that could have no effect.
        """
        given = {type(control) for control in controls}
        penalty = _value(
            self.repetition_penalty, config, "repetition_penalty", given, RepetitionPenalty
        )
        chosen: list[Control] = [RepetitionPenalty(penalty)] if penalty is not None else []
        if self._is_greedy(config, given):
            self._check_greedy()
            return Greedy(), chosen
        temperature = _value(self.temperature, config, "temperature", given, Temperature)
        if temperature is not None and temperature != 1:
            chosen.append(Temperature(temperature))
        if (top_k := _value(self.top_k, config, "top_k", given, TopK)) is not None and top_k != 0:
            chosen.append(TopK(int(top_k)))
        if (top_p := _value(self.top_p, config, "top_p", given, TopP)) is not None and top_p != 1:
            chosen.append(TopP(top_p))
        if (min_p := _value(self.min_p, config, "min_p", given, MinP)) is not None and min_p != 0:
            chosen.append(MinP(min_p))
        return Plain(), chosen

    def _is_greedy(self, config: Any, given: set[type]) -> bool:
        if self.temperature is not None:
            if self.temperature < 0 or not math.isfinite(self.temperature):
                raise InputError(f"temperature must not be negative, not {self.temperature}")
            return self.temperature == 0
        if Temperature in given:
            return False
        return not getattr(config, "do_sample", None) or getattr(config, "temperature", 1) == 0

    def _check_greedy(self) -> None:
        for name in ("top_p", "top_k", "min_p"):
            if getattr(self, name) is not None:
                raise InputError(
                    f"{name} has no effect on greedy decoding; give a temperature above 0 too"
                )


def _value(
    explicit: float | None, config: Any, name: str, given: set[type], kind: type
) -> float | None:
    """The explicit value; else the config's, unless a control of that kind is given."""
    if explicit is not None or kind in given:
        return explicit
    value: float | None = getattr(config, name, None)
    return value


def without_truncation(config: Any) -> Any:
    """The parts of a generation config that shape the law without cutting anything off."""
    names = ("do_sample", "temperature", "repetition_penalty")
    return SimpleNamespace(**{name: getattr(config, name, None) for name in names})


def token_limit(
    explicit: int | None, config: Any, context: int | None, prompt: Sequence[int]
) -> int:
    """The most new tokens: what was asked for, else the config's, else 256; within the context.

    Raises:
        InputError: not positive, or a prompt that fills the model's context.
    """
    if explicit is not None and explicit < 1:
        raise InputError(f"max_new_tokens must be at least 1, not {explicit}")
    limit = explicit or getattr(config, "max_new_tokens", None) or DEFAULT_MAX_NEW_TOKENS
    if context is None:
        return int(limit)
    if len(prompt) >= context:
        raise InputError(
            f"the prompt has {len(prompt)} tokens; the model's context holds {context}"
        )
    return min(int(limit), context - len(prompt))
