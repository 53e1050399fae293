"""Where the guesses of a call come from: what `draft=` may be, and what "auto" means."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary

from guided.decoding.drafters import (
    Drafter,
    DraftModel,
    GrammarText,
    Lookup,
    Structured,
    Suffix,
    spell_as,
)
from guided.decoding.speculation import Speculation
from guided.errors import InputError
from guided.model import Model

#: "auto", None for one token a pass, a small model with the same vocabulary, a drafter or several,
#: or all of it in a `Speculation`.
Draft = Literal["auto"] | None | Model | Drafter | Sequence[Drafter] | Speculation

#: Tokens of earlier output that "auto" remembers of a model, at about 100 bytes each.
_REMEMBERED = 1 << 15

_LOCAL = threading.local()


def speculation(model: Model, draft: Draft) -> Speculation | None:
    """What `draft=` stands for.

    What "auto", or a small model beside it, has measured and learnt for a model is kept for its
    next calls (by thread).

    Raises:
        InputError: something that cannot draft, a model with another vocabulary.
    """
    if draft is None or isinstance(draft, Speculation):
        return draft
    if draft == "auto":
        return _auto(model)
    if isinstance(draft, Drafter):
        return Speculation([draft])
    if isinstance(draft, list | tuple) and draft:
        return Speculation(draft)
    if isinstance(draft, Model):
        return _helped(model, draft)
    raise InputError(
        'draft must be "auto", None, a small guided.Model, drafters or a Speculation, '
        f"not {draft!r}"
    )


def drafters(model: Model) -> list[Drafter]:
    """The drafters of "auto", which need nothing but the model's tokenizer."""
    spell = spell_as(model.tokenizer, model.vocabulary) if model.tokenizer is not None else None
    grammar = GrammarText(model.vocabulary, spell)
    return [
        Structured(grammar, Lookup(model.vocabulary)),
        Suffix(model.vocabulary, capacity=_REMEMBERED),
        *model.drafters,
    ]


def _auto(model: Model) -> Speculation:
    known = _known().setdefault(model, _Known())
    if known.auto is None:
        known.auto = Speculation(drafters(model))
    return known.auto


def _helped(model: Model, draft: Model) -> Speculation:
    """A small model beside drafters like those of "auto"; with it other guesses pay."""
    helped = _known().setdefault(model, _Known()).helped
    if draft not in helped:
        small = DraftModel(draft, model.vocabulary)
        helped[draft] = Speculation([*drafters(model), small])
    return helped[draft]


@dataclass(slots=True)
class _Known:
    """What was learnt for one model: without a small model, and with each that was given."""

    auto: Speculation | None = None
    helped: WeakKeyDictionary[Model, Speculation] = field(default_factory=WeakKeyDictionary)


def _known() -> WeakKeyDictionary[Model, _Known]:
    found: WeakKeyDictionary[Model, _Known] | None = getattr(_LOCAL, "known", None)
    if found is None:
        found = _LOCAL.known = WeakKeyDictionary()
    return found
