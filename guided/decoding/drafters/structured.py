"""Copied values inside of what the grammar forces, as one tree."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import ClassVar, NamedTuple

from guided.decoding.branch import Branch
from guided.decoding.drafters.grammar import GrammarText, grammar_state
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.known_grammar import config_of, engine_of
from guided.errors import InputError
from guided.grammars.spacing import Spacing
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import TokenEngine

#: How likely a copied value ends where punctuation follows in the source, and where a blank does.
_AT_PUNCTUATION, _AT_BLANK = 0.6, 0.25
#: Nodes of a copy at which it may be closed, the likeliest.
_CLOSED = 3
#: The chance of an end from which on it is looked at.
_FAINT = 0.05
_QUOTE = b'"'


class _Reached(NamedTuple):
    """A legal node: how likely it is reached, the configuration and the spacing after it."""

    likely: float
    config: int
    spacing: Spacing


class _End(NamedTuple):
    """A node at which the string may end: how likely in all, and how likely if it is reached."""

    chance: float
    node: int
    share: float


class _Edges(NamedTuple):
    """Whether a token ends with a word's character, begins with one, and begins with a blank."""

    ends_word: bool
    begins_word: bool
    begins_blank: bool


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
        self._edges: dict[int, _Edges] = {}

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
        tree = _Tree(room)
        tree.graft(forced, ROOT)
        state = grammar_state(branch)
        engine = engine_of(state) if len(copied) else None
        if state is None or engine is None or state.is_finished:
            tree.graft(copied, ROOT)
            return tree.draft
        reached = self._reached(branch, state, engine, copied)
        places = tree.graft(copied, ROOT, reached)
        ends = sorted(self._ends(branch, copied, reached), key=lambda end: -end.chance)
        for end in ends[:_CLOSED]:
            if end.node in places:
                at = reached[end.node]
                self._close(tree, branch, engine, copied, end, at, places[end.node])
        return tree.draft

    def _reached(
        self, branch: Branch, state: GrammarState, engine: TokenEngine, copied: Draft
    ) -> dict[int, _Reached]:
        """The legal nodes of a copy, and its root."""
        spacing = self.grammar.spacing(branch, state)
        reached = {ROOT: _Reached(1.0, config_of(state), spacing)}
        tokens, chances = self.vocabulary.tokens, copied.chances
        for node, (token, parent) in enumerate(zip(copied.tokens, copied.parents, strict=True)):
            above = reached.get(parent)
            config = engine.after(above.config, token) if above is not None else 0
            if above is not None and config:
                spacing = above.spacing.after(tokens[token] or b"")
                reached[node] = _Reached(above.likely * chances[node], config, spacing)
        return reached

    def _ends(self, branch: Branch, copied: Draft, reached: dict[int, _Reached]) -> Iterator[_End]:
        """Nodes of a copy at which a string may end, and the root if it may."""
        # The first child of each: that of the likelier copy.
        following: dict[int, int] = {}
        for node, parent in enumerate(copied.parents):
            following.setdefault(parent, copied.tokens[node])
        for node, at in reached.items():
            if at.likely * _AT_PUNCTUATION <= _FAINT or not at.spacing.in_string:
                continue
            said = branch.tokens or branch.prompt
            token = said[-1] if node == ROOT else copied.tokens[node]
            chance = self._ends_here(token, following.get(node))
            if at.likely * chance > _FAINT:
                yield _End(at.likely * chance, node, chance)

    def _ends_here(self, token: int, following: int | None) -> float:
        """How likely a value ends between two tokens of the source; 0 within a word."""
        if not self._edges_of(token).ends_word:
            return 0.0
        if following is None:
            return _AT_PUNCTUATION
        after = self._edges_of(following)
        if after.begins_word:
            return 0.0
        return _AT_BLANK if after.begins_blank else _AT_PUNCTUATION

    def _edges_of(self, token: int) -> _Edges:
        found = self._edges.get(token)
        if found is None:
            data = self.vocabulary.tokens[token] or b""
            found = _Edges(_is_word(data[-1:]), _is_word(data[:1]), data[:1] == b" ")
            self._edges[token] = found
        return found

    def _close(
        self,
        tree: _Tree,
        branch: Branch,
        engine: TokenEngine,
        copied: Draft,
        end: _End,
        at: _Reached,
        place: int,
    ) -> None:
        closed = engine.after(at.config, self._quote) if self._quote is not None else 0
        if not closed:
            return
        path = [copied.tokens[node] for node in copied.path(end.node)]
        texts = engine.likely_texts(closed, at.spacing.after(_QUOTE), 2)
        share = end.share / len(texts)
        for text in texts:
            tokens = self.grammar.spelled(branch, path, _QUOTE + text)
            chances = [share, *[0.9] * (len(tokens) - 1)]
            tree.graft(Draft.chain(tokens, chances, self.name), place)


class _Tree:
    """A draft to which others are added; what is there already is not added again."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.draft = Draft()
        self._children: dict[tuple[int, int], int] = {}

    def graft(
        self, other: Draft, below: int, among: Container[int] | None = None
    ) -> dict[int, int]:
        """Adds another draft below a node, as far as there is room; where its nodes are now.

        With `among` only these of its nodes.
        """
        places = {ROOT: below}
        draft, children, size = self.draft, self._children, len(self.draft)
        for node, (token, parent) in enumerate(zip(other.tokens, other.parents, strict=True)):
            above = places.get(parent)
            if above is None or (among is not None and node not in among):
                continue
            known = children.get((above, token))
            if known is None:
                if size >= self.room:
                    continue
                known = draft.add(token, above, other.chances[node], other.sources[node])
                children[above, token] = known
                size += 1
            places[node] = known
        return places


def _is_word(data: bytes) -> bool:
    return data.isalnum() or data >= b"\x80" or data == b"_"
