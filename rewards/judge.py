"""Generative judges: a language model that is asked how good an answer is."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch

from guided.decoding import Decoder
from guided.drafting import speculation
from guided.errors import InputError, OutOfMemoryError
from guided.model import Model, Prompt
from guided.options import Settings
from guided.result import Result
from guided.rewards.ensembles import Combinable
from guided.rewards.prompts import question_of
from guided.rewards.protocol import Continuation, RewardUsage
from guided.row_decoder import RowDecoder
from guided.rows import make_rows

#: A text with {question} and {answer}, or a function of prompt and answer that makes the prompt.
Ask = str | Callable[[Prompt, str], Prompt]
Tokens = tuple[int, ...]

YES_OR_NO = (
    "Question:\n{question}\n\nProposed answer:\n{answer}\n\n"
    "Is the proposed answer right? Reply with yes or no.\n"
)
CRITIQUE = (
    "Question:\n{question}\n\nProposed answer:\n{answer}\n\n"
    'Say in a few sentences what is right and wrong about the proposed answer. Then write "Grade: '
    '" and a whole number from {lowest} (useless) to {highest} (perfect).\n'
)
VERDICTS = {
    blank + word: value
    for word, value in (("yes", 1.0), ("Yes", 1.0), ("no", 0.0), ("No", 0.0))
    for blank in ("", " ")
}


def filled(template: str, **parts: object) -> str:
    """A template with its {names} replaced; braces in what is put in mean nothing."""
    return re.sub(r"\{(\w+)\}", lambda m: str(parts.get(m[1], m[0])), template)


class _Asking(Combinable):
    """Puts prompt and answer into a question for a model."""

    def __init__(self, model: Model, template: Ask, batch_size: int) -> None:
        if not isinstance(model, Model):
            raise InputError(f"a judge is a guided.Model, not {type(model).__name__}")
        if isinstance(template, str) and "{answer}" not in template:
            raise InputError("the template does not say where the {answer} stands")
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        self.model, self.batch_size = model, batch_size
        self.usage = RewardUsage()
        self.last_tokens: list[int] = []
        self._template = template

    def ask(self, prompt: Prompt, answer: str, **parts: object) -> Prompt:
        """What the model is asked: chat messages if its tokenizer has a template for them."""
        if callable(self._template):
            return self._template(prompt, answer)
        text = filled(self._template, question=question_of(prompt), answer=answer, **parts)
        if getattr(self.model.tokenizer, "chat_template", None) is None:
            return text
        return [{"role": "user", "content": text}]

    def _count(self, began: float, tokens: list[int]) -> None:
        self.last_tokens = tokens
        self.usage.passes += len(tokens)
        self.usage.tokens += sum(tokens)
        self.usage.seconds += time.perf_counter() - began


class Judge(_Asking):
    """The mean value of a verdict, by the model's own law over the verdicts it may give next.

    Nothing is written: with the default verdicts the score is P(yes) against P(no), from one pass
    over the question if each verdict is one token; every other beginning of a verdict takes one
    more. With `{"1": 1, "2": 2, …}` it is an expected grade (as in G-Eval, arXiv 2303.16634).

    Args:
        model: a `guided.Model`.
        template: what it is asked.
        verdicts: texts that may follow, and what each is worth. Several spellings may be worth
            the same. One that is the beginning of another counts only with a stop token after it.
        delimiter: scores every step, which this text ends, by asking about the text up to there;
            None: the whole text once.
        batch_size: most questions in one pass.

    Raises:
        InputError: no {answer} in the template, fewer than two verdicts, values that are not
            finite.
    """

    def __init__(
        self,
        model: Model,
        template: Ask = YES_OR_NO,
        verdicts: Mapping[str, float] = VERDICTS,
        *,
        delimiter: str | None = None,
        batch_size: int = 16,
    ) -> None:
        super().__init__(model, template, batch_size)
        if len(verdicts) < 2 or "" in verdicts or not all(map(math.isfinite, verdicts.values())):
            raise InputError("verdicts are at least two texts with a finite value each")
        if delimiter == "":
            raise InputError("a delimiter needs at least one character")
        self.delimiter = delimiter
        self.values = torch.tensor(list(verdicts.values()), dtype=torch.float64)
        self._spelled = self._spell(list(verdicts))
        #: What may be written of verdicts before their last tokens.
        self._begun = dict.fromkeys(
            verdict[:at] for verdict in self._spelled for at in range(len(verdict))
        )

    def _spell(self, verdicts: Sequence[str]) -> list[Tokens]:
        vocabulary = self.model.vocabulary
        stop = min(vocabulary.stop_ids, default=None)
        spelled = []
        for verdict in verdicts:
            tokens = tuple(vocabulary.encode(verdict.encode()))
            if any(other != verdict and other.startswith(verdict) for other in verdicts):
                if stop is None:
                    raise InputError(f"verdict {verdict!r} begins another one, and nothing ends it")
                tokens += (stop,)
            spelled.append(tokens)
        return spelled

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[list[float]]:
        """The score of every continuation, or of each of its steps."""
        began = time.perf_counter()
        asked = [
            [
                tuple(self.model.encode(self.ask(prompt, text)))
                for text in self._texts(continuation.text)
            ]
            for prompt, continuation in zip(prompts, continuations, strict=True)
        ]
        contexts = [
            dict.fromkeys((*ids, *begun) for ids in questions for begun in self._begun)
            for questions in asked
        ]
        laws = self._laws(list(dict.fromkeys(chain.from_iterable(contexts))))
        # What several read counts for the first.
        unread, tokens = set(laws), list[int]()
        for own in contexts:
            tokens.append(sum(len(context) for context in own if context in unread))
            unread -= own.keys()
        self._count(began, tokens)
        return [[self._value(ids, laws) for ids in questions] for questions in asked]

    def _texts(self, text: str) -> list[str]:
        """What is asked about: the text up to the end of each step, or the whole."""
        if self.delimiter is None:
            return [text]
        ends = [m.end() for m in re.finditer(re.escape(self.delimiter), text)]
        if not ends or ends[-1] < len(text):
            ends.append(len(text))
        return [text[:end] for end in ends]

    def _laws(self, contexts: Sequence[Tokens]) -> dict[Tokens, torch.Tensor]:
        """The law of the next token after each context, in logarithms."""
        laws = {}
        for at in range(0, len(contexts), self.batch_size):
            chunk = contexts[at : at + self.batch_size]
            decoder = Decoder(self.model.network, self.model.vocabulary)
            branches = decoder.open(chunk)
            for context, branch in zip(chunk, branches, strict=True):
                laws[context] = branch.law().cpu()
            decoder.close(branches)
        return laws

    def _value(self, ids: Tokens, laws: Mapping[Tokens, torch.Tensor]) -> float:
        chances = [
            sum(
                float(laws[(*ids, *verdict[:at])][token])
                for at, token in enumerate(verdict)
            )
            for verdict in self._spelled
        ]  # fmt: skip
        weights = torch.tensor(chances, dtype=torch.float64).softmax(-1)
        return float(weights @ self.values)


class Grader(_Asking):
    """A grade that the model writes, after thinking it over; from 0 (lowest) to 1 (highest).

    The grade is constrained to be one, so that there is always something to read.

    Args:
        model: a `guided.Model`.
        template: what it is asked; {lowest} and {highest} stand for the grades.
        lowest: grade.
        highest: grade.
        after: the text that ends the thinking; None: the grade at once.
        thinking: most tokens of thinking.
        samples: grades whose mean is the score; more than one needs a temperature.
        temperature: 0 is greedy.
        seed: of the samples.
        batch_size: most answers that are graded at a time.

    Attributes:
        critiques: what the model wrote about each continuation of the last call, sample by
            sample.

    Raises:
        InputError: no {answer} in the template, grades out of order, samples without temperature.
    """

    def __init__(
        self,
        model: Model,
        template: Ask = CRITIQUE,
        *,
        lowest: int = 1,
        highest: int = 10,
        after: str | None = "Grade: ",
        thinking: int = 256,
        samples: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 16,
    ) -> None:
        super().__init__(model, template, batch_size)
        if lowest >= highest:
            raise InputError(f"no grades from {lowest} to {highest}")
        if thinking < 1:
            raise InputError(f"thinking must be at least 1, not {thinking}")
        if samples > 1 and temperature <= 0:
            raise InputError(f"samples={samples} would be equal; give a temperature above 0")
        self.lowest, self.highest = lowest, highest
        self.critiques: list[list[str]] = []
        grades = [str(grade) for grade in range(lowest, highest + 1)]
        room = 0 if after is None else thinking + len(model.vocabulary.encode(after.encode()))
        self._settings = Settings(
            choices=grades, after=after, thinking_budget=None if after is None else thinking,
            max_new_tokens=room + 16 + max(map(len, grades)), temperature=temperature, seed=seed,
            n=samples, batch_size=batch_size,
        )  # fmt: skip

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[float]:
        """One score for every continuation."""
        began, count = time.perf_counter(), self._settings.n
        asked = [
            self.ask(prompt, c.text, lowest=self.lowest, highest=self.highest)
            for prompt, c in zip(prompts, continuations, strict=True)
        ]
        made = self._written(asked) if asked else []
        groups = [made[at : at + count] for at in range(0, len(made), count)]
        self.critiques = [[result.text for result in group] for group in groups]
        self._count(began, [sum(result.usage.positions for result in group) for group in groups])
        return [sum(map(self._share, group)) / count for group in groups]

    def _share(self, result: Result[Any]) -> float:
        return (int(result.value) - self.lowest) / (self.highest - self.lowest)

    def _written(self, asked: Sequence[Prompt]) -> list[Result[Any]]:
        settings, model = self._settings, self.model
        sampler, controls = settings.sampling.choose(model.generation_config, settings.controls)
        rows = make_rows(model, asked, settings.outputs(len(asked), True), settings, controls)
        decoder = Decoder(
            model.network, model.vocabulary, sampler,
            speculation=speculation(model, settings.draft),
        )  # fmt: skip
        results = RowDecoder(decoder, rows, settings).run()
        if any(result.finish_reason == "interrupt" for result in results):
            raise KeyboardInterrupt
        if any(result.finish_reason == "memory" for result in results):
            raise OutOfMemoryError("memory ran out while grading; lower batch_size or thinking")
        return results
