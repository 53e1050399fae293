"""The parts of one way to decode, and the step that they make: from a prediction to commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from guided.diffusion.checked import Commits, chosen
from guided.diffusion.constraint import Checked, Checker, Policy, Tally
from guided.diffusion.law import Law, Warp
from guided.diffusion.proposals import Proposals
from guided.diffusion.protocols import (
    BlockScheduler,
    CachePolicy,
    Candidate,
    FillRest,
    Guidance,
    LogitsTransform,
    Predict,
    Rule,
    Scorer,
    Selector,
    Stop,
    Stopper,
    Verifier,
)
from guided.diffusion.selectors import first
from guided.diffusion.state import Block, Ints, Prediction, Row, State
from guided.diffusion.transforms import CanvasBan


@dataclass(frozen=True)
class Rules:
    """What a decoding is put together from.

    Attributes:
        cfg_scale: weight of the prompt's guidance over the law without a prompt; 0: none.
        ends_early: whether a row ends once a stop token and everything before it is committed; the
            text is the same, passes are saved.
    """

    blocks: BlockScheduler
    selector: Selector
    scorer: Scorer
    cache: CachePolicy
    warp: Warp = field(default_factory=Warp)
    transforms: tuple[LogitsTransform, ...] = ()
    guidance: Guidance | None = None
    verifier: Verifier | None = None
    stoppers: tuple[Stopper, ...] = ()
    cfg_scale: float = 0.0
    ends_early: bool = True


@dataclass(frozen=True)
class Step:
    """One step of one row: a pure function of state and prediction, but for what it counts."""

    rules: Rules
    policy: Policy
    tally: Tally
    predict: Predict

    def __call__(self, state: State, prediction: Prediction) -> State:
        """The state after what this prediction commits; it may be a state that has ended.

        Raises:
            LogitsError: NaN in the logits.
            DeadEndError: bans leave a slot no token.
        """
        state = replace(state, memory=prediction.memory)
        state = self.in_block(state, prediction)
        act = self._stopped(state, prediction)
        if isinstance(act, Stop):
            return replace(state, finish=act.finish)
        if act is not None:
            return self._fill(state, prediction, state.masked(), act.finish)
        block = state.block
        slots = state.masked() if block is None else state.masked(block.begin, block.end)
        return self._settled(self._commit(state, self._proposals(state, prediction, slots)))

    def in_block(self, state: State, prediction: Prediction | None = None) -> State:
        """The state with an active block, where the schedule can tell it already."""
        if state.block is not None:
            return state
        found = self.rules.blocks.next(state, prediction)
        if found is None:
            return state
        masked = len(state.masked(*found))
        return replace(state, block=Block(*found, started=state.step, masked=masked))

    def _proposals(self, state: State, prediction: Prediction, slots: Ints) -> Proposals:
        logits = prediction.at(slots)
        rules = self.rules
        if rules.guidance is not None:
            logits = rules.guidance.apply(state, slots, logits, self.predict)
        logits = self._transformed(state, slots, logits)
        refused = state.checked.refused if state.checked is not None else frozenset()
        return Proposals(state, slots, Law(logits, rules.warp), rules.scorer, refused)

    def _stopped(self, state: State, prediction: Prediction) -> FillRest | Stop | None:
        slots = state.masked()
        if not self.rules.stoppers or not prediction.covers(slots):
            return None
        logits = self._transformed(state, slots, prediction.at(slots))
        acts = (stopper.check(state, slots, logits) for stopper in self.rules.stoppers)
        return next((act for act in acts if act is not None), None)

    def _transformed(self, state: State, slots: Ints, logits: Tensor) -> Tensor:
        for transform in (*self.rules.transforms, CanvasBan()):
            logits = transform.apply(state, slots, logits)
        return logits

    def _checker(self, state: State) -> Checker | None:
        if state.checked is None:
            return None
        return Checker(state.checked, self.policy, self.tally, state.row.stop_ids)

    def _commit(self, state: State, proposals: Proposals, rule: Rule | None = None) -> State:
        selector = self.rules.selector
        checker = self._checker(state)
        may_wait = rule is None and selector.may_wait
        if not proposals.candidates:
            return self._written(state, proposals, Commits(failed=True), checker)
        if rule is None:
            rule = selector.rule(state, proposals.candidates)
        commits = chosen(proposals, rule, checker, may_wait=may_wait)
        return self._written(state, proposals, commits, checker)

    def _fill(self, state: State, prediction: Prediction, slots: Ints, finish: str) -> State:
        """Everything committed at once, in the order of scores; checked one by one.

        Where the constraint refuses too much, decoding goes on.
        """
        proposals = self._proposals(state, prediction, slots)
        after = self._commit(state, proposals, first(len(slots)))
        if after.finish or len(after.masked()):
            return self._settled(after)
        return replace(after, finish=finish, block=None, memory=None)

    def _written(
        self, state: State, proposals: Proposals, commits: Commits, checker: Checker | None
    ) -> State:
        if checker is not None:
            state = replace(state, checked=checker.now)
        state = replace(written(state, proposals, commits.taken), step=state.step + 1)
        if checker is not None and checker.end is not None:
            # A constraint leaves nothing to decide behind the end of the text.
            stop = int(state.tokens[checker.end])
            state = state.with_tokens(dict.fromkeys(state.masked(checker.end).tolist(), stop))
        if not commits.failed:
            return state
        unknown = checker is not None and checker.was_unknown
        return self._failed(state, finish="unknown" if unknown else "dead_end")

    def _failed(self, state: State, finish: str) -> State:
        """The canvas filled by the constraint's own completion; as it is where there is none."""
        if not self.policy.rescue or state.checked is None:
            return replace(state, finish=finish)
        return rescued(state, state.checked, finish)

    def _settled(self, state: State) -> State:
        """The state with its block closed, or ended, where that is so."""
        if state.finish:
            return state
        if self.rules.ends_early and (end := text_end(state)) is not None:
            return after_end(state, end)
        block = state.block
        if not len(state.masked()):
            ended = first_stop(state.row, state.tokens.tolist()) is not None
            return replace(state, finish="stop" if ended else "length", block=None, memory=None)
        if block is not None and not len(state.masked(block.begin, block.end)):
            return replace(state, block=None, memory=None)
        return state


