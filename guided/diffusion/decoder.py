"""The decode loop of masked-diffusion models: one pass for all rows, each at its own pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from guided.decoding.rng import stream
from guided.diffusion.adapter import DiffusionAdapter, Work
from guided.diffusion.constraint import Checked, Policy, Tally
from guided.diffusion.decodings import Decoding, LLaDA
from guided.diffusion.passes import Passes
from guided.diffusion.protocols import Callback, Constraint, Guidance, LogitsTransform, Verifier
from guided.diffusion.requests import Request, check_cache, check_requests
from guided.diffusion.result import Checks, DiffusionResult, DiffusionUsage
from guided.diffusion.rules import Rules, Step, first_stop
from guided.diffusion.state import Prediction, Row, State, first_state
from guided.diffusion.template import Template
from guided.errors import InputError

T = TypeVar("T")


@dataclass(eq=False)
class Track:
    """One row on its way.

    Attributes:
        state: where it is.
        prediction: what the model says about the state; None: a pass is due.
        usage: what it has cost.
        tally: what its constraint was asked.
    """

    state: State
    prediction: Prediction | None
    usage: DiffusionUsage
    tally: Tally

    @property
    def is_done(self) -> bool:
        """Whether the row has ended."""
        return bool(self.state.finish)

    def fork(self, copy: int) -> Track:
        """The same place, going on by random numbers of its own; what it has cost is copied."""
        row = replace(self.state.row, stream=stream(self.state.row.stream, (), copy))
        return Track(
            replace(self.state, row=row), self.prediction, replace(self.usage), replace(self.tally)
        )


class MaskedDiffusionDecoder:
    """Fills canvases by a decoding, under constraints, templates and guidance.

    Rows are independent: each has its own schedule, constraint and random numbers, so that a row
    alone and in a batch gives the same tokens (up to what a model's logits depend on the batch).

    Args:
        adapter: the model.
        decoding: how to decode; `guided.diffusion.LLaDA()`, `FastDLLM(threshold=0.9)`, ….
        policy: what to do where a constraint refuses.
        guidance: pulls the law towards a classifier or a reward.
        transforms: further changes of the law, such as `TokenBan`.
        callbacks: see every step of every row.

    Raises:
        InputError: settings that contradict each other.
        ModelError: keys and values cannot be kept for this model, and are to be.
    """

    def __init__(
        self,
        adapter: DiffusionAdapter,
        decoding: Decoding | None = None,
        *,
        policy: Policy | None = None,
        guidance: Guidance | None = None,
        transforms: Sequence[LogitsTransform] = (),
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.adapter = adapter
        rules = (decoding or LLaDA()).rules(adapter.block_length)
        self.rules: Rules = replace(
            rules, transforms=(*rules.transforms, *transforms), guidance=guidance
        )
        check_cache(adapter, self.rules)
        self.policy = policy or Policy()
        self.callbacks = tuple(callbacks)
        #: What all rows together have cost: a pass that several rows share counts once.
        self.work = Work()
        self._passes = Passes(adapter, self.rules)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        length: int | Sequence[int] | None = None,
        *,
        template: Template | Sequence[Template] | None = None,
        constraint: Constraint | Sequence[Constraint | None] | None = None,
        seed: int = 0,
    ) -> list[DiffusionResult]:
        """One result for each prompt.

        Args:
            prompts: token ids of every prompt, at least one each; without the mask.
            length: slots of the canvas, for all prompts or each; or else a template.
            template: fixed text with holes, for all prompts or each.
            constraint: what is allowed, for all prompts or each.
            seed: of the random numbers. Equal prompts get draws of their own.

        Raises:
            InputError, BudgetError: before any pass, see `open`.
            LogitsError: NaN in the logits.
            DeadEndError: bans leave a slot no token.
        """
        tracks = self.open(prompts, length, template=template, constraint=constraint, seed=seed)
        while not all(track.is_done for track in tracks):
            self.step(tracks)
        return [self.result(track) for track in tracks]

    def open(
        self,
        prompts: Sequence[Sequence[int]],
        length: int | Sequence[int] | None = None,
        *,
        template: Template | Sequence[Template] | None = None,
        constraint: Constraint | Sequence[Constraint | None] | None = None,
        seed: int = 0,
    ) -> list[Track]:
        """The rows before their first pass.

        Raises:
            InputError: an empty prompt, one with the mask in it, no length, one that the decoding
                cannot divide into its steps, too many positions for the model.
            BudgetError: nothing valid fits into the canvas, or the template contradicts the
                constraint.
        """
        requests = check_requests(self.adapter, self.rules, prompts, length, template)
        constraints = _each(constraint, len(requests), "constraint")
        known: dict[tuple[int, ...], int] = {}
        tracks = []
        for request, one in zip(requests, constraints, strict=True):
            copy = known.get(request.prompt, 0)
            known[request.prompt] = copy + 1
            row = self._row(request, seed, copy)
            tracks.append(Track(_opened(row, one), None, DiffusionUsage(), Tally()))
        return tracks

    def _row(self, request: Request, seed: int, copy: int) -> Row:
        template = request.template
        return Row(
            prompt=request.prompt,
            length=template.length,
            fixed=template.fixed,
            holes=template.holes,
            filler=template.filler,
            fillable=template.fillable,
            mask_id=self.adapter.mask_id,
            stop_ids=self.adapter.stop_ids,
            seed=seed,
            stream=stream(seed, request.prompt, copy),
        )

    def predict(self, tracks: Sequence[Track]) -> None:
        """The passes that are due, all in one: every row that has not ended has its prediction."""
        live = [track for track in tracks if not track.is_done]
        due = [track for track in live if track.prediction is None]
        found = self._predict([(track, [track.state]) for track in due])
        for track, (prediction,) in zip(due, found, strict=True):
            track.prediction = prediction

    def step(self, tracks: Sequence[Track]) -> None:
        """One step of every row that has not ended; with a verifier, as many as come true."""
        live = [track for track in tracks if not track.is_done]
        self.predict(live)
        before = [track.state for track in live]
        if self.rules.verifier is None:
            for track in live:
                self._advance(track)
        else:
            self._verify(live, self.rules.verifier)
        for track, state in zip(live, before, strict=True):
            track.usage.committed += int((track.state.steps >= 0).sum() - (state.steps >= 0).sum())
            for callback in self.callbacks:
                callback(state, track.state)

    def _advance(self, track: Track) -> None:
        state, prediction = track.state, track.prediction
        if prediction is None:
            return
        track.state = self.stepper(track)(state, prediction)
        if not np.array_equal(track.state.tokens, state.tokens):
            track.prediction = None

    def _verify(self, live: Sequence[Track], verifier: Verifier) -> None:
        steppers = [self.stepper(track) for track in live]
        chains = [
            verifier.drafts(track.state, track.prediction, stepper) if track.prediction else []
            for track, stepper in zip(live, steppers, strict=True)
        ]
        asked = [
            (track, [state for state in chain if not state.finish and not self._refreshes(state)])
            for track, chain in zip(live, chains, strict=True)
        ]
        answers = self._predict(asked)
        for track, chain, stepper, found in zip(live, chains, steppers, answers, strict=True):
            came = chain[0].step
            track.state, track.prediction = verifier.judge(chain, found, stepper)
            track.usage.drafted += len(chain) - 1
            track.usage.accepted += track.state.step - came

    def _refreshes(self, state: State) -> bool:
        """Whether the state's next pass begins a block of a cache: it is not made for a guess."""
        return self.rules.cache.keeps and state.block is None

    def stepper(self, track: Track) -> Step:
        """What makes steps of a row."""
        return Step(self.rules, self.policy, track.tally, partial(self._guided, track))

    def _guided(self, track: Track, states: Sequence[State]) -> list[Prediction]:
        """Predictions that guidance asks for."""
        (found,) = self._predict([(track, list(states))])
        track.usage.guidance_passes += 1
        return found

    def _predict(self, asked: Sequence[tuple[Track, list[State]]]) -> list[list[Prediction]]:
        """Predictions of states of rows, all in one pass."""
        prepared = [
            (track, [self.stepper(track).in_block(state) for state in states])
            for track, states in asked
        ]
        states = [state for _, some in prepared for state in some]
        if not states:
            return [[] for _ in asked]
        found = iter(self._passes.predict(states, self.work))
        answers = []
        for track, some in prepared:
            predicted = [next(found) for _ in some]
            track.usage.passes += bool(some)
            track.usage.sequences += sum(each.sequences for each in predicted)
            track.usage.positions += sum(each.positions for each in predicted)
            answers.append([each.prediction for each in predicted])
        return answers

    def result(self, track: Track) -> DiffusionResult:
        """What a row has come to, whether it has ended or not."""
        state, row = track.state, track.state.row
        canvas, steps = state.tokens.tolist(), state.steps.tolist()
        end = first_stop(row, canvas)
        length = row.length if end is None else end
        checks = track.tally
        by_hand = state.finish == "rescued"
        rescued = sum(by_hand and at < 0 and slot not in row.fixed for slot, at in enumerate(steps))
        return DiffusionResult(
            tokens=state.text or tuple(_without_fillers(row, canvas, 0, length)),
            canvas=tuple(canvas),
            holes=tuple(tuple(_hole(row, canvas, *hole)) for hole in row.holes),
            finish_reason=state.finish or "cut",
            steps=tuple(steps),
            log_p=tuple(state.log_p.tolist()),
            log_q=tuple(state.log_q.tolist()),
            usage=replace(track.usage),
            checks=Checks(checks.checks, checks.rejections, checks.unknown, rescued),
        )


def _opened(row: Row, constraint: Constraint | None) -> State:
    """A row's first state; it has ended where the template leaves nothing open.

    Raises:
        BudgetError: nothing valid fits.
        InputError: holes of variable length under a constraint.
    """
    checked: Checked | None = None
    if constraint is not None:
        if row.filler is not None:
            raise InputError(
                "a template with a filler cannot have a constraint: the filler is no text; give"
                " holes of one length"
            )
        slots = [row.fixed.get(slot) for slot in range(row.length)]
        checked = Checked(constraint.begin(slots))
    return first_state(row, checked)


def _each(value: T | Sequence[T | None] | None, count: int, what: str) -> list[T | None]:
    """One value for each row."""
    if isinstance(value, Sequence):
        if len(value) != count:
            raise InputError(f"{len(value)} values of {what}= for {count} prompts")
        return list(value)
    return [value] * count


def _without_fillers(row: Row, canvas: Sequence[int], begin: int, end: int) -> list[int]:
    """The tokens of slots, without what stands in a hole of variable length from its filler on."""
    dropped: set[int] = set()
    for first, last in row.holes:
        slots = (s for s in range(first, last) if s in row.fillable and canvas[s] == row.filler)
        dropped.update(range(next(slots, last), last))
    return [canvas[slot] for slot in range(begin, end) if slot not in dropped]


def _hole(row: Row, canvas: Sequence[int], begin: int, end: int) -> list[int]:
    """What a hole holds, up to a stop token."""
    tokens = _without_fillers(row, canvas, begin, end)
    stop = next((at for at, token in enumerate(tokens) if token in row.stop_ids), len(tokens))
    return tokens[:stop]
