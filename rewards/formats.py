"""The calling conventions of published process reward models, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from guided.errors import InputError
from guided.rewards.layouts import AssistantTurn, Dialogue, Layout, Pieces, TaggedText
from guided.rewards.readouts import Label, NextToken, Readout, Value

Loader = Literal["token_classification", "causal_lm", "qwen_steps", "value_head"]


@dataclass(frozen=True)
class ProcessFormat:
    """How one kind of process reward model is loaded, called and read.

    Attributes:
        name: of the preset.
        loader: which class loads it.
        layout: how question and steps become tokens.
        readout: how outputs become scores.
        delimiter: what ends a step in the text that is scored.
        known_as: a regular expression found in the names of such models, any case.
        architecture: a class name in the model's configuration that says it is one of these.
    """

    name: str
    loader: Loader
    layout: Layout
    readout: Readout
    delimiter: str = "\n\n"
    known_as: str = ""
    architecture: str = ""

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest score of a step."""
        return self.readout.range


_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."

#: The presets by their names.
PRESETS = {
    each.name: each
    for each in (
        ProcessFormat(
            "qwen",
            "qwen_steps",
            AssistantTurn("<extra_0>", system=_BOXED),
            Label(),
            known_as=r"qwen2\.5-math(-\w+)?-prm",
            architecture="Qwen2ForProcessRewardModel",
        ),
        ProcessFormat(
            "math-shepherd",
            "causal_lm",
            TaggedText(" ки"),
            NextToken(),
            delimiter="\n",
            known_as="math-shepherd",
        ),
        ProcessFormat("rlhflow", "causal_lm", Dialogue(), NextToken(), known_as="rlhflow.*prm"),
        ProcessFormat(
            "skywork",
            "value_head",
            Pieces(after_question="\n"),
            Value(),
            delimiter="\n",
            known_as="skywork-o1-open-prm",
        ),
        ProcessFormat(
            "pure",
            "token_classification",
            Pieces(starts_with_bos=False),
            Label(against=0),
            known_as="pure-prm",
        ),
        ProcessFormat("trl", "token_classification", Pieces(), Label(), delimiter="\n"),
        ProcessFormat(
            "tiny-prm",
            "token_classification",
            Pieces(stops=True),
            Label(),
            delimiter="\n",
            known_as="tiny-prm",
        ),
    )
}


def format_of(preset: str | ProcessFormat | None, name: str, config: Any) -> ProcessFormat:
    """The format that a caller has named, or that a model's configuration or name tells.

    Args:
        name: the model's folder or id; "" if unknown.
        config: the model's configuration. Its attribute `process_format`, if there is one, is
            the name of a preset.

    Raises:
        InputError: no such preset, or nothing tells; the message lists them.
    """
    if isinstance(preset, ProcessFormat):
        return preset
    known = f"give preset=, one of {', '.join(PRESETS)}, or a ProcessFormat of your own"
    named = preset if preset is not None else getattr(config, "process_format", None)
    if named is not None:
        if named not in PRESETS:
            raise InputError(f"there is no preset {named!r}; {known}")
        return PRESETS[named]
    architectures = getattr(config, "architectures", None) or []
    for each in PRESETS.values():
        if each.known_as and re.search(each.known_as, name, re.IGNORECASE):
            return each
        if each.architecture and each.architecture in architectures:
            return each
    raise InputError(
        f"nothing tells how {name or type(config).__name__!r} wants to be called, and the wrong "
        f"way gives scores without meaning; {known}"
    )
