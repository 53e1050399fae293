"""Random walks through a grammar's states, with every mask compared to one made byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided.errors import BudgetError
from guided.grammars.states import GrammarState
from guided.grammars.vocabulary import Vocabulary

from .subjects import Subject

BYTES = Vocabulary.from_tokens([*(bytes([b]) for b in range(256)), None], stop_ids=[256])
# How strongly a walk prefers some tokens over others, drawn anew for every walk.
SHARPNESS = (0.0, 1.0, 3.0)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, with what is needed to see it again."""

    subject: str
    walk: int
    what: str
    text: bytes

    def __str__(self) -> str:
        return f"{self.subject}, walk {self.walk}: {self.what}; text so far {self.text!r}"


def allowed_ids(mask: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """The ids whose bits are set."""
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return np.flatnonzero(bits[:size])


def mask_faults(
    state: GrammarState, by_bytes: GrammarState, chance: np.random.Generator, tries: int
) -> list[str]:
    """Where the mask differs from single-byte stepping, on `tries` tokens inside and outside it."""
    vocabulary = state.vocabulary
    allowed = allowed_ids(state.mask(), vocabulary.size)
    inside = set(allowed.tolist())
    some = chance.choice(allowed, min(tries, len(allowed)), replace=False).tolist()
    some += chance.integers(0, vocabulary.size, tries).tolist()
    found = []
    for token in {*some, *vocabulary.stop_ids}:
        right = _may_follow(by_bytes, vocabulary, token)
        answers = {
            "mask": token in inside,
            "accepts": state.accepts(token),
            "advance": state.advance(token) is not None,
        }
        wrong = [name for name, answer in answers.items() if answer != right]
        if wrong:
            spelled = vocabulary.tokens[token]
            found.append(f"{' and '.join(wrong)} say {not right} for token {token} {spelled!r}")
    return found


def _may_follow(by_bytes: GrammarState, vocabulary: Vocabulary, token: int) -> bool:
    if token in vocabulary.stop_ids:
        return by_bytes.is_accepting
    spelled = vocabulary.tokens[token]
    return bool(spelled) and by_bytes.accept_many(list(spelled or b"")) == len(spelled or b"")


def budget_faults(state: GrammarState, left: int, chance: np.random.Generator) -> list[str]:
    """Whether the mask within a budget is part of the mask and keeps a completion possible."""
    within = allowed_ids(state.mask_within(left), state.vocabulary.size)
    found = []
    if not set(within.tolist()) <= set(allowed_ids(state.mask(), state.vocabulary.size).tolist()):
        found.append(f"the mask within {left} is no part of the mask")
    token = int(chance.choice(within))
    after = state.advance(token)
    if after is None:
        return [*found, f"token {token} is within {left} and cannot be taken"]
    if not after.is_finished:
        try:
            after.mask_within(left - 1)
        except BudgetError as error:
            found.append(f"token {token} is within {left}, and then: {error}")
    return found


def completion_faults(state: GrammarState) -> list[str]:
    """Whether the completion is one, and is as long as the bound says."""
    tokens = state.completion()
    end: GrammarState | None = state
    for token in tokens:
        end = None if end is None else end.advance(token)
    if end is None or not end.is_accepting:
        return [f"the completion {tokens} does not lead to an end"]
    if len(tokens) + 1 != state.bound:
        return [f"the completion has {len(tokens)} tokens, the bound is {state.bound}"]
    return []


def walk(
    subject: Subject, number: int, vocabulary: Vocabulary, seed: int, checks: float = 0.2
) -> tuple[str | None, list[Fault]]:
    """One random text and the faults met. The text is None where the walk had to be given up.

    A share `checks` of the steps have their masks compared with single-byte stepping.
    """
    chance = np.random.default_rng([seed, number])
    taste = chance.normal(size=vocabulary.size) * chance.choice(SHARPNESS)
    state, by_bytes = subject.grammar.start(vocabulary), subject.grammar.start(BYTES)
    left = state.bound + int(chance.integers(0, 60))
    text = b""
    faults: list[Fault] = []

    def blame(*found: str) -> None:
        faults.extend(Fault(subject.name, number, what, text) for what in found)

    while not state.is_finished:
        if chance.random() < checks:
            blame(*mask_faults(state, by_bytes, chance, 20))
            blame(*budget_faults(state, left, chance), *completion_faults(state))
        try:
            within = allowed_ids(state.mask_within(left), vocabulary.size)
        except BudgetError as error:
            blame(str(error))
            return None, faults
        noise = chance.gumbel(size=len(within))
        token = int(within[np.argmax(taste[within] + noise)])
        after = state.advance(token)
        if after is None:
            blame(f"token {token} is in the mask and cannot be taken")
            return None, faults
        state, left = after, left - 1
        spelled = b"" if token in vocabulary.stop_ids else vocabulary.tokens[token] or b""
        for byte in spelled:
            stepped = by_bytes.advance(byte)
            if stepped is None:
                blame(f"token {token} {spelled!r} is allowed, its bytes are not")
                return None, faults
            by_bytes = stepped
        text += spelled
    if not subject.grammar.accepts(text):
        blame("the grammar does not accept the finished text")
    try:
        return text.decode(), faults
    except UnicodeDecodeError:
        blame("the finished text is not UTF-8")
        return None, faults
