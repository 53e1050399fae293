"""The controls of one sequence in their order, and their application to many sequences at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from guided.controls.grammar_mask import GrammarMask
from guided.controls.law import Temperature
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.errors import ControlError

States = tuple[Any, ...]


class Plain(NamedTuple):
    """A temperature, and the index of the control whose states hold a packed mask (None: none)."""

    temperature: float
    mask: int | None


def _check(controls: Sequence[Control]) -> None:
    for control in controls:
        if not isinstance(control, Control):
            raise ControlError(
                f"{control!r} is no control; wrap a Hugging Face logits processor in FromProcessor"
            )
    if len(controls) < 2:
        return
    kinds = Counter(type(control) for control in controls if control.unique)
    for kind, count in kinds.items():
        if count > 1:
            raise ControlError(
                f"{count} controls of kind {kind.__name__} on one sequence; keep one"
            )
    names = Counter(name for control in controls for name in control.models)
    for name, count in names.items():
        if count > 1:
            raise ControlError(f"two controls bring a model under the name {name!r}")
    last = [type(control).__name__ for control in controls if control.stage == Stage.CORRECTION]
    if len(last) > 1:
        raise ControlError(f"{' and '.join(last)} both want to come last; keep one")


class Pipeline:
    """Controls sorted by stage; equal stages keep the order in which they were given.

    Raises:
        ControlError: something that is no control, or controls that contradict each other.
    """

    def __init__(self, controls: Iterable[Control]) -> None:
        given = list(controls)
        _check(given)
        self.controls = tuple(sorted(given, key=lambda control: control.stage))
        self.group: Hashable = tuple(control.group for control in self.controls)
        self._steps = tuple([control.step for control in self.controls])
        # What is asked at every token is asked only of those that have something to say.
        self._finishing = self._overriding("finish")
        self._forcing = self._overriding("forced")

    def _overriding(self, name: str) -> list[tuple[int, Any]]:
        """A method of the controls that have one of their own, with the controls' places."""
        return [
            (at, getattr(control, name))
            for at, control in enumerate(self.controls)
            if getattr(type(control), name) is not getattr(Control, name)
        ]

    @cached_property
    def models(self) -> Mapping[str, Any]:
        """The auxiliary models of all controls, by the names of their logits."""
        return {name: model for control in self.controls for name, model in control.models.items()}

    @cached_property
    def plain(self) -> Plain | None:
        """What the controls amount to where they are only a temperature and a grammar's mask."""
        temperature, mask = 1.0, None
        for index, control in enumerate(self.controls):
            if type(control) is Temperature:
                temperature = control.value
            elif type(control) is GrammarMask:
                mask = index
            else:
                return None
        return Plain(temperature, mask)

    def allows(self, states: States, token: int) -> bool:
        """Whether no control forbids `token`, as far as they can tell without the law."""
        return all(
            control.allows(state, token)
            for control, state in zip(self.controls, states, strict=True)
        )

    def follow(self, states: States, token: int) -> States | None:
        """The states after a guessed token, None where it is not allowed or ends the sequence."""
        try:
            return tuple(
                [
                    control.follow(state, token)
                    for control, state in zip(self.controls, states, strict=True)
                ]
            )
        except StopIteration:
            return None

    def begin(self, context: Context) -> States:
        """The states of all controls after the prompt."""
        return tuple(control.begin(context) for control in self.controls)

    @cached_property
    def reads_prompt(self) -> bool:
        """Whether some control wants to know how likely the prompt was."""
        return any(control.reads_prompt for control in self.controls)

    def read(self, states: States, log_p: Mapping[str, Sequence[float]]) -> States:
        """The states once the models have read the prompt; see `Control.read`."""
        return tuple(
            control.read(state, log_p) if control.reads_prompt else state
            for control, state in zip(self.controls, states, strict=True)
        )

    def step(self, states: States, token: int) -> States:
        """The states after one more token."""
        steps = self._steps
        if len(steps) == 1:
            return (steps[0](states[0], token),)
        return tuple([step(state, token) for step, state in zip(steps, states, strict=True)])

    def stop(self, states: States, token: int) -> States:
        """The states after a stop token."""
        return tuple(
            control.stop(state, token) for control, state in zip(self.controls, states, strict=True)
        )

    def certificate(self, states: States) -> Any | None:
        """The first control's certificate of a sequence that ended with `states`, if any."""
        for control, state in zip(self.controls, states, strict=True):
            if (found := control.certificate(state)) is not None:
                return found
        return None

    def apply(
        self, logits: Tensor, states: Sequence[States], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, list[States]]:
        """The controlled logits of n nodes that share this pipeline's group."""
        columns: list[Sequence[Any]] = []
        others = dict(aux)
        for control, column in zip(self.controls, zip(*states, strict=True), strict=True):
            logits, after = control.apply(logits, column, others)
            columns.append(after)
            for name in control.models:
                others.pop(name, None)
            # Auxiliary models get the same warps up to the control that has brought them.
            for name, other in others.items():
                others[name] = control.apply(other.clone(), column)[0]
        return logits, list(zip(*columns, strict=True)) if columns else list(states)

    def finish(self, states: States) -> str | None:
        """The first control's reason to end before any further token."""
        for at, finish in self._finishing:
            reason: str | None = finish(states[at])
            if reason is not None:
                return reason
        return None

    def stop_reason(self, states: States) -> str:
        """What to call an end by a stop token drawn at `states`."""
        for control, state in zip(self.controls, states, strict=True):
            if (reason := control.stop_reason(state)) is not None:
                return reason
        return "stop"

    def forced(self, states: States) -> int | None:
        """The one token that some control allows, if there is such a control."""
        for at, forced in self._forcing:
            token: int | None = forced(states[at])
            if token is not None:
                return token
        return None


def apply_all(
    pipelines: Sequence[Pipeline],
    logits: Tensor,
    states: Sequence[States],
    aux: Auxiliary = NO_AUXILIARY,
) -> tuple[Tensor, list[States]]:
    """The controlled logits of n nodes, each with its own pipeline; one call per group."""
    groups: dict[Hashable, list[int]] = {}
    for index, pipeline in enumerate(pipelines):
        groups.setdefault(pipeline.group, []).append(index)
    if len(groups) == 1:
        return pipelines[0].apply(logits, states, aux)
    result, after = logits.clone(), list(states)
    for rows in groups.values():
        chosen, new = pipelines[rows[0]].apply(
            logits[rows], [states[row] for row in rows], {k: v[rows] for k, v in aux.items()}
        )
        # A law in double precision stays what it is; the others lose nothing by it.
        result = result.to(torch.promote_types(result.dtype, chosen.dtype))
        result[rows] = chosen.to(result.dtype)
        for row, state in zip(rows, new, strict=True):
            after[row] = state
    return result, after
