"""The drafts of grammar, lookup and suffixes as one tree, where at most a grammar decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guided.decoding.branch import Branch
from guided.decoding.drafters.copying import CopyText
from guided.decoding.drafters.grammar import GrammarText, grammar_state
from guided.decoding.drafters.lookup import Lookup
from guided.decoding.drafters.protocol import Drafter
from guided.decoding.drafters.structured import SURE, Closing, Structured, string_at
from guided.decoding.drafters.suffix import Suffix
from guided.decoding.drafts import Draft, Nodes
from guided.decoding.known_grammar import Known, known_grammar
from guided.decoding.merging_known import KnownMerging, form_of, sorted_ids
from guided.grammars.token_engine import TokenEngine
from guided.kernels import draft_joint
from guided.kernels.direct_calls import Direct
from guided.kernels.draft_merge import N_COLUMNS

_copy, _grow = Direct(draft_joint.copy), Direct(draft_joint.grow)
_free = Direct(draft_joint.free)
_NOTHING = Nodes(np.empty((0, 3), np.int64), np.empty(0))
_NO_WAYS, _NO_SHARES = np.empty(0, np.int64), np.empty(0)


class Joint:
    """Drafts the very trees that `Structured` and `Suffix` have when they are merged.

    Each of them asks several kernels, and what lies between the calls takes most of the time: here
    two kernels do it all, but for what only the grammar's texts can say.
    """

    def __init__(self, structured: Structured, lookup: Lookup, suffix: Suffix) -> None:
        self._structured = structured
        self._grammar = structured.grammar
        self._lookup = lookup
        self._suffix = suffix
        # What the kernels work in.
        self._ends = np.empty(structured.most_ends, np.int64)
        self._shares = np.empty(structured.most_ends)
        self._stays = np.empty(structured.most_ends, np.bool_)
        self._make_room(32)

    def _make_room(self, room: int) -> None:
        self._room = room
        self._copied = Nodes(np.empty((room, 3), np.int64), np.empty(room))
        self._configs = np.empty(room + 1, np.int64)
        self._parts = np.empty((2, room, 3), np.int64)
        self._part_chances = np.empty((2, room))
        self._tree = np.empty((2 * room, N_COLUMNS), np.int64)

    @classmethod
    def of(cls, drafters: Sequence[Drafter]) -> Joint | None:
        """For these drafters, None where they are others."""
        if len(drafters) != 2:
            return None
        first, second = drafters
        if type(first) is not Structured or type(second) is not Suffix:
            return None
        lookup = first.copies
        if type(first.grammar) is not GrammarText or type(lookup) is not Lookup:
            return None
        return cls(first, lookup, second)

    def draft(self, branch: Branch, room: int, stop_ids: frozenset[int]) -> Draft | None:
        """The tree for a branch; None where more than a grammar decides."""
        known = known_grammar(branch)
        if known is None or room < 1:
            return None
        if room != self._room:
            self._make_room(room)
        if known.engine is None:
            return self._without_grammar(branch, room, stop_ids, known)
        engine, config = known.engine, known.config
        forced = self._grammar.guess(branch, room)
        given = forced.nodes if len(forced) else _NOTHING
        text, suffix = self._lookup.text(branch), self._suffix
        copied, closings = self._copy(branch, engine, config, given, text)
        ways, shares = self._structured.ways(closings) if closings else (_NO_WAYS, _NO_SHARES)
        own, pool, about = suffix.own(branch), suffix.pool, known.about
        fresh, words = len(branch.tokens) - own.taken, text.arrays[1]
        new, said = words[text.count - fresh :], words[max(0, text.count - suffix.looks) :]
        nodes, chances = np.empty((2 * room, 3), np.int64), np.empty(2 * room)
        one, other, size = _grow(
            *given, *copied, self._configs, ways, shares, self._structured.source, pool.ring,
            pool.total, own.last, new, said, suffix.factor, suffix.offset, suffix.least,
            suffix.source,
            form_of(branch, known, "tree"), known.steps, known.facts, *about.bytes,
            about.ends.known, sorted_ids(stop_ids), self._parts, self._part_chances, self._tree,
            nodes, chances,
        )  # fmt: skip
        suffix.took(branch, fresh)
        if size >= 0:
            return Draft.of(nodes[:size], chances[:size])
        tree = KnownMerging(branch, stop_ids, "tree", known)
        for part, count in enumerate((one, other)):
            tree.add(Draft.of(self._parts[part, :count], self._part_chances[part, :count]))
        return tree.draft

    def _without_grammar(
        self, branch: Branch, room: int, stop_ids: frozenset[int], known: Known
    ) -> Draft:
        """The same where every token may come."""
        lookup, suffix, about = self._lookup, self._suffix, known.about
        text = lookup.text(branch)
        said, words = text.arrays
        own, pool = suffix.own(branch), suffix.pool
        fresh = len(branch.tokens) - own.taken
        nodes, chances = np.empty((2 * room, 3), np.int64), np.empty(2 * room)
        size = _free(
            said, words, text.prompt, lookup.n_max, text.state, lookup.spare(room), lookup.longest,
            lookup.source, pool.ring, pool.total, own.last, words[text.count - fresh :],
            words[max(0, text.count - suffix.looks) :], suffix.factor, suffix.offset, suffix.least,
            suffix.source, form_of(branch, known, "tree"), known.steps, known.facts, *about.bytes,
            about.ends.known, sorted_ids(stop_ids), self._parts, self._part_chances, self._tree,
            nodes, chances,
        )  # fmt: skip
        suffix.took(branch, fresh)
        return Draft.of(nodes[:size], chances[:size])

    def _copy(
        self, branch: Branch, engine: TokenEngine, config: int, forced: Nodes, text: CopyText
    ) -> tuple[Nodes, list[Closing]]:
        """A copy from the text, with the configurations after its nodes, and what closes it."""
        lookup, structured = self._lookup, self._structured
        state = grammar_state(branch)
        if state is None:
            raise TypeError("a known grammar without a state")
        style = self._grammar.style(branch, state)
        configs, (nodes, chances) = self._configs, self._copied
        configs[0] = config
        is_sure = len(forced.chances) > 0 and forced.chances[0] >= SURE
        first = int(forced.numbers[0, 0]) if is_sure else -1
        string = string_at(style)
        count, at, found = _copy(
            *text.arrays, text.prompt, lookup.n_max, text.state, lookup.spare(self._room),
            lookup.longest, lookup.source, first, nodes, chances, configs,
            engine.parser.memo.step, string, *structured.bytes, structured.edges, self._ends,
            self._stays, self._shares,
        )  # fmt: skip
        copied = Nodes(nodes[:count], chances[:count])
        if count == 0:
            return copied, []
        if at == count:
            ends = list(
                zip(
                    self._ends[:found].tolist(),
                    self._shares[:found].tolist(),
                    self._stays[:found].tolist(),
                    strict=True,
                )
            )
        else:
            draft = Draft.of(*copied)
            ends = structured.ends(branch, string, engine, draft, configs[: count + 1])
        if not ends:
            return copied, []
        return copied, structured.closings(branch, style, engine, copied, configs, ends)
