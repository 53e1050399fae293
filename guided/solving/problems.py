"""Questions, and the answers that are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from guided.errors import InputError
from guided.search.voting import final_answer


@dataclass(frozen=True, slots=True)
class Problem:
    """A question; `answer` is the right one, None where nobody knows it."""

    question: str
    answer: str | None = None

    def judges(self, text: str) -> bool | None:
        """Whether a text ends with the right answer; None where that is not known.

        Answers are compared as `final_answer` reads them: 1,000.0 is 1000, and 1/2 is 0.5.
        """
        if self.answer is None:
            return None
        return final_answer(text) == final_answer(self.answer)


def read_problems(text: str, where: str) -> list[Problem]:
    """The problems of JSON lines with a `question` each, and an `answer` where it is known.

    Args:
        where: how errors call the source.

    Raises:
        InputError: a line that is none; says which. No problem at all.
    """
    problems = list(_problems(text, where))
    if not problems:
        raise InputError(f"{where} holds no problem; a line looks like {_EXAMPLE}")
    return problems


_EXAMPLE = '{"question": "What is 2 + 3?", "answer": "5"}'


def _problems(text: str, where: str) -> Iterator[Problem]:
    # Not splitlines: a question may hold line separators that JSON leaves as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        at = f"{where}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{at}: no JSON ({error}); a line looks like {_EXAMPLE}") from error
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise InputError(
                f"{at}: no object with a text 'question'; a line looks like {_EXAMPLE}"
            )
        if not row["question"].strip():
            raise InputError(f"{at}: the question is empty")
        yield Problem(row["question"], _answer(row.get("answer"), at))


def _answer(answer: object, at: str) -> str | None:
    if answer is None:
        return None
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise InputError(f"{at}: the answer must be text or a number, not {answer!r}")
    # The answers of some sets stand at the end of a worked solution: "... #### 72".
    told = str(answer).rpartition("####")[2].strip()
    if not told:
        raise InputError(f"{at}: the answer is empty")
    return told
