"""What tries and proposals should be, by enumeration, and draws that follow a script."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from guided.controls import Temperature, TopK
from guided.controls.protocol import Control
from guided.decoding import Decoder
from guided.grammars.regex import regex
from guided.model import Model
from guided.search.aligned.prefix_trie import Node, PrefixTrie
from guided.search.aligned.proposal import Opening, Proposal
from guided.search.aligned.walks import Walks
from guided.testing import enumerate_sequences, table_model

Tokens = tuple[int, ...]
STOP = 0


@dataclass(frozen=True)
class Toy:
    """A language over a table model, small enough to be enumerated.

    Attributes:
        controls: that edit the law before the mask; `options`: what asks `run` for the same.
    """

    model: Model
    pattern: str
    limit: int
    controls: tuple[Control, ...] = ()
    options: dict = field(default_factory=dict)

    @property
    def prompt(self) -> Tokens:
        return tuple(self.model.encode("ab"))

    @property
    def run_options(self) -> dict:
        return {
            "regex": self.pattern,
            "max_new_tokens": self.limit,
            "heal": False,
            "draft": None,
            **self.options,
        }

    def law(self) -> dict[Tokens, float]:
        """P(w) of every text of the language, stop token included."""
        return dict(self._law)

    @cached_property
    def _law(self) -> dict[Tokens, float]:
        whole = enumerate_sequences(self.model, self.prompt, self.controls, self.limit)
        return {
            w: p
            for w, p in whole.items()
            if w[-1] == STOP and re.fullmatch(self.pattern, self.model.decode(w))
        }

    def proposal(
        self,
        trie: PrefixTrie | None = None,
        opening: Opening = Opening.NOWHERE,
        masks_root: bool = True,
    ) -> Proposal:
        made = Proposal(regex(self.pattern), opening=opening, masks_root=masks_root)
        made.trie = trie
        return made

    def proposed(self, proposal: Proposal) -> dict[Tokens, float]:
        """The exact law of one draw; texts outside of the language end where they leave it."""
        return enumerate_sequences(self.model, self.prompt, [*self.controls, proposal], self.limit)

    def drawn(self, proposal: Proposal, scripts: Sequence[Tokens]) -> Walks:
        """A round in which exactly these texts are drawn."""
        decoder = Decoder(self.model.network, self.model.vocabulary, Scripted(scripts))
        controls = [*self.controls, proposal]
        branches = decoder.open(
            [self.prompt] * len(scripts),
            [controls] * len(scripts),
            max_new_tokens=self.limit,
            rows=range(len(scripts)),
        )
        assert proposal.trie is not None
        walks = Walks(proposal, proposal.trie, branches)
        decoder.extend(branches, walks.seen)
        return walks

    def learn(self, proposal: Proposal, scripts: Sequence[Tokens]) -> None:
        """Draws these texts in one round and lets the trie learn them."""
        walks = self.drawn(proposal, scripts)
        for walk in walks.close():
            walks.learn(walk)


class Scripted:
    """A sampler that draws given tokens; the streams' rows are the numbers of the texts."""

    is_random = True

    def __init__(self, scripts: Sequence[Tokens]) -> None:
        self.scripts = scripts

    def draw(self, logits, streams):
        tokens = torch.tensor([self.scripts[s.row][s.position] for s in streams])
        law = logits.double().log_softmax(-1)
        return tokens, law.gather(1, tokens[:, None])[:, 0]


def prefix_of(node: Node) -> Tokens:
    tokens: list[int] = []
    while node.parent is not None:
        tokens.append(node.token)
        node = node.parent
    return tuple(tokens[::-1])


def futures(law: dict[Tokens, float], trie: PrefixTrie) -> list[tuple[Node, float]]:
    """Every node of a trie with c(u), the probability that its prefix is completed legally."""
    found = []
    for node in trie.nodes():
        prefix, log_p, at = prefix_of(node), 0.0, node
        while at.parent is not None:
            log_p, at = log_p + at.log_p, at.parent
        below = math.fsum(p for w, p in law.items() if w[: len(prefix)] == prefix)
        found.append((node, below / math.exp(log_p)))
    return found


def variation(p: dict[Tokens, float], q: dict[Tokens, float]) -> float:
    return math.fsum(abs(p.get(w, 0.0) - q.get(w, 0.0)) for w in p.keys() | q.keys()) / 2


#: 17 words of five bits: one begins with 0, sixteen with 1.
BITS = Toy(table_model(tokens=[b"a", b"b"], seed=4, spread=2), "a{5}|b[ab]{4}", 6)
#: Words with several tokenizations, some of which the limit of tokens cuts off.
SPELLED = Toy(
    table_model(tokens=[b"a", b"b", b"ab", b"c"], seed=3, spread=3), "a(b|c){0,2}|cab?|(ab){2}", 4
)
COOL = Toy(SPELLED.model, SPELLED.pattern, 5, (Temperature(0.6),), {"temperature": 0.6})
#: The truncation leaves nothing legal behind some legal prefixes.
CUT = Toy(
    table_model(tokens=[b"a", b"b", b"c"], seed=5, spread=3),
    "[ab]{1,3}c?",
    6,
    (TopK(3),),
    {"top_k": 3},
)
#: Probabilities down to 1e-64: a difference of bounds would be rounding.
STEEP = Toy(table_model(tokens=[b"a", b"b"], seed=2, spread=120), "[ab]{2}", 3)
TOYS = {"bits": BITS, "spelled": SPELLED, "cool": COOL, "cut": CUT, "steep": STEEP}
