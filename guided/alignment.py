"""`align=`: draws from the model's own law, conditioned on the output type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from guided.certificates import ASApCertificate, ParticleCertificate
from guided.controls.protocol import Control, Stage
from guided.decoding import Decoder, Plain, Usage
from guided.decoding.rng import Purpose, fold, uniform
from guided.drafting import speculation
from guided.errors import ControlError, DecodingError, InputError, ValidationFailedError
from guided.model import Model, Prompt
from guided.options import Align, Settings
from guided.outputs import Output
from guided.result import Result
from guided.rows import Row, make_rows
from guided.sampling import without_truncation
from guided.search import ARS, AWRS, CARS, MCMC, ASAp, Rejection, Search
from guided.search.aligned.drawing import ROUND
from guided.search.budget import Budget
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.resampling import resample
from guided.search.results import Candidate, SearchResult
from guided.search.segmenter import Tokens
from guided.search.session import Session

#: Particles at least, of methods that take their draws from weighted ones.
_PARTICLES = 16
#: The methods by name: how to make one for so many draws, of so many sequences at a time.
_METHODS: Mapping[str, Callable[[int, int], Search]] = {
    "asap": lambda n, width: ASAp(n),
    "cars": lambda n, width: CARS(n),
    "ars": lambda n, width: ARS(n),
    "rejection": lambda n, width: Rejection(n),
    "mcmc": lambda n, width: MCMC(n, batch=width),
    "awrs": lambda n, width: AWRS(max(_PARTICLES, 2 * n)),
    "smc": lambda n, width: AWRS(max(_PARTICLES, 2 * n), proposal="mask"),
}
#: Why draws may be missing, by the finish reason of those that stand for them.
_WHY = {
    "attempts": "too many draws were rejected; raise the limit, or use another method",
    "no_mass": "the model gives no chance to anything that is allowed",
    "memory": "memory ran out",
    "cut": "they have not come to a text that is allowed",
}
_MISSING = frozenset({*_WHY, "interrupt"})


def is_aligned(align: Align | None) -> bool:
    """Whether `align` asks for anything.

    Raises:
        InputError: it is none of the names, and no sampler.
    """
    if align is None or (isinstance(align, str) and align == "none"):
        return False
    if isinstance(align, str):
        if align not in _METHODS:
            raise InputError(
                f"align={align!r} is unknown; give one of none, {', '.join(_METHODS)}, or a "
                "sampler of guided.search"
            )
    elif not isinstance(align, Search) or not align.aligns:
        raise InputError(
            f"align={align!r} is no sampler of the model's law on a grammar; give a name, or ASAp, "
            "CARS, ARS, Rejection, MCMC or AWRS of guided.search"
        )
    return True


def sampler_of(align: Align, n: int, width: int = 32) -> Search:
    """The sampler that `align` asks for, for `n` draws of every prompt.

    Args:
        width: sequences that may grow at the same time.

    Raises:
        InputError: it is none of the names, no sampler, or one for another number of draws.
    """
    is_aligned(align)
    if isinstance(align, str):
        return _METHODS[align](n, width)
    method: Any = align
    if method.aligns == "particles":
        return method  # type: ignore[no-any-return]
    if method.n not in (1, n):
        raise InputError(
            f"align={type(method).__name__}(n={method.n}) contradicts n={n} of the call; give n "
            "to the call only"
        )
    return _with_n(method, n)


def _with_n(method: Any, n: int) -> Search:
    return replace(method, n=n)  # type: ignore[no-any-return]


def check_controls(controls: Sequence[Control]) -> None:
    """Refuses controls that would come after the alignment.

    Raises:
        ControlError: names the control.
    """
    for control in controls:
        if control.stage == Stage.CORRECTION:
            raise ControlError(
                f"{type(control).__name__} wants to come last, but what comes after the mask is no "
                "part of the law that align= draws from; use one of the two"
            )


def aligned_results(
    model: Model, prompts: Sequence[Prompt], outputs: Sequence[Output], settings: Settings
) -> list[Result[Any]]:
    """`settings.n` results for every prompt, in order.

    Draws that are missing when a limit or an interrupt has ended the search have its name as
    their finish reason, and no tokens.

    Raises:
        InputError: something cannot be aligned; raised before any forward pass.
        ValidationFailedError: a validator has refused a value once more than `retries`.
    """
    method = sampler_of(settings.align, settings.n, settings.batch_size)
    rows = _rows(model, prompts, outputs, settings)
    for row in rows:
        method.controls(row)
    return draw_rows(method, rows, prompts, settings)


def draw_rows(
    method: Search, rows: Sequence[Row], prompts: Sequence[Prompt], settings: Settings
) -> list[Result[Any]]:
    """`settings.n` draws of every row, in order; see `aligned_results`.

    Raises:
        ValidationFailedError: a validator has refused a value once more than `retries`.
    """
    return _Draws(method, list(rows), list(prompts), settings).run()


def is_missing(result: Result[Any]) -> bool:
    """Whether a result stands for a draw that was not made."""
    return result.finish_reason in _MISSING


def check_whole(results: Sequence[Result[Any]]) -> None:
    """Refuses results with draws missing.

    Raises:
        DecodingError: says why they are; `run` returns the others.
    """
    missing = [each for each in results if each.finish_reason in _WHY]
    if missing:
        reason = missing[0].finish_reason
        raise DecodingError(
            f"{len(missing)} of {len(results)} draws are missing: {_WHY[reason]}. `run` returns "
            "those that there are, and the certificate"
        )


def _rows(
    model: Model, prompts: Sequence[Prompt], outputs: Sequence[Output], settings: Settings
) -> list[Row]:
    """One row for every prompt; its draws are the method's business."""
    config = without_truncation(model.generation_config)
    if settings.temperature is None and not config.do_sample:
        settings = replace(settings, temperature=1.0)
    sampler, controls = settings.sampling.choose(config, settings.controls)
    if not sampler.is_random:
        raise InputError(
            "align= draws from the model's law, and temperature=0 makes no draws; leave the "
            "temperature out for the model's own law, or give one above 0"
        )
    together = [*settings.controls, *controls]
    check_controls(together)
    return make_rows(model, prompts, outputs, replace(settings, n=1), together)


