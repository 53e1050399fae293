"""Copied values inside of what the grammar forces, as one tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.decoding.branch import Branch
from guided.decoding.drafters.grammar import GrammarText, context, grammar_state
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.remembered import Remembered
from guided.decoding.drafters.style import Style
from guided.decoding.drafts import ROOT, Draft, Nodes, source_number
from guided.decoding.known_grammar import engine_of, token_bytes
from guided.errors import InputError
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import draft_closing
from guided.kernels.direct_calls import Direct
from guided.kernels.draft_closing import BEGINS_BLANK, BEGINS_WORD, ENDS_WORD

_find_ends, _join = Direct(draft_closing.find_ends), Direct(draft_closing.join)
#: Nodes of a copy at which it may be closed, the likeliest.
_CLOSED = 3
_QUOTE = b'"'
#: The chance of a forced token from which on copies that begin with another one are left out.
SURE = 0.9


class Closing(NamedTuple):
    """Tokens that close a copy after one of its nodes, and how likely the first one is."""

    node: int
    tokens: tuple[int, ...]
    share: float


class Structured(Drafter):
    """What the grammar forces and what `copies` drafts, joined: copied strings are closed.

    Inside of a JSON string a copy from the prompt does not know where the value ends. At the ends
    of its words, and where the value has got to the end of one, the tree gets a branch on which
    the string is closed and the grammar goes on with the next key, so that one pass may cover a
    value and all that is forced after it.

    Args:
        grammar: drafts what is forced.
        copies: drafts what is inside of strings, such as `Lookup`.

    Raises:
        InputError: `copies` reads logits; add such a drafter beside this one.
    """

    name: ClassVar[str] = "closing"
    #: At how many nodes a copy may be closed.
    most_ends: ClassVar[int] = _CLOSED

    def __init__(self, grammar: GrammarText, copies: Drafter) -> None:
        if copies.reads_logits:
            raise InputError(
                f"{type(copies).__name__} reads logits and cannot be joined; add it as a drafter "
                "of its own"
            )
        self.grammar = grammar
        self.copies = copies
        self.vocabulary = grammar.vocabulary
        self.source = source_number(self.name)
        self._quote = self.vocabulary.spellings.get(_QUOTE)
        self.bytes = token_bytes(self.vocabulary)
        self.edges = _edges(self.vocabulary)
        self._closings: Remembered[list[tuple[int, ...]]] = Remembered()

    def propose(self, request: Request) -> list[Draft]:
        """A tree; where laws are to be kept what is forced, or else the copy."""
        forced, copied = self.grammar.propose(request), self.copies.propose(request)
        if request.keeps_laws:
            return [one if len(one) else other for one, other in zip(forced, copied, strict=True)]
        return [
            self._joined(branch, one, other, room)
            for branch, one, other, room in zip(
                request.branches, forced, copied, request.room, strict=True
            )
        ]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Shows both what came out."""
        self.grammar.observe(observations)
        self.copies.observe(observations)

    def fork(self, branch: Branch, child: Branch) -> None:
        self.grammar.fork(branch, child)
        self.copies.fork(branch, child)

    def _joined(self, branch: Branch, forced: Draft, copied: Draft, room: int) -> Draft:
        if not len(copied) or _contradicts(copied, forced):
            return forced
        state = grammar_state(branch)
        engine = engine_of(state)
        if state is None or engine is None or state.is_finished:
            configs = np.ones(len(copied) + 1, np.int64)
            return self._tree(forced, copied, configs, [], room) if len(forced) else copied
        configs = np.empty(len(copied) + 1, np.int64)
        configs[0] = state.config
        style = self.grammar.style(branch, state)
        closings = self._closed(branch, style, engine, copied, configs)
        if not closings and not len(forced) and configs.all():
            return copied
        return self._tree(forced, copied, configs, closings, room)

    def _closed(
        self,
        branch: Branch,
        style: Style,
        engine: TokenEngine,
        copied: Draft,
        configs: NDArray[np.int64],
    ) -> list[Closing]:
        """What follows where a copy's string may end.

        Args:
            configs: is filled with the grammar's configurations after the copy's nodes, 0: illegal.
        """
        ends = self.ends(branch, string_at(style), engine, copied, configs)
        return self.closings(branch, style, engine, copied.nodes, configs, ends)

    def closings(
        self,
        branch: Branch,
        style: Style,
        engine: TokenEngine,
        copied: Nodes,
        configs: NDArray[np.int64],
        ends: Sequence[tuple[int, float, bool]],
    ) -> list[Closing]:
        """What follows at the ends that `ends` has found."""
        found = []
        for node, share, stays in ends:
            here = style
            if node != ROOT and not stays:
                draft = Draft.of(*copied)
                for at in draft.path(node):
                    here = here.after(self.vocabulary.tokens[draft.tokens[at]] or b"")
            config = configs.item(node + 1)
            before = context(branch) if node == ROOT else (copied.numbers.item(node, 0),)
            chains = self._chains(engine, config, before, here)
            found += [Closing(node, tokens, share / len(chains)) for tokens in chains]
        return found

    def ends(
        self,
        branch: Branch,
        string: int,
        engine: TokenEngine,
        copied: Draft,
        configs: NDArray[np.int64],
    ) -> list[tuple[int, float, bool]]:
        """The nodes at which a copy's string may end, how likely each is, and whether the way there
        stays in one string.
        """
        ends, shares = np.empty(_CLOSED, np.int64), np.empty(_CLOSED)
        nodes, chances = copied.nodes
        data, offsets = self.bytes
        last = branch.tokens[-1] if branch.tokens else branch.prompt[-1]
        at = 0
        while engine.careful and at < len(copied):
            at = _ask(engine, copied, configs, at)
        while True:
            at, count, strings = _find_ends(
                nodes, chances, configs, at, engine.parser.memo.step, last, string, data, offsets,
                self.edges, ends, shares,
            )  # fmt: skip
            if at == len(copied):
                break
            at = _ask(engine, copied, configs, at)
        return [
            (node, share, strings[node + 1] > 0)
            for node, share in zip(ends[:count].tolist(), shares[:count].tolist(), strict=True)
        ]

    def _chains(
        self, engine: TokenEngine, config: int, before: tuple[int, ...], style: Style
    ) -> list[tuple[int, ...]]:
        """The tokens that may close a string after others, and go on from there.

        A quote hardly ever merges with more than the token before it, and the fewer tokens count
        in `before`, the more often an answer is known.
        """
        closed = engine.after(config, self._quote) if self._quote is not None else 0
        if not closed:
            return []
        after = style.after(_QUOTE)
        known, key = self._closings.of(engine), (closed, after, before)
        found = known.get(key)
        if found is None:
            texts = engine.likely_texts(closed, after.spacing, 2)
            found = known[key] = [self.grammar.spelled(before, _QUOTE + text) for text in texts]
        return found

    def _tree(
        self,
        forced: Draft,
        copied: Draft,
        configs: NDArray[np.int64],
        closings: Sequence[Closing],
        room: int,
    ) -> Draft:
        """One tree of what is forced, a copy as far as it is legal, and what closes it."""
        ways, shares = self.ways(closings)
        nodes, chances = np.empty((room, 3), np.int64), np.empty(room)
        size = _join(
            *forced.nodes, *copied.nodes, configs, ways, shares, self.source, room, nodes, chances
        )
        return Draft.of(nodes[:size], chances[:size])

    def ways(self, closings: Sequence[Closing]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Closings as `draft_closing.joined` reads them."""
        count = sum([2 + len(closing.tokens) for closing in closings])
        # One by one: arrays take longer to be made of lists.
        ways, shares = np.empty(count, np.int64), np.empty(len(closings))
        at = 0
        for number, (node, tokens, share) in enumerate(closings):
            shares[number], ways[at], ways[at + 1] = share, node, len(tokens)
            at += 2
            for token in tokens:
                ways[at] = token
                at += 1
        return ways, shares


def string_at(style: Style) -> int:
    """Where a text stands, as kernels call it."""
    if not style.in_string:
        return draft_closing.OUTSIDE
    return draft_closing.ESCAPED if style.is_escaped else draft_closing.INSIDE


def _contradicts(copied: Draft, forced: Draft) -> bool:
    """Whether a copy begins with other tokens than the one that is all but sure to come."""
    if not len(forced) or forced.nodes.chances[0] < SURE:
        return False
    first, (tokens, parents, _) = forced.nodes.numbers[0, 0], copied.nodes.numbers.T
    return not ((tokens == first) & (parents == ROOT)).any()


def _ask(engine: TokenEngine, copied: Draft, configs: NDArray[np.int64], at: int) -> int:
    """Fills in the configuration after a node, as the grammar says; the node after it."""
    above = int(configs[copied.parents[at] + 1])
    configs[at + 1] = engine.after(above, copied.tokens[at]) if above else 0
    return at + 1


def _edges(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Of every token whether it ends with a word's character, begins with one, or with a blank."""
    found = np.zeros(vocabulary.size, np.uint8)
    for token, data in enumerate(vocabulary.tokens):
        if data:
            found[token] = (
                ENDS_WORD * _is_word(data[-1:])
                + BEGINS_WORD * _is_word(data[:1])
                + BEGINS_BLANK * (data[:1] == b" ")
            )
    return found


def _is_word(data: bytes) -> bool:
    return data.isalnum() or data >= b"\x80" or data == b"_"
