"""Runs a method on several prompts at once: fulfils its wishes in full batches."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from guided.decoding import Branch, Decoder, Greedy, Segment
from guided.errors import RewardError
from guided.search.budget import BudgetReached
from guided.search.effects import Effect, Grow, Plan, Round, Until, Weigh
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.twins import extend

Start = Callable[[Sequence[int]], Sequence[tuple[Problem, Plan[None]]]]


@dataclass(eq=False)
class Task:
    """A problem under way: its method and what that asks for."""

    problem: Problem
    plan: Plan[None]
    wish: Effect | None = None
    stopped: str | None = None
    error: Exception | None = None

    def answer(self, value: Any) -> None:
        """Gives the method what it asked for; its next wish becomes `wish`, None at its end."""
        self._go_on(lambda: self.plan.send(value))
        if self.stopped is not None:
            self._wind_up()

    def stop(self, why: str) -> None:
        """Tells the method that the budget is used up.

        It may still tidy up, finish a text (`Grow.final`) and have that scored.
        """
        self.stopped = why
        self._go_on(lambda: self.plan.throw(BudgetReached(why)))
        self._wind_up()

    def _wind_up(self) -> None:
        """Ends the method unless it asks for something that it may have after its budget."""
        while isinstance(self.wish, Round):
            self._go_on(lambda: self.plan.send(None))
        wish, why = self.wish, self.stopped
        finishes = isinstance(wish, Grow) and wish.final and why not in ("interrupt", "memory")
        scores = isinstance(wish, Weigh) and why in ("tokens", "rounds", "seconds")
        if not (finishes or scores):
            self.end()

    def end(self) -> None:
        """Ends the method."""
        self.plan.close()
        self.wish = None

    def _go_on(self, step: Callable[[], Effect]) -> None:
        try:
            self.wish = step()
        except (StopIteration, BudgetReached):
            self.wish = None
        except RewardError as error:
            # A method refuses what the reward has given.
            self.fail(error)
            self.wish = None

    def fail(self, error: RewardError) -> None:
        """Says that the reward has failed, and keeps the error."""
        warnings.warn(
            f"the search on prompt {self.problem.number} stops: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        self.stopped, self.error = "reward", error


class Driver:
    """Takes up problems as there is room, and steps their methods together.

    Args:
        decoder: of the search's model.
        count: of the prompts.
        start: reads the prompts with some numbers and starts the method on each.
        at_once: most prompts under way.

    Attributes:
        waiting: numbers of the prompts that have not been read.
    """

    def __init__(self, decoder: Decoder, count: int, start: Start, at_once: int) -> None:
        self.decoder = decoder
        self.waiting = deque(range(count))
        self.start = start
        self.at_once = at_once
        self.active: list[Task] = []
        self.interrupted = False

    def run(self) -> Iterator[Round | Task]:
        """Rounds as they happen; a task when it has ended."""
        while (self.waiting or self.active) and not self.interrupted:
            self._admit()
            yield from self._rounds()
            self._weigh()
            yield from self._rounds()
            self._grow()
            yield from self._ended()
        for task in self.active:
            task.stopped = task.stopped or "interrupt"
            task.end()
            yield task

    def _admit(self) -> None:
        """Takes up problems where there is room, several so that they are read together."""
        free = min(self.at_once - len(self.active), len(self.waiting))
        if self.active and free < min(len(self.waiting), max(1, self.at_once // 4)):
            return
        numbers = [self.waiting.popleft() for _ in range(free)]
        try:
            started = self.start(numbers)
        except KeyboardInterrupt:
            self.interrupted = True
            self.waiting.extendleft(reversed(numbers))
            return
        for problem, plan in started:
            task = Task(problem, plan)
            self.active.append(task)
            task.answer(None)

    def _ended(self) -> Iterator[Task]:
        for task in [task for task in self.active if task.wish is None]:
            self.active.remove(task)
            yield task

    def _rounds(self) -> Iterator[Round]:
        for task in self.active:
            while isinstance(task.wish, Round):
                yield task.wish
                reached = task.problem.ledger.reached()
                if reached is not None:
                    task.stop(reached)
                else:
                    task.answer(None)

    # --- scores

    def _weigh(self) -> None:
        asking = [(task, task.wish) for task in self.active if isinstance(task.wish, Weigh)]
        groups: dict[int, list[tuple[Task, Weigh]]] = {}
        for task, wish in asking:
            groups.setdefault(id(wish.scorer), []).append((task, wish))
        for group in groups.values():
            self._weigh_group(group)

    def _weigh_group(self, asking: Sequence[tuple[Task, Weigh]]) -> None:
        """Scores what several tasks ask of one scorer."""
        try:
            self._weigh_together(asking)
        except RewardError:
            # One by one, so that only those stop whose texts the reward fails on.
            for task, wish in asking:
                try:
                    self._weigh_together([(task, wish)])
                except RewardError as error:
                    task.fail(error)
                    task.stop("reward")
        except KeyboardInterrupt:
            self.interrupted = True

    def _weigh_together(self, asking: Sequence[tuple[Task, Weigh]]) -> None:
        """Scores what several tasks ask for in one call, then steps them."""
        if not asking:
            return
        first, wished = asking[0]
        scorer = wished.scorer or first.problem.need_reward()
        prompts, shown = [], []
        for task, wish in asking:
            prompts += [task.problem.prompt] * len(wish.texts)
            shown += [task.problem.continuation(text) for text in wish.texts]
        costed = iter(scorer.costed(prompts, shown))
        for task, wish in asking:
            ledger, scores = task.problem.ledger, []
            for text, (score, cost) in zip(wish.texts, costed, strict=False):
                ledger.reward_passes += cost.passes
                ledger.reward_tokens += cost.tokens
                scores.append(score)
                if isinstance(text, Node) and wish.scorer is None:
                    text.score = score
                    task.problem.record_score(text)
            reached = ledger.reached() if task.stopped is None else None
            if reached in ("reward_passes", "seconds"):
                task.stop(reached)
            else:
                task.answer(scores)

    # --- growth

    def _grow(self) -> None:
        asking = [(task, task.wish) for task in self.active if isinstance(task.wish, Grow)]
        groups: dict[tuple[int, bool], list[tuple[Task, Grow]]] = {}
        for task, wish in asking:
            key = id(wish.decoder or self.decoder), wish.greedy
            groups.setdefault(key, []).append((task, wish))
        for group in groups.values():
            if not self.interrupted:
                self._grow_together(group)

    def _grow_together(self, group: Sequence[tuple[Task, Grow]]) -> None:
        """Grows the branches of several tasks in one batch, then steps the tasks."""
        branches = [branch for _, wish in group for branch in wish.branches]
        before = [(len(b.tokens), b.passes, b.positions) for b in branches]
        decoder = group[0][1].decoder or self.decoder
        sampler = decoder.sampler
        try:
            if group[0][1].greedy:
                decoder.sampler = Greedy()
            laws = {
                b: wish.laws for _, wish in group if wish.laws is not None for b in wish.branches
            }
            ahead = {
                b: task.problem.ahead
                for task, wish in group
                if wish.laws is None and wish.decoder is None and decoder.speculation is not None
                for b in wish.branches
            }
            segments = iter(extend(decoder, branches, _until(group), laws, ahead))
        finally:
            decoder.sampler = sampler
        counts = iter(before)
        for task, wish in group:
            own = [next(segments) for _ in wish.branches]
            task.problem.count(wish.branches, [next(counts) for _ in wish.branches])
            self._step(task, wish, own)

    def _step(self, task: Task, wish: Grow, segments: Sequence[Segment]) -> None:
        reasons = {branch.finish_reason for branch in wish.branches}
        stopped = next((why for why in ("interrupt", "memory") if why in reasons), None)
        if stopped is not None:
            self.interrupted = self.interrupted or stopped == "interrupt"
            task.stop(stopped)
            return
        reached = task.problem.ledger.reached()
        if reached in ("tokens", "seconds") and not wish.final:
            task.stop(reached)
        else:
            task.answer(segments)


def _until(group: Sequence[tuple[Task, Grow]]) -> Until | None:
    """What ends a branch: its own condition, or that the budget of its problem is used up."""
    if all(task.problem.ledger.budget.is_open_ended for task, _ in group):
        return _own_until(group)
    owner = {id(branch): (task, wish) for task, wish in group for branch in wish.branches}
    drawn = {id(task): 0 for task, _ in group}
    starts = {id(branch): len(branch.tokens) for _, wish in group for branch in wish.branches}

    def ended(branch: Branch) -> bool:
        task, wish = owner[id(branch)]
        # A token that was appended before is judged, too, but it has been counted.
        drawn[id(task)] += len(branch.tokens) > starts[id(branch)]
        ledger, own = task.problem.ledger, drawn[id(task)]
        if ledger.is_dry(own) if wish.final else ledger.reached(own) in ("tokens", "seconds"):
            return True
        return wish.until is not None and wish.until(branch)

    return ended


def _own_until(group: Sequence[tuple[Task, Grow]]) -> Until | None:
    """What ends a branch where no budget does."""
    (_, first), *others = group
    if all(wish.until is first.until for _, wish in others):
        return first.until
    untils = {id(branch): wish.until for _, wish in group for branch in wish.branches}

    def ended(branch: Branch) -> bool:
        until = untils[id(branch)]
        return until is not None and until(branch)

    return ended
