"""Where a branch stands in its grammar, as the numbers that kernels walk on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from guided.controls.grammar_mask import GrammarMask, MaskState
from guided.controls.protocol import Control
from guided.decoding.branch import Branch
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.draft_merge import FREE

_NO_STEPS = np.zeros((0, 256), np.int32)
_NO_FACTS = np.zeros((0, 4), np.int32)
#: Configurations that there is room for at first.
_FIRST_CONFIGS = 256


class TokenBytes(NamedTuple):
    """The bytes of all tokens: those of token t are `data[offsets[t] : offsets[t + 1]]`.

    A token that stands for nothing in a grammar has none.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]


# Read-only, as the bytes of all vocabularies are: kernels are compiled for these only.
_NO_BYTES = TokenBytes(np.frombuffer(b"", np.uint8), np.zeros(1, np.int64))
_BYTES: WeakKeyDictionary[Vocabulary, TokenBytes] = WeakKeyDictionary()


def token_bytes(vocabulary: Vocabulary) -> TokenBytes:
    """The bytes of a vocabulary's tokens; made once."""
    found = _BYTES.get(vocabulary)
    if found is None:
        each = [vocabulary.grammar_bytes(token) or b"" for token in range(vocabulary.size)]
        offsets = np.zeros(len(each) + 1, np.int64)
        np.cumsum([len(data) for data in each], out=offsets[1:])
        found = _BYTES[vocabulary] = TokenBytes(np.frombuffer(b"".join(each), np.uint8), offsets)
    return found


class Ends:
    """Configurations of one grammar after which nothing but a stop token may come.

    Attributes:
        known: bool, for the configurations up to its length whether they were found to be such.
    """

    def __init__(self) -> None:
        self.known = np.zeros(_FIRST_CONFIGS, np.bool_)

    def has(self, engine: TokenEngine, config: int) -> bool:
        """Whether nothing but a stop token may follow a configuration, whatever the budget is."""
        if config < len(self.known) and self.known[config]:
            return True
        if engine.parser.is_accepting(config) and (engine.mask(config) == engine.stop_mask).all():
            if config >= len(self.known):
                self.known = np.concatenate((self.known, np.zeros(config + 1, np.bool_)))
            self.known[config] = True
            return True
        return False


class About(NamedTuple):
    """What does not change from one configuration of a grammar to the next."""

    bytes: TokenBytes
    ends: Ends


_ABOUT: WeakKeyDictionary[TokenEngine, About] = WeakKeyDictionary()
#: The grammar that was asked for last: a weak dictionary takes longer to ask.
_LAST_ABOUT: list[tuple[Callable[[], TokenEngine | None], About]] = [
    (lambda: None, About(_NO_BYTES, Ends()))
]


def _about(engine: TokenEngine) -> About:
    last, known = _LAST_ABOUT[0]
    if last() is engine:
        return known
    found = _ABOUT.get(engine)
    if found is None:
        found = _ABOUT[engine] = About(token_bytes(engine.vocabulary), Ends())
    _LAST_ABOUT[0] = ref(engine), found
    return found


class Known(NamedTuple):
    """A configuration of a parser, and what is left of the token budget.

    Attributes:
        engine: None where there is no grammar.
        config: `FREE` where there is none.
        left: tokens left; -1: any number.
        at: the index of its control among the branch's.
        about: the rest of what kernels want to know of the grammar.
    """

    engine: TokenEngine | None
    config: int
    left: int
    at: int
    about: About

    @property
    def steps(self) -> NDArray[np.int32]:
        """The parser's steps that were made so far."""
        return _NO_STEPS if self.engine is None else self.engine.parser.memo.step

    @property
    def facts(self) -> NDArray[np.int32]:
        """What is known of its configurations."""
        return _NO_FACTS if self.engine is None else self.engine.parser.memo.config


_FREE = Known(None, FREE, -1, -1, About(_NO_BYTES, Ends()))


def known_grammar(branch: Branch) -> Known | None:
    """Where a branch stands; None where more than a grammar decides what may come next."""
    at = branch.notes.get(_PLACE)
    if at is None:
        at = branch.notes[_PLACE] = _place_of(branch.pipeline.controls)
    if at < 0:
        return _FREE if at == _NOWHERE else None
    return _known(branch.states[at], at)


#: Under which branches hold where the control of their grammar is, or one of the others.
_PLACE = object()
_NOWHERE, _NOT_ALONE = -1, -2


def _place_of(controls: Sequence[Control]) -> int:
    """Where the only control that forbids tokens, or ends sequences, but by the law is."""
    kinds: list[tuple[int, type]] = [(at, type(control)) for at, control in enumerate(controls)]
    limiting = [(at, kind) for at, kind in kinds if kind is GrammarMask or not _is_harmless(kind)]
    if not limiting:
        return _NOWHERE
    (at, kind), *others = limiting
    return _NOT_ALONE if others or kind is not GrammarMask else at


def _known(state: object, at: int) -> Known | None:
    if type(state) is not MaskState or state.thinking is not None:
        return None
    grammar = state.grammar
    engine = engine_of(grammar)
    if engine is None or engine.careful or grammar.is_finished:
        return None
    left = -1 if state.left is None else state.left
    return Known(engine, grammar.config, left, at, _about(engine))


def engine_of(state: object) -> TokenEngine | None:
    """The engine that the state's configuration belongs to; None for states of another kind, and
    where the parser has to be started afresh.
    """
    if type(state) is not GrammarState:
        return None
    engine = state.engine
    return None if engine.parser.full else engine


@lru_cache(maxsize=256)
def _is_harmless(kind: type[Control]) -> bool:
    """Whether such controls never forbid a token or end a sequence but by the law."""
    return (
        kind.allows is Control.allows
        and kind.follow is Control.follow
        and kind.finish is Control.finish
    )