@dataclass(eq=False)
class _Reading(Session):
    """A session that keeps the errors of values that a validator refuses.

    Attributes:
        errors: by the `id` of the result.
    """

    errors: dict[int, ValidationFailedError] = field(default_factory=dict)

    def _read(self, problem: Problem, node: Node) -> Result[Any]:
        seconds = problem.ledger.seconds
        try:
            return problem.row.result(node.branch, seconds)
        except ValidationFailedError as error:
            result = problem.row.unread(node.branch, seconds)
            self.errors[id(result)] = error
            return result


@dataclass(slots=True)
class _Prompt:
    """What was drawn for a prompt.

    Attributes:
        stopped: why its last search ended early; None: it did not.
    """

    results: list[Result[Any]] = field(default_factory=list)
    stopped: str | None = None
    certificate: Any = None


class _Draws:
    """The draws of one call: searches, repeated where validators have refused some values."""

    def __init__(
        self, method: Search, rows: list[Row], prompts: list[Prompt], settings: Settings
    ) -> None:
        self.method = method
        self.rows = rows
        self.prompts = prompts
        self.settings = settings
        self.found = [_Prompt() for _ in rows]

    def run(self) -> list[Result[Any]]:
        """The results of all prompts in their order."""
        open_ones, n = list(range(len(self.rows))), self.settings.n
        for attempt in range(self.settings.retries + 1):
            refused = self._attempt(open_ones, attempt)
            open_ones = [i for i in open_ones if i in refused and not self.found[i].stopped]
            if not open_ones:
                break
            if any(each.stopped == "interrupt" for each in self.found):
                for number in open_ones:
                    self.found[number].stopped = "interrupt"
                break
            if attempt == self.settings.retries:
                raise refused[open_ones[0]]
        return [result for each in self.found for result in _filled(each, n)]

    def _attempt(self, numbers: Sequence[int], attempt: int) -> dict[int, ValidationFailedError]:
        """Draws what is missing for some prompts; the last error of each where one was refused."""
        lacking = max(self.settings.n - len(self.found[i].results) for i in numbers)
        session = self._session(numbers, lacking, attempt)
        refused: dict[int, ValidationFailedError] = {}
        for event in session.events():
            if isinstance(event, tuple):
                index, found = event
                error = self._take(numbers[index], found, session, attempt)
                if error is not None:
                    refused[numbers[index]] = error
        return refused

    def _session(self, numbers: Sequence[int], lacking: int, attempt: int) -> _Reading:
        settings, rows = self.settings, [self.rows[number] for number in numbers]
        model, method = rows[0].model, self.method
        if method.aligns == "draws":
            method = _with_n(method, lacking)
        decoder = Decoder(
            model.network,
            model.vocabulary,
            Plain(),
            speculation=speculation(model, settings.draft),
            kv_limit=settings.kv_limit,
        )
        # Rounds without a width of their own (None) grow.
        widest = getattr(method, "batch", settings.n) or ROUND[1]
        width = min(widest, getattr(method, "n", settings.n))
        return _Reading(
            method, [self.prompts[number] for number in numbers], rows, decoder, settings,
            Tokens(1), None, Budget(), settings.trace, max(1, settings.batch_size // width),
            attempt,
        )  # fmt: skip

    def _take(
        self, number: int, found: SearchResult, session: _Reading, attempt: int
    ) -> ValidationFailedError | None:
        """Keeps the draws whose values are valid; the error of one that is not."""
        prompt, error = self.found[number], None
        prompt.stopped = found.stopped
        stream = self.rows[number].stream(self.settings.seed, attempt)
        wanted = self.settings.n - len(prompt.results)
        chosen, prompt.certificate = self._chosen(found, wanted, stream)
        usages = _usages([each.result for each in chosen], found)
        for each, usage in zip(chosen, usages, strict=True):
            if id(each.result) in session.errors:
                error = session.errors[id(each.result)]
            else:
                certified = replace(each.result, certificate=prompt.certificate, usage=usage)
                prompt.results.append(certified)
        return error

    def _chosen(self, found: SearchResult, wanted: int, stream: int) -> tuple[list[Candidate], Any]:
        """The draws among the candidates of a search, and the certificate with their weights."""
        candidates, certificate = list(found.candidates), found.certificate
        weights = tuple(each.weight or 0.0 for each in candidates)
        if self.method.aligns == "draws":
            if isinstance(certificate, ASApCertificate):
                certificate = replace(certificate, weights=weights)
            return candidates[:wanted], certificate
        if found.stopped is not None or not sum(weights):
            # Particles that are under way are no draws of anything.
            return [], certificate
        draws = draws_of(weights, wanted, self.settings.seed, stream)
        if isinstance(certificate, ParticleCertificate):
            certificate = replace(certificate, weights=weights, draws=tuple(draws))
        return [candidates[draw] for draw in draws], certificate


def draws_of(weights: Sequence[float], count: int, seed: int, stream: int) -> list[int]:
    """Which particles are drawn: by systematic resampling, in random order.

    Each particle is drawn in proportion to its weight, `count` times its share rounded up or
    down; the order has no meaning.
    """
    row = fold((stream, Purpose.RESAMPLE, count))

    def point(i: int) -> float:
        return uniform(seed, row, i, Purpose.CHOICE)

    shares = np.asarray(weights, dtype=np.float64)
    ancestors = resample("systematic", shares / shares.sum(), count, point)
    order = sorted(range(count), key=lambda i: uniform(seed, row, i, Purpose.RESAMPLE))
    return [ancestors[i] for i in order]


def _usages(results: Sequence[Result[Any]], found: SearchResult) -> list[Usage]:
    """What each draw has cost; what was thrown away for them is shared out among all."""
    kept = sum(len(result.tokens) for result in results)
    lost = max(0, int(found.spent["tokens"]) - kept)
    return [
        replace(result.usage, discarded=lost // len(results) + (at < lost % len(results)))
        for at, result in enumerate(results)
    ]


def _filled(prompt: _Prompt, n: int) -> list[Result[Any]]:
    """Its results, and placeholders for those that are missing."""
    reason = prompt.stopped or "cut"
    missing: Result[Any] = Result(
        "", None, (), (), (), reason, Usage(), certificate=prompt.certificate
    )
    return prompt.results + [missing] * (n - len(prompt.results))
