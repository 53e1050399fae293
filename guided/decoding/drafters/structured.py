"""Copied values inside of what the grammar forces, as one tree."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import ClassVar, NamedTuple

from guided.decoding.branch import Branch
from guided.decoding.drafters.grammar import GrammarText, grammar_state
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafts import ROOT, Draft
from guided.errors import InputError
from guided.grammars.spacing import Spacing
from guided.grammars.states import GrammarState

#: How likely a copied value ends where punctuation follows in the source, and where a blank does.
_AT_PUNCTUATION, _AT_BLANK = 0.6, 0.25
#: Nodes of a copy at which it may be closed, the likeliest.
_CLOSED = 3
#: The chance of an end from which on it is looked at.
_FAINT = 0.05
_QUOTE = b'"'


class _Reached(NamedTuple):
    """A legal node: how likely it is reached, the grammar's state and the spacing after it."""

    likely: float
    state: GrammarState
    spacing: Spacing


class _End(NamedTuple):
    """A node at which the string may end: how likely in all, and how likely if it is reached."""

    chance: float
    node: int
    share: float
    state: GrammarState
    spacing: Spacing


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
        if state is None or state.is_finished or not len(copied):
            tree.graft(copied, ROOT)
            return tree.draft
        reached = self._reached(branch, state, copied)
        places = tree.graft(copied, ROOT, reached)
        ends = sorted(self._ends(branch, copied, reached), key=lambda end: -end.chance)
        for end in ends[:_CLOSED]:
            if end.node in places:
                self._close(tree, branch, copied, end, places[end.node])
        return tree.draft

    def _reached(self, branch: Branch, state: GrammarState, copied: Draft) -> dict[int, _Reached]:
        """The legal nodes of a copy, and its root."""
        reached = {ROOT: _Reached(1.0, state, self.grammar.spacing(branch, state))}
        for node, (token, parent) in enumerate(zip(copied.tokens, copied.parents, strict=True)):
            above = reached.get(parent)
            at = above.state.advance(token) if above is not None else None
            if above is not None and at is not None:
                spacing = above.spacing.after(self.vocabulary.tokens[token] or b"")
                reached[node] = _Reached(above.likely * copied.chances[node], at, spacing)
        return reached

    def _ends(self, branch: Branch, copied: Draft, reached: dict[int, _Reached]) -> Iterator[_End]:
        """Nodes of a copy at which a string may end, and the root if it may."""
        # The first child of each: that of the likelier copy.
        following: dict[int, int] = {}
        for node, parent in enumerate(copied.parents):
            following.setdefault(parent, copied.tokens[node])
        for node, at in reached.items():
            if at.spacing.in_string:
                said = branch.tokens or branch.prompt
                token = said[-1] if node == ROOT else copied.tokens[node]
                chance = self._ends_here(token, following.get(node))
                if at.likely * chance > _FAINT:
                    yield _End(at.likely * chance, node, chance, at.state, at.spacing)

    def _ends_here(self, token: int, following: int | None) -> float:
        """How likely a value ends between two tokens of the source; 0 within a word."""
        data = (self.vocabulary.tokens[token] or b"")[-1:]
        after = b"." if following is None else (self.vocabulary.tokens[following] or b"")[:1]
        if not _is_word(data) or _is_word(after):
            return 0.0
        return _AT_BLANK if after == b" " else _AT_PUNCTUATION

    def _close(self, tree: _Tree, branch: Branch, copied: Draft, end: _End, place: int) -> None:
        after = end.state.advance(self._quote) if self._quote is not None else None
        if after is None:
            return
        path = [copied.tokens[node] for node in copied.path(end.node)]
        spacing = end.spacing.copy()
        spacing.feed(_QUOTE)
        texts = [_QUOTE + text for text in after.likely_texts(spacing, 2)]
        share = end.share / len(texts)
        for text in texts:
            tokens = self.grammar.spelled(branch, path, text)
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
        for node, (token, parent) in enumerate(zip(other.tokens, other.parents, strict=True)):
            if parent not in places or (among is not None and node not in among):
                continue
            key = places[parent], token
            known = self._children.get(key)
            if known is None:
                if len(self.draft) >= self.room:
                    continue
                known = self.draft.add(token, key[0], other.chances[node], other.sources[node])
                self._children[key] = known
            places[node] = known
        return places


def _is_word(data: bytes) -> bool:
    return data.isalnum() or data >= b"\x80" or data == b"_"
