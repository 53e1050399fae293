"""Scores of all steps of many texts: computed anew, or only where no prefix is remembered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from guided.rewards.layouts import Written
from guided.rewards.prefix_tree import PrefixTree, Stretch
from guided.rewards.readouts import Readout
from guided.rewards.step_model import Layers, Part, StepModel

#: A common beginning is computed by itself where that saves at least so many positions.
WORTH = 32


class PlainReader:
    """Computes every text from its beginning."""

    def __init__(self, model: StepModel, readout: Readout, tokenizer: Any, batch_size: int) -> None:
        self.model, self.readout, self.tokenizer = model, readout, tokenizer
        self.batch_size = batch_size

    def read(self, texts: Sequence[Written]) -> tuple[list[list[float]], list[int]]:
        """For every text the scores of its steps, and the positions computed for it."""
        scores: dict[int, list[float]] = {}
        # Texts of similar length together, so that little is padded.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number].tokens))
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            parts = [Part(texts[number].tokens, texts[number].reads) for number in chosen]
            outputs, _ = self.model.outputs(parts, keep=False)
            values = iter(self.readout.read(outputs, self.tokenizer).tolist())
            for number in chosen:
                scores[number] = [next(values) for _ in texts[number].reads]
        return [scores[number] for number in range(len(texts))], [len(t.tokens) for t in texts]


class CachedReader:
    """Computes what no earlier text, in this call or before, had at its beginning.

    Args:
        limit: most bytes of keys and values that stay after a call.
    """

    def __init__(
        self, model: StepModel, readout: Readout, tokenizer: Any, batch_size: int, limit: int
    ) -> None:
        self.model, self.readout, self.tokenizer = model, readout, tokenizer
        self.batch_size, self.limit, self.worth = batch_size, limit, WORTH
        self.tree = PrefixTree()

    def clear(self) -> None:
        """Forgets everything."""
        self.tree = PrefixTree()

    def read(self, texts: Sequence[Written]) -> tuple[list[list[float]], list[int]]:
        """See `PlainReader.read`."""
        for text in texts:
            self.tree.add(text.tokens)
        paths = [self.tree.path(text.tokens) for text in texts]
        call = _Call(texts, paths, self.worth)
        for node in call.unread:
            self.tree.fill(node, None)
        while chains := list(call.chains()):
            chains.sort(key=lambda chain: sum(map(len, chain)))
            for at in range(0, len(chains), self.batch_size):
                self._compute(call, chains[at : at + self.batch_size])
        scores = [list(_scores(text, path)) for text, path in zip(texts, paths, strict=True)]
        self.tree.shrink(self.limit)
        return scores, call.positions

    def _compute(self, call: _Call, chains: Sequence[list[Stretch]]) -> None:
        """One pass over chains of stretches, each below what is known."""
        parts, places = list[Part](), list[tuple[Stretch, int]]()
        for chain in chains:
            before = chain[0].ancestors
            tokens = [token for node in chain for token in node.tokens]
            reads, start = list[int](), 0
            for node in chain:
                wanted = sorted(call.wanted[node])
                reads += [start + offset for offset in wanted]
                places += [(node, offset) for offset in wanted]
                start += len(node)
            past = [node.layers for node in before if node.layers is not None]
            parts.append(Part(tokens, reads, past, sum(map(len, before))))
            call.count(chain, len(tokens))
        outputs, layers = self.model.outputs(parts)
        values = self.readout.read(outputs, self.tokenizer).tolist()
        for (node, offset), value in zip(places, values, strict=True):
            node.scores[offset] = value
        for chain, made in zip(chains, layers, strict=True):
            self._keep(chain, made)

    def _keep(self, chain: Sequence[Stretch], made: Layers) -> None:
        start = 0
        for node in chain:
            end = start + len(node)
            if node.layers is None:
                self.tree.fill(node, made[:, :, start:end].clone())
            start = end


class _Call:
    """What one call has yet to compute."""

    def __init__(
        self, texts: Sequence[Written], paths: Sequence[list[Stretch]], worth: int
    ) -> None:
        self.paths, self.worth = paths, worth
        self.positions = [0] * len(texts)
        #: offsets of every stretch that scores are read at.
        self.wanted: dict[Stretch, set[int]] = defaultdict(set)
        #: the texts that every stretch is part of.
        self.users: dict[Stretch, list[int]] = defaultdict(list)
        for number, (text, path) in enumerate(zip(texts, paths, strict=True)):
            start = 0
            for node in path:
                self.users[node].append(number)
                self.wanted[node].update(
                    at - start for at in text.reads if start <= at < start + len(node)
                )
                start += len(node)

    @property
    def unread(self) -> list[Stretch]:
        """Stretches with keys and values, but without all scores that are wanted now."""
        return [
            node
            for node, wanted in self.wanted.items()
            if node.layers is not None and not wanted <= node.scores.keys()
        ]

    def chains(self) -> Iterator[list[Stretch]]:
        """Stretches to compute in one pass: of every text the first that is not known, and what
        follows, up to a branching that is worth a pass of its own."""
        first = dict.fromkeys(
            node
            for path in self.paths
            if (node := next((node for node in path if node.layers is None), None)) is not None
        )
        for node in first:
            yield from self._below([node])

    def _below(self, chain: list[Stretch]) -> Iterator[list[Stretch]]:
        last = chain[-1]
        users = self.users[last]
        after = [
            child
            for child in last.children.values()
            if child.layers is None and child in self.users
        ]
        saved = (len(users) - 1) * sum(map(len, chain))
        if not after or (len(after) > 1 and saved >= self.worth):
            yield chain
            return
        for child in after:
            yield from self._below([*chain, child])

    def count(self, chain: Sequence[Stretch], positions: int) -> None:
        """Counts computed positions for the first text that wanted them."""
        self.positions[self.users[chain[-1]][0]] += positions


def _scores(text: Written, path: Sequence[Stretch]) -> Iterator[float]:
    start = 0
    for node in path:
        end = start + len(node)
        yield from (node.scores[at - start] for at in text.reads if start <= at < end)
        start = end
