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
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.known_grammar import config_of, engine_of, token_bytes
from guided.errors import InputError
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import draft_closing
from guided.kernels.draft_closing import BEGINS_BLANK, BEGINS_WORD, ENDS_WORD

#: Nodes of a copy at which it may be closed, the likeliest.
_CLOSED = 3
_QUOTE = b'"'


class _Copy(NamedTuple):
    """A copy's nodes, and the grammar's configuration at the root and after each (0: illegal)."""

    draft: Draft
    tokens: NDArray[np.int64]
    parents: NDArray[np.int64]
    configs: NDArray[np.int64]

    def style(self, node: int, first: Style, spelling: Sequence[bytes | None]) -> Style:
        """The style after a node, where it is `first` at the root."""
        style = first
        for at in self.draft.path(node):
            style = style.after(spelling[self.draft.tokens[at]] or b"")
        return style


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

    def __init__(self, grammar: GrammarText, copies: Drafter) -> None:
        if copies.reads_logits:
            raise InputError(
                f"{type(copies).__name__} reads logits and cannot be joined; add it as a drafter "
                "of its own"
            )
        self.grammar = grammar
        self.copies = copies
        self.vocabulary = grammar.vocabulary
        self._quote = self.vocabulary.spellings.get(_QUOTE)
        self._edges = _edges(self.vocabulary)
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
        if not copied.tokens:
            return forced
        state = grammar_state(branch)
        engine = engine_of(state)
        if state is None or engine is None or state.is_finished:
            return _tree(forced, copied, [], None, room) if forced.tokens else copied
        copy = _reached(copied, config_of(state), engine)
        closings = self._closed(branch, self.grammar.style(branch, state), engine, copy)
        return _tree(forced, copied, closings, copy.configs, room)

    def _closed(
        self, branch: Branch, style: Style, engine: TokenEngine, copy: _Copy
    ) -> list[tuple[int, Draft]]:
        """What follows where the copy's string may end, with the nodes that it follows."""
        ends, shares = np.empty(_CLOSED, np.int64), np.empty(_CLOSED)
        string = draft_closing.OUTSIDE
        if style.in_string:
            string = draft_closing.ESCAPED if style.is_escaped else draft_closing.INSIDE
        text = token_bytes(self.vocabulary)
        last = branch.tokens[-1] if branch.tokens else branch.prompt[-1]
        count, strings = draft_closing.find_ends(
            copy.tokens, copy.parents, np.array(copy.draft.chances, np.float64), copy.configs, last,
            string, text.data, text.offsets, self._edges, ends, shares,
        )  # fmt: skip
        found = []
        for node, share in zip(ends[:count].tolist(), shares[:count].tolist(), strict=True):
            here = style
            if node != ROOT and strings[node + 1] <= 0:
                here = copy.style(node, style, self.vocabulary.tokens)
            chains = self._chains(branch, engine, copy, node, here)
            for tokens in chains:
                chances = [share / len(chains), *[0.9] * (len(tokens) - 1)]
                found.append((node, Draft.chain(tokens, chances, self.name)))
        return found

    def _chains(
        self, branch: Branch, engine: TokenEngine, copy: _Copy, node: int, style: Style
    ) -> list[tuple[int, ...]]:
        """The tokens that may close the string after a node, and go on from there."""
        config = int(copy.configs[node + 1])
        closed = engine.after(config, self._quote) if self._quote is not None else 0
        if not closed:
            return []
        # A quote hardly ever merges with more than the token before it, and the fewer tokens
        # count, the more often an answer is known.
        before: tuple[int, ...] = (copy.draft.tokens[node],)
        if node == ROOT:
            before = context(branch)
        after = style.after(_QUOTE)
        known, key = self._closings.of(engine), (closed, after, before)
        found = known.get(key)
        if found is None:
            texts = engine.likely_texts(closed, after.spacing, 2)
            found = known[key] = [self.grammar.spelled(before, _QUOTE + text) for text in texts]
        return found


def _reached(copied: Draft, config: int, engine: TokenEngine) -> _Copy:
    """A copy that begins in a configuration, as far as it is legal."""
    count = len(copied.tokens)
    tokens, parents = np.array(copied.tokens, np.int64), np.array(copied.parents, np.int64)
    configs = np.empty(count + 1, np.int64)
    configs[0] = config
    text = token_bytes(engine.vocabulary)
    at = 0
    while True:
        if not engine.careful:
            at = draft_closing.reach(
                tokens, parents, configs, at, engine.parser.memo.step, text.data, text.offsets
            )
        if at == count:
            return _Copy(copied, tokens, parents, configs)
        above = int(configs[parents[at] + 1])
        configs[at + 1] = engine.after(above, copied.tokens[at]) if above else 0
        at += 1


def _tree(
    forced: Draft,
    copied: Draft,
    closings: Sequence[tuple[int, Draft]],
    configs: NDArray[np.int64] | None,
    room: int,
) -> Draft:
    """One tree of what is forced, a copy as far as it is legal, and what closes it at its nodes."""
    tokens, chances = [*forced.tokens, *copied.tokens], [*forced.chances, *copied.chances]
    sources = [*forced.sources, *copied.sources]
    first = len(forced.tokens)
    parents = [*forced.parents, *[node + first if node >= 0 else ROOT for node in copied.parents]]
    for node, closing in closings:
        begin = len(tokens)
        tokens += closing.tokens
        chances += closing.chances
        sources += closing.sources
        parents += [node + first if node >= 0 else ROOT, *range(begin, len(tokens) - 1)]
    legal = np.ones(len(tokens), np.bool_)
    if configs is not None:
        legal[first : first + len(copied.tokens)] = configs[1:] != 0
    into = np.empty((3, len(tokens)), np.int64)
    size = draft_closing.join(
        np.array(tokens, np.int64), np.array(parents, np.int64), legal, room, into
    )
    placed, above, origins = into[:, :size].tolist()
    return Draft(placed, above, [chances[at] for at in origins], [sources[at] for at in origins])


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
