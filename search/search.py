"""What all searches have in common: they are run, iterated, traced, and plug into Hugging Face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypedDict, Unpack, overload

from guided.controls.protocol import Control
from guided.drafting import Draft
from guided.errors import InputError
from guided.model import Message, Model, Prompt, is_many
from guided.options import Aligns, Options
from guided.rewards.scorer import Scorer
from guided.rows import Row
from guided.search.budget import Budget
from guided.search.custom_generate import SearchGeneration
from guided.search.effects import Plan, Round
from guided.search.problem import Problem
from guided.search.results import SearchResult
from guided.search.segmenter import Segmenter
from guided.search.session import Session
from guided.trace import Trace

Progress = Callable[[Round], None]


class SearchOptions(Options, total=False):
    """What searches take besides the options of `generate`."""

    schema: Any
    at_once: int
    segmenter: Segmenter | None


class GenerationOptions(TypedDict, total=False):
    """What `Search.hf` takes; `SearchGeneration` explains it."""

    controls: Any
    prompts: Any
    budget: Budget | None
    draft: Draft
    segmenter: Segmenter | None
    trace: Trace | None
    at_once: int


class Search(ABC):
    """A way to explore what a model could write.

    Subclasses are dataclasses of their settings and implement `plan`: a generator that asks for
    sequences to be grown (`grow`) and scored (`weigh`), ends its iterations by `problem.round`, and
    offers what it finds (`problem.offer`). It sees branches only, never keys and values or masks.
    """

    #: The temperature where the caller gives none; 0 is greedy.
    default_temperature: ClassVar[float] = 0.8
    #: Whether it cannot do without a reward.
    needs_reward: ClassVar[bool] = True
    #: Whether it finishes the best partial text on tokens that the budget keeps back.
    finishes: ClassVar[bool] = False
    #: Where its segments end, if the caller does not say; None: at the reward's delimiter.
    default_segmenter: ClassVar[Segmenter | None] = None
    #: Whether greedy proposals would make it pointless.
    needs_draws: ClassVar[bool] = True
    #: Whether it draws from the model's law conditioned on the grammar, for `align=` of `generate`:
    #: "draws", its candidates are that; "particles", they are weighted; "": it does not. If it
    #: does, the model's own defaults of truncation are left out.
    aligns: ClassVar[Aligns] = ""

    @abstractmethod
    def plan(self, problem: Problem) -> Plan[None]:
        """The method on one prompt."""

    def check(self, model: Model, scorer: Scorer | None) -> None:
        """Refuses what cannot work, before any forward pass.

        Raises:
            InputError: a reward that is missing; subclasses add their own.
        """
        if self.needs_reward and scorer is None:
            raise InputError(f"{type(self).__name__} needs a reward; pass reward=")

    @overload
    def run(
        self,
        model: Model,
        prompt: str | list[Message],
        reward: Any = None,
        *,
        budget: Budget | None = None,
        trace: Trace | None = None,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult: ...
    @overload
    def run(
        self,
        model: Model,
        prompt: list[str] | list[list[Message]],
        reward: Any = None,
        *,
        budget: Budget | None = None,
        trace: Trace | None = None,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[SearchResult]: ...
    def run(
        self,
        model: Model,
        prompt: Any,
        reward: Any = None,
        *,
        budget: Budget | None = None,
        trace: Trace | None = None,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Any:
        """The best text that the search finds for a prompt; a list of them for a list of prompts.

        Takes the options of `guided.generate`: `schema`, `regex`, `grammar`, `controls`, `seed`,
        `max_new_tokens`, `draft`, …

        Args:
            reward: a `Reward`, a function of prompt and text, or a `Scorer`, which says how the
                scores of steps are aggregated.
            budget: the most to be spent on each prompt; what there is then is returned.
            trace: where the search is recorded.
            progress: called with every round.
            at_once: (option) prompts searched at the same time, in one batch; 8 if not given.
            segmenter: (option) where a step ends; the reward's delimiter if not given.

        Raises:
            InputError: an argument cannot work; raised before any forward pass.
        """
        found: dict[int, SearchResult] = {}
        for event in self._events(model, prompt, reward, budget, trace, options):
            if isinstance(event, Round):
                if progress is not None:
                    progress(event)
            else:
                found[event[0]] = event[1]
        results = [found[number] for number in sorted(found)]
        return results if is_many(prompt) else results[0]

    def iterate(
        self,
        model: Model,
        prompt: Prompt | Sequence[Prompt],
        reward: Any = None,
        *,
        budget: Budget | None = None,
        trace: Trace | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[Round | SearchResult]:
        """The rounds of a search, each as it ends, and the result of every prompt.

        Of several prompts they come as they happen; `Round.problem` and `SearchResult.number` say
        of which.
        """
        for event in self._events(model, prompt, reward, budget, trace, options):
            yield event if isinstance(event, Round) else event[1]

    def _events(
        self,
        model: Model,
        prompt: Any,
        reward: Any,
        budget: Budget | None,
        trace: Trace | None,
        options: SearchOptions,
    ) -> Iterator[Round | tuple[int, SearchResult]]:
        """Checks everything, then gives rounds, and the numbers of prompts with their results."""
        session = Session.of(self, model, prompt, reward, budget, trace, dict(options))
        return session.events()

    def adapt(self, prompt: Prompt) -> Prompt:
        """What the model reads instead of a prompt; rewards see the prompt as it was given."""
        return prompt

    def hf(
        self, reward: Any, tokenizer: Any, **options: Unpack[GenerationOptions]
    ) -> SearchGeneration:
        """The search inside Hugging Face: `model.generate(**inputs, custom_generate=this)`.

        Args:
            reward: as of `run`; None for searches that need none.
            tokenizer: a Hugging Face tokenizer, or a `guided.Model` of the same network.
            options: `budget`, `controls`, `prompts` (what the reward is shown), `draft`,
                `segmenter`, `trace`, `at_once`: see `SearchGeneration`.
        """
        return SearchGeneration(self, reward, tokenizer, **options)

    def controls(self, row: Row) -> Sequence[Control]:
        """The controls of a prompt's sequences; methods with proposals of their own add to them."""
        return row.controls