def written(state: State, proposals: Proposals, taken: Sequence[Candidate]) -> State:
    """The state with candidates committed at its step."""
    if not taken:
        return state
    slots = np.array([each.slot for each in taken])
    worth = np.array([proposals.log_probabilities(each) for each in taken])
    tokens, steps = state.tokens.copy(), state.steps.copy()
    log_p, log_q = state.log_p.copy(), state.log_q.copy()
    tokens[slots] = [each.token for each in taken]
    steps[slots] = state.step
    log_p[slots], log_q[slots] = worth[:, 0], worth[:, 1]
    return replace(state, tokens=tokens, steps=steps, log_p=log_p, log_q=log_q)


def text_end(state: State) -> int | None:
    """The slot of the first stop token, if everything before it is committed."""
    masked = state.masked()
    whole = int(masked[0]) if len(masked) else state.row.length
    return first_stop(state.row, state.tokens[:whole].tolist())


def first_stop(row: Row, tokens: Sequence[int]) -> int | None:
    """The first slot whose token ends the text; a stop token that fills up a hole does not."""
    ends = (
        slot
        for slot, token in enumerate(tokens)
        if token in row.stop_ids and not (token == row.filler and slot in row.fillable)
    )
    return next(ends, None)


def after_end(state: State, end: int) -> State:
    """The state ended; what is masked after its stop token becomes the stop token too."""
    tokens = state.tokens.copy()
    tokens[state.masked()] = tokens[end]
    return replace(state, tokens=tokens, finish="stop", block=None, memory=None)


def rescued(state: State, checked: Checked, finish: str) -> State:
    """The canvas filled by the constraint's own completion; as it is where there is none.

    What comes after the completion's text is filled with a stop token.
    """
    found = checked.filling.completion()
    if found is None:
        return replace(state, finish=finish)
    done = replace(state, finish="rescued", block=None, memory=None)
    masked = state.masked().tolist()
    size = len(found.tokens)
    if not found.fits or (masked and masked[-1] >= size and not state.row.stop_ids):
        return replace(done, text=tuple(found.tokens))
    stop = min(state.row.stop_ids, default=-1)
    return done.with_tokens({at: found.tokens[at] if at < size else stop for at in masked})
