"""Potentials: what a reward of a prefix multiplies the model's law by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from guided.errors import InputError

#: "exp": exp(strength r); "power": r ** strength; "odds": (r / (1 - r)) ** strength.
Form = Literal["exp", "power", "odds"]

#: Rewards of 0 or 1 are moved by this much where a potential would be 0 or infinite.
_EDGE = 1e-6


@dataclass(frozen=True)
class Potential:
    """ψ, a positive function of the rewards of a text's blocks.

    Args:
        strength: the exponent.
        telescoping: ψ_t is the value after block t over that before it, so that the product over
            a text is the value of its last reward; rewards on the way only guide. Otherwise every
            block multiplies the target by the value of its own reward.

    Raises:
        InputError: an unknown form, a strength that is no finite number.
    """

    form: Form = "exp"
    strength: float = 1.0
    telescoping: bool = True

    def __post_init__(self) -> None:
        if self.form not in ("exp", "power", "odds"):
            raise InputError(f'form={self.form!r} is unknown; give "exp", "power" or "odds"')
        if not math.isfinite(self.strength):
            raise InputError(f"strength must be a finite number, not {self.strength}")

    def log_value(self, reward: float) -> float:
        """The logarithm of the value of a reward.

        Raises:
            InputError: a reward that the form has no value for.
        """
        if self.form == "exp":
            return self.strength * reward
        most = math.inf if self.form == "power" else 1.0
        if not 0 <= reward <= most:
            raise InputError(
                f"form={self.form!r} needs rewards from 0 to {most:g}, and the reward gave "
                f'{reward:g}; form="exp" takes any'
            )
        if self.form == "power":
            return self.strength * math.log(max(reward, _EDGE))
        reward = min(max(reward, _EDGE), 1 - _EDGE)
        return self.strength * math.log(reward / (1 - reward))
