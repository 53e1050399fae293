"""One call of a search: its prompts are checked, opened, driven, and read when they are done."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from guided.controls.protocol import Control
from guided.decoding import Branch, Decoder, Sampler, Usage
from guided.drafting import speculation
from guided.errors import InputError, ValidationFailedError
from guided.model import Model, Prompt, is_many
from guided.options import Options, Settings
from guided.result import Result
from guided.rewards.scorer import Scorer
from guided.rows import Row, make_rows
from guided.sampling import without_truncation
from guided.search.budget import Budget, Ledger
from guided.search.driver import Driver, Task
from guided.search.effects import Plan, Round
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.results import Candidate, SearchResult
from guided.search.segmenter import Delimiter, Segmenter
from guided.trace import VERSION, Trace


class Method(Protocol):
    """What a session must know of a search."""

    default_temperature: ClassVar[Any]
    default_segmenter: ClassVar[Any]
    needs_draws: ClassVar[Any]
    aligns: ClassVar[Any]
    finishes: ClassVar[Any]

    def plan(self, problem: Problem) -> Plan[None]: ...
    def check(self, model: Model, scorer: Scorer | None) -> None: ...
    def adapt(self, prompt: Prompt) -> Prompt: ...
    def controls(self, row: Row) -> Sequence[Control]: ...


@dataclass(eq=False)
class Session:
    """Everything that the prompts of one call share.

    Attributes:
        attempt: tells repetitions apart, which draw by other random numbers.
    """

    method: Method
    prompts: list[Prompt]
    rows: list[Row]
    decoder: Decoder
    settings: Settings
    segmenter: Segmenter
    scorer: Scorer | None
    budget: Budget
    trace: Trace | None
    at_once: int
    attempt: int = 0

    @classmethod
    def of(
        cls,
        method: Method,
        model: Model,
        prompt: Any,
        reward: Any,
        budget: Budget | None,
        trace: Trace | None,
        options: dict[str, Any],
    ) -> Session:
        """Checks the arguments of a call.

        Raises:
            InputError: an argument cannot work.
        """
        at_once, segmenter = options.pop("at_once", 8), options.pop("segmenter", None)
        if at_once < 1:
            raise InputError(f"at_once must be at least 1, not {at_once}")
        scorer = None if reward is None else scorer_of(reward)
        method.check(model, scorer)
        settings = _settings(method, options)
        model = settings.over(model)
        prompts: list[Prompt] = list(prompt) if is_many(prompt) else [prompt]
        outputs = settings.outputs(len(prompts), is_many(prompt))
        config = model.generation_config
        if method.aligns:
            config = without_truncation(config)
        sampler, controls = settings.sampling.choose(config, settings.controls)
        check_sampler(method, sampler, "give a temperature above 0")
        read = [method.adapt(each) for each in prompts]
        rows = make_rows(model, read, outputs, settings, [*settings.controls, *controls])
        decoder = Decoder(
            model.network,
            model.vocabulary,
            sampler,
            speculation=speculation(model, settings.draft),
            kv_limit=settings.kv_limit,
        )
        steps = segmenter_of(method, segmenter, scorer)
        return cls(
            method, prompts, rows, decoder, settings, steps, scorer, budget or Budget(), trace,
            at_once,
        )  # fmt: skip

    def events(self) -> Iterator[Round | tuple[int, SearchResult]]:
        """Rounds as they happen, and the number of a prompt with its result when it has ended."""
        if self.trace is not None:
            told = _told(self.method)
            self.trace.write(
                "run",
                version=VERSION,
                method=type(self.method).__name__,
                settings=told,
                vocabulary=self.decoder.vocabulary.size,
            )
        driver = Driver(self.decoder, len(self.rows), self._start, self.at_once)
        for event in driver.run():
            yield event if isinstance(event, Round) else (event.problem.number, self._result(event))
        for number in driver.waiting:
            yield number, _nothing(number)
        if self.trace is not None:
            self.trace.flush()

    def _start(self, numbers: Sequence[int]) -> list[tuple[Problem, Plan[None]]]:
        """Reads prompts together and starts the method on each."""
        rows, seed = [self.rows[number] for number in numbers], self.settings.seed
        branches = self.decoder.open(
            [row.tokens for row in rows],
            [self.method.controls(row) for row in rows],
            seed,
            max_new_tokens=[row.limit for row in rows],
            rows=[row.stream(seed, self.attempt) for row in rows],
        )
        problems = [
            self._problem(number, row, branch)
            for number, row, branch in zip(numbers, rows, branches, strict=True)
        ]
        return [(problem, self.method.plan(problem)) for problem in problems]

    def _problem(self, number: int, row: Row, branch: Branch) -> Problem:
        ledger = Ledger(
            self.budget,
            passes=branch.passes,
            positions=branch.positions,
            kept_back=self.budget.kept_back if self.method.finishes else 0,
        )
        problem = Problem(
            number, self.prompts[number], row, self.decoder, Node(branch, None, 0), self.segmenter,
            self.scorer, ledger, self.settings.seed, self.trace,
        )  # fmt: skip
        problem.begin()
        return problem

    def _result(self, task: Task) -> SearchResult:
        """What has been found, when the method has ended."""
        problem = task.problem
        problem.ledger.seconds = time.perf_counter() - problem.ledger.began
        best = problem.best or problem.root
        candidates = {node: self._candidate(problem, node) for node in problem.candidates}
        chosen = candidates[best] if best in candidates else self._candidate(problem, best)
        result = SearchResult(
            best=chosen.result,
            score=chosen.score,
            steps=chosen.steps,
            candidates=tuple(candidates.values()),
            spent=problem.ledger.spent(),
            stopped=task.stopped or problem.gave_up,
            error=task.error,
            log_z=problem.log_z,
            certificate=problem.certificate or chosen.result.certificate,
            number=problem.number,
        )
        problem.end(result, best)
        return result

    def _candidate(self, problem: Problem, node: Node) -> Candidate:
        if node.branch.finish_reason is None:
            node.branch.finish("cut")
        weight = node.facts.get("log_weight")
        return Candidate(
            self._read(problem, node),
            None if node.score is None else node.score.value,
            () if node.score is None else node.score.steps,
            None if weight is None else math.exp(weight),
        )

    def _read(self, problem: Problem, node: Node) -> Result[Any]:
        seconds = problem.ledger.seconds
        try:
            return problem.row.result(node.branch, seconds)
        except ValidationFailedError:
            if node is problem.best:
                raise
            # Among other candidates a value that its type refuses is no value.
            return problem.row.unread(node.branch, seconds)


def _nothing(number: int) -> SearchResult:
    """The result of a prompt that an interrupt left no time for."""
    empty: Result[Any] = Result("", None, (), (), (), "interrupt", Usage())
    return SearchResult(empty, None, (), (), Ledger().spent(), "interrupt", number=number)


def _settings(method: Method, given: dict[str, Any]) -> Settings:
    if unknown := set(given) - set(Options.__annotations__) - {"schema"}:
        raise TypeError(f"run() got an unexpected keyword argument {min(unknown)!r}")
    if given.get("temperature") is None:
        given["temperature"] = method.default_temperature
    return Settings(**given)


def scorer_of(reward: Any) -> Scorer:
    """A scorer as it is, or one that asks `reward`."""
    return reward if isinstance(reward, Scorer) else Scorer(reward)


def check_sampler(method: Method, sampler: Sampler, advice: str) -> None:
    """Refuses greedy choices where a search compares draws.

    Raises:
        InputError: ends with the advice.
    """
    if method.needs_draws and not sampler.is_random:
        raise InputError(
            f"{type(method).__name__} compares draws, and greedy ones are all alike; {advice}"
        )


def segmenter_of(method: Method, given: Segmenter | None, scorer: Scorer | None) -> Segmenter:
    """Where a step ends: as given, as the method has it, at the reward's delimiter, at a gap."""
    if given is not None or method.default_segmenter is not None:
        return given or method.default_segmenter
    return Delimiter((scorer.delimiter if scorer else None) or "\n\n")


def _told(method: Any) -> dict[str, Any]:
    fields = dataclasses.fields(method) if dataclasses.is_dataclass(method) else ()
    # What a method keeps for itself is no setting.
    return {field.name: getattr(method, field.name) for field in fields if field.init}
