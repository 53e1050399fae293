"""From states to sequences, and from the model's logits to predictions of canvases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from guided.diffusion.adapter import DiffusionAdapter, Output, View, Work
from guided.diffusion.rules import Rules
from guided.diffusion.state import Ints, Prediction, State


class Predicted(NamedTuple):
    """A prediction, and what it took: sequences in the pass, positions computed."""

    prediction: Prediction
    sequences: int
    positions: int


class Passes:
    """Runs states through the model, under classifier-free guidance and a cache policy."""

    def __init__(self, adapter: DiffusionAdapter, rules: Rules) -> None:
        self._adapter = adapter
        self._cache = rules.cache
        self._scale = rules.cfg_scale

    def predict(self, states: Sequence[State], work: Work) -> list[Predicted]:
        """One prediction for each state; what all together cost is added to `work`."""
        views = [view for state in states for view in self._views(state)]
        outputs = iter(self._adapter.forward(views, work))
        sizes = iter([view.span.end - view.span.begin for view in views])
        count = 2 if self._scale else 1
        found = []
        for state in states:
            some = [next(outputs) for _ in range(count)]
            positions = sum(next(sizes) for _ in range(count))
            first = self._first(state)
            found.append(Predicted(self._merged(state, some, first), count, positions))
        return found

    def _views(self, state: State) -> list[View]:
        """The sequence of a state; under classifier-free guidance also the one without prompt."""
        tokens = self._tokens(state)
        prompt = len(state.row.prompt)
        begin, end = max(0, self._begin(state)), self._end(state, tokens)
        span = self._cache.plan(state, begin, end, len(tokens))
        view = View(tokens, span, self._first(state), state.memory)
        if not self._scale:
            return [view]
        bare = tokens.copy()
        bare[:prompt] = state.row.mask_id
        beside = state.memory.beside if state.memory is not None else None
        return [view, View(bare, span, view.first, beside)]

    def _tokens(self, state: State) -> Ints:
        """Prompt and canvas; of block-causal models only as far as the active block sees."""
        tokens: Ints = np.concatenate([np.array(state.row.prompt, np.int64), state.tokens])
        block = self._adapter.block_length
        if block is None:
            return tokens
        end = len(tokens) if state.block is None else len(state.row.prompt) + state.block.end
        whole = -(-end // block) * block
        # Masks fill up the last block: so these models are trained.
        more = np.full(max(0, whole - len(tokens)), state.row.mask_id, np.int64)
        filled: Ints = np.concatenate([tokens[:whole], more])
        return filled

    def _begin(self, state: State) -> int:
        """The first position that is computed again where keys are kept.

        That from which the active block is predicted; of block-causal models the begin of the
        model's block, whose positions all see each other.
        """
        begin = len(state.row.prompt) + (0 if state.block is None else state.block.begin)
        block = self._adapter.block_length
        return (begin if block is None else begin // block * block) - self._adapter.shift

    def _end(self, state: State, tokens: Ints) -> int:
        if state.block is None or state.block.end == state.row.length:
            return len(tokens)
        return len(state.row.prompt) + state.block.end

    def _first(self, state: State) -> int:
        """The first position whose prediction is wanted."""
        if state.memory is None or state.block is None:
            return len(state.row.prompt)
        return len(state.row.prompt) + state.block.begin

    def _merged(self, state: State, outputs: Sequence[Output], first: int) -> Prediction:
        given = outputs[0]
        logits, memory = given.logits, given.memory
        if self._scale:
            logits = guided_by_prompt(logits, outputs[1].logits, self._scale)
            if memory is not None:
                memory = replace(memory, beside=outputs[1].memory)
        begin = first - len(state.row.prompt)
        return Prediction(logits[: state.row.length - begin], begin, memory)


def guided_by_prompt(given: Tensor, without: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: without + (scale + 1)(given - without)."""
    if given.dtype.itemsize < 4:
        given, without = given.float(), without.float()
    return without + (scale + 1) * (given - without)
