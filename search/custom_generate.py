"""`model.generate(..., custom_generate=search.hf(reward, tokenizer))`: a search in its place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from transformers.generation.stopping_criteria import MaxTimeCriteria, StopStringCriteria

from guided.byte_laws import ByteModel
from guided.controls import StopStrings
from guided.controls.over import over
from guided.controls.protocol import Control
from guided.decoding import Decoder, Greedy, Plain
from guided.drafting import Draft, speculation
from guided.errors import DecodingError, InputError, RewardError
from guided.hf.call import (
    Owner,
    check_end,
    checked_paddings,
    controls_of_rows,
    ends_itself,
    entries_of,
    pad_id_of,
    padded_numbers,
    prompts_of,
    seed_of,
    sequences_of,
    with_stop,
)
from guided.hf.output import GuidedGenerationOutput
from guided.hf.over_bytes import text_of, token_row
from guided.hf.stopping import Stopping, read_criteria
from guided.model import Model, Prompt
from guided.options import Settings
from guided.outputs import FREE_TEXT
from guided.rewards.scorer import Scorer
from guided.rows import Row
from guided.search.budget import Budget
from guided.search.results import SearchResult
from guided.search.segmenter import Segmenter
from guided.search.session import Method, Session, check_sampler, scorer_of, segmenter_of
from guided.trace import Trace


@dataclass
class SearchGenerationOutput(GuidedGenerationOutput):
    """What `generate` returns with `return_dict_in_generate=True`.

    Attributes:
        results: all that the search has found, by row; `stopped` and `error` say why it ended
            early, where it did.
    """

    results: tuple[SearchResult, ...] | None = None


class SearchGeneration:
    """A search in the place of `generate`; made by `Search.hf`.

    Every row of the call is a search of its own, `num_return_sequences` of them for each prompt.
    The limit, temperature and truncation, processors, stop strings and `max_time` are those of the
    call. What cannot be honoured is refused by name. Under a control that works on bytes (
    `AnchoredBytes`) the results consist of bytes, and what `generate` returns are the tokens that
    the tokenizer makes of them.

    Args:
        method: the search.
        reward: as of `Search.run`; None for searches that need none.
        tokenizer: a Hugging Face tokenizer, a `guided.Model` of the same network, or a
            `Vocabulary`.
        controls: as of `GuidedGeneration`: a grammar, an output type, a control, or a list with an
            entry for each prompt.
        prompts: what the reward is shown, one for each prompt of the call (of one of them: for
            all). If not given, the decoded prompt without special tokens, which needs a tokenizer.
        budget: the most to be spent on each row.
        draft: as in `guided.generate`.
        segmenter: where a step ends.
        trace: where the search is recorded.
        at_once: rows searched at the same time.

    Keyword arguments of `generate` that are read besides its own: `seed` (drawn from torch's
    generator if it is None), and `reward_prompts`, `prompts` for that call.

    Raises:
        InputError, ControlError: the arguments cannot be used.
    """

    def __init__(
        self,
        method: Method,
        reward: Any,
        tokenizer: Any,
        *,
        controls: Any = None,
        prompts: Prompt | Sequence[Prompt] | None = None,
        budget: Budget | None = None,
        draft: Draft = "auto",
        segmenter: Segmenter | None = None,
        trace: Trace | None = None,
        at_once: int = 8,
    ) -> None:
        if tokenizer is None:
            raise InputError("a search needs the tokenizer: search.hf(reward, tokenizer)")
        if at_once < 1:
            raise InputError(f"at_once must be at least 1, not {at_once}")
        self.method = method
        self.scorer: Scorer | None = None if reward is None else scorer_of(reward)
        self.owner = Owner(tokenizer)
        self.entries = entries_of(controls)
        self.prompts = prompts
        self.budget = budget or Budget()
        self.draft = draft
        self.segmenter = segmenter_of(method, segmenter, self.scorer)
        self.trace = trace
        self.at_once = at_once

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Iterable[Any] = (),
        stopping_criteria: Iterable[Any] = (),
        generation_config: Any = None,
        *,
        seed: int | None = None,
        reward_prompts: Prompt | Sequence[Prompt] | None = None,
        **model_kwargs: Any,
    ) -> Tensor | SearchGenerationOutput:
        """What `generate` returns; called by it.

        Raises:
            InputError: an argument of `generate` that cannot be honoured, by name.
            RewardError: the reward failed (with `return_dict_in_generate`, the result says so).
            DecodingError: see `guided.generate`; also where memory ran out.
            KeyboardInterrupt: Ctrl-C.
        """
        paddings = checked_paddings(model, input_ids, generation_config, model_kwargs)
        stopping, stops, seconds = _criteria(stopping_criteria, input_ids.shape[1])
        owner = self.owner.of(model, stopping.stop_ids)
        self.method.check(owner, self.scorer)
        sampler = Plain() if generation_config.do_sample else Greedy()
        check_sampler(self.method, sampler, "give generate do_sample=True")
        controls = controls_of_rows(self.entries, list(logits_processor), input_ids, paddings)
        tokens: Sequence[tuple[int, ...]] = prompts_of(input_ids, paddings)
        shown = self._shown(owner, tokens, reward_prompts)
        owner = _decoded_model(owner, controls)
        if isinstance(owner, ByteModel):
            texts = [text_of(owner, row, prompt) for row, prompt in enumerate(tokens)]
            tokens = [tuple(owner.encode(text)) for text in texts]
        session = Session(
            self.method,
            shown,
            _rows(owner, tokens, controls, stopping, stops),
            Decoder(
                owner.network, owner.vocabulary, sampler, speculation=speculation(owner, self.draft)
            ),
            Settings(seed=seed_of(seed)),
            self.segmenter,
            self.scorer,
            _within(self.budget, seconds),
            self.trace,
            self.at_once,
        )
        results = _results(session)
        _check_results(session, results, stopping, bool(generation_config.return_dict_in_generate))
        return _output(owner, input_ids, results, stopping, generation_config)

    def _shown(self, owner: Model, tokens: Sequence[tuple[int, ...]], given: Any) -> list[Prompt]:
        """What the reward is shown of every row's prompt."""
        given = self.prompts if given is None else given
        if given is None:
            shown: list[Prompt] = [self._decoded(owner, row) for row in tokens]
        else:
            each = [given] if _is_one(given) else list(given)
            if not each or len(tokens) % len(each):
                raise InputError(
                    f"generate runs {len(tokens)} rows, which is no multiple of the {len(each)} "
                    "prompts for the reward; give one for each prompt"
                )
            shown = [each[row * len(each) // len(tokens)] for row in range(len(tokens))]
        for prompt in shown:
            if self.method.adapt(prompt) != prompt:
                raise InputError(
                    f"{type(self.method).__name__} changes the prompt, which generate has read "
                    "already; use its run, or change the text that you encode"
                )
        return shown

    def _decoded(self, owner: Model, tokens: tuple[int, ...]) -> str:
        if owner.tokenizer is None:
            return owner.decode(tokens)
        return str(owner.tokenizer.decode(list(tokens), skip_special_tokens=True))


def _is_one(given: Any) -> bool:
    """Whether it is one prompt: text, or a list of messages."""
    return isinstance(given, str) or (bool(given) and isinstance(given[0], dict))


def _criteria(
    criteria: Iterable[Any], width: int
) -> tuple[Stopping, tuple[str, ...], float | None]:
    """What the criteria of a call mean: limit and stop tokens, stop strings, seconds.

    Raises:
        InputError: a criterion of another kind, or no limit.
    """
    stopping = read_criteria(criteria, width)
    stops: list[str] = []
    seconds: list[float] = []
    for criterion in stopping.criteria:
        if isinstance(criterion, StopStringCriteria):
            stops += criterion.stop_strings
        elif isinstance(criterion, MaxTimeCriteria):
            ends = criterion.initial_timestamp + criterion.max_time
            seconds.append(max(1e-9, ends - time.time()))
        else:
            raise InputError(
                f"{type(criterion).__name__} cannot be honoured by a search, whose texts stand "
                "side by side; it takes max_new_tokens, stop_strings and max_time"
            )
    if stopping.limit is None:
        raise InputError("a search needs a limit of tokens; give generate max_new_tokens")
    return stopping, tuple(stops), min(seconds, default=None)


def _decoded_model(owner: Model, controls: Sequence[Sequence[Control]]) -> Model:
    """The model that the controls work on: the caller's, or that over bytes.

    Raises:
        InputError: some of them on one and some on the other.
        ControlError: a control about tokens beside one about bytes.
    """
    first, *others = [over(owner, some) for some in controls]
    if any(each is not first for each in others):
        raise InputError(
            "some prompts are to be decoded byte by byte and others not; give all of them controls "
            "of one kind"
        )
    found: Model = first
    return found


def _within(budget: Budget, seconds: float | None) -> Budget:
    if seconds is None or (budget.seconds is not None and budget.seconds <= seconds):
        return budget
    return replace(budget, seconds=seconds)


def _rows(
    owner: Model,
    prompts: Sequence[tuple[int, ...]],
    controls: Sequence[Sequence[Control]],
    stopping: Stopping,
    stops: tuple[str, ...],
) -> list[Row]:
    """What every search starts from."""
    seen: Counter[tuple[int, ...]] = Counter()
    rows = []
    for prompt, own in zip(prompts, controls, strict=True):
        ends = [StopStrings(stops)] if stops else []
        limit = stopping.limit or 1
        rows.append(
            Row(owner, prompt, b"", FREE_TEXT, (*own, *ends), limit, seen[prompt], stops=stops)
        )
        seen[prompt] += 1
    return rows


def _results(session: Session) -> list[SearchResult]:
    found: dict[int, SearchResult] = {}
    for event in session.events():
        if isinstance(event, tuple):
            found[event[0]] = event[1]
    return [found[number] for number in sorted(found)]


def _check_results(
    session: Session, results: Sequence[SearchResult], stopping: Stopping, is_whole: bool
) -> None:
    """Raises what a tensor of tokens could not show."""
    reasons = {result.stopped for result in results}
    if "interrupt" in reasons:
        raise KeyboardInterrupt
    for number, (row, result) in enumerate(zip(session.rows, results, strict=True)):
        best = result.best
        is_tokens = not isinstance(row.model, ByteModel)
        if is_tokens and ends_itself(best.tokens, best.finish_reason, stopping):
            check_end(number, row.tokens, best.tokens, row.controls, row.model.vocabulary)
        if is_whole:
            continue
        if result.error is not None:
            raise RewardError(
                f"row {number}: {result.error}; return_dict_in_generate=True gives the best so far",
                result.error,
            )
    if "memory" in reasons and not is_whole:
        raise DecodingError(
            "memory ran out; return_dict_in_generate=True gives what there is, with reasons"
        )


def _output(
    owner: Model,
    input_ids: Tensor,
    results: Sequence[SearchResult],
    stopping: Stopping,
    config: Any,
) -> Tensor | SearchGenerationOutput:
    """The tensor, or the whole output where the config asks for it."""
    best = [result.best for result in results]
    log_p, log_q = [each.log_p for each in best], [each.log_q for each in best]
    if isinstance(owner, ByteModel):
        rows = [token_row(owner, each, stopping) for each in best]
        tokens = [row.tokens for row in rows]
        log_p, log_q = [tuple(row.log_p) for row in rows], [tuple(row.log_q) for row in rows]
    else:
        tokens = [with_stop(each.tokens, each.finish_reason, stopping) for each in best]
    sequences = sequences_of(input_ids, tokens, pad_id_of(config, stopping))
    if not config.return_dict_in_generate:
        return sequences
    width = sequences.shape[1] - input_ids.shape[1]
    return SearchGenerationOutput(
        sequences,
        padded_numbers(log_p, width, sequences.device),
        padded_numbers(log_q, width, sequences.device),
        tuple(each.finish_reason for each in best),
        certificates=tuple(result.certificate or result.best.certificate for result in results),
        results=tuple(results),
    )
