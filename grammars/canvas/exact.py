"""The completion language of a canvas as an automaton over bytes, token by token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from guided.grammars.canvas.nfa import ByteNfa
from guided.grammars.canvas.slots import Gap, Layout, Masked
from guided.grammars.vocabulary import Vocabulary

#: Of larger vocabularies only short tokens are tried in masks.
SMALL = 1024
_SHORT = 2


@dataclass
class _Trie:
    """Tokens as a tree; node 0 is the root. `ends` holds (node, byte) of every token's end."""

    children: list[dict[int, int]] = field(default_factory=lambda: [{}])
    ends: set[tuple[int, int]] = field(default_factory=set)

    def add(self, data: bytes) -> None:
        node = 0
        for byte in data[:-1]:
            table = self.children[node]
            if byte not in table:
                table[byte] = len(self.children)
                self.children.append({})
            node = table[byte]
        self.ends.add((node, data[-1]))


def mask_texts(vocabulary: Vocabulary) -> tuple[list[bytes], bool]:
    """(texts that a mask is tried with, whether these are all)."""
    texts = list(vocabulary.spellings)
    if len(texts) <= SMALL:
        return texts, True
    return [text for text in texts if len(text) <= _SHORT], False


def completion_nfa(layout: Layout, vocabulary: Vocabulary) -> tuple[ByteNfa, bool]:
    """(the automaton of all texts that fill the canvas, whether none is left out)."""
    texts, complete = mask_texts(vocabulary)
    trie = _Trie()
    for text in texts:
        trie.add(text)
    build = _Build(trie)
    accepting = set()
    at = 0
    for number in range(layout.end + 1):
        may_end = number == layout.end or bool(vocabulary.stop_ids)
        if number >= layout.text_end and may_end:
            accepting.add(at)
        if number == layout.end:
            break
        slot = layout.slots[number]
        if isinstance(slot, Gap):
            build.token(at, at)
        elif isinstance(slot, Masked):
            following = build.state()
            build.token(at, following)
            at = following
        else:
            at = build.chain(at, vocabulary.grammar_bytes(slot))
    edges = tuple((s, frozenset(label), t) for (s, t), label in build.edges.items())
    return ByteNfa(build.n_states, edges, frozenset((0,)), frozenset(accepting)), complete


@dataclass
class _Build:
    trie: _Trie
    n_states: int = 1
    edges: dict[tuple[int, int], set[int]] = field(default_factory=dict)

    def state(self) -> int:
        self.n_states += 1
        return self.n_states - 1

    def edge(self, source: int, labels: Iterable[int], target: int) -> None:
        self.edges.setdefault((source, target), set()).update(labels)

    def chain(self, at: int, data: bytes | None) -> int:
        """The state after `data`; a state without a way to it where the token spells nothing."""
        if data is None:
            return self.state()
        for byte in data:
            following = self.state()
            self.edge(at, (byte,), following)
            at = following
        return at

    def token(self, source: int, target: int) -> None:
        """Any one token of the trie leads from `source` to `target`."""
        first = self.n_states - 1
        self.n_states += len(self.trie.children) - 1
        place = [source, *range(first + 1, self.n_states)]
        for node, table in enumerate(self.trie.children):
            for byte, child in table.items():
                self.edge(place[node], (byte,), place[child])
        for node, byte in self.trie.ends:
            self.edge(place[node], (byte,), target)
