"""A small model with the same vocabulary that guesses what the large one will say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from guided.decoding.abilities import abilities
from guided.decoding.branch import Branch
from guided.decoding.drafters.drawing import Chain, chains_of, draw_next
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import Draft
from guided.decoding.draws import full_precision
from guided.decoding.masks import Feed
from guided.decoding.network import Network, context_length
from guided.decoding.reading import fitted
from guided.decoding.stage import Stage
from guided.decoding.trunks import Ledger, Place, Trunk
from guided.decoding.usage import Usage
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary

if TYPE_CHECKING:
    from guided.model import Model

#: New tokens of a row in one pass; more would make needless logits all at once.
_CHUNK = 32
#: Differing tokens that an error names.
_NAMED = 3


@dataclass(slots=True)
class _Row:
    """What the draft model has read of a branch: its place, and the tokens in it."""

    place: Place
    tokens: list[int]


class DraftModel(Drafter):
    """Draws a chain from a small model, under the branch's controls, for all branches at once.

    The choice uses the sampler and the random numbers that the large model's will use, so that
    equal laws give equal tokens. Keeps keys and values of its own, with what was wrong taken back.

    Args:
        model: a `guided.Model`, or the network of one.
        vocabulary: of the large model. That of the draft model has to be the same, except that
            one may have more columns without tokens.
        longest: most tokens of a chain.
        least: a chain ends where all of it is right with less than this probability (the
            threshold of SpecDec++, Huang et al. 2024, on the draft model's own probabilities).

    Raises:
        InputError: another vocabulary, or a model that cannot take tokens back.
    """

    name: ClassVar[str] = "model"
    has_law: ClassVar[bool] = True

    def __init__(
        self,
        model: Model | Network,
        vocabulary: Vocabulary,
        *,
        longest: int = 8,
        least: float = 0.3,
    ) -> None:
        if longest < 1 or not 0 <= least < 1:
            raise InputError(f"longest={longest} must be at least 1, least={least} in [0, 1)")
        self.network = model if isinstance(model, Network) else model.network
        check_vocabulary(None if isinstance(model, Network) else model.vocabulary, vocabulary)
        if isinstance(model, Network) and model.width != vocabulary.size:
            raise InputError(
                f"the draft model's logits have {model.width} columns, the vocabulary "
                f"{vocabulary.size}; a draft model needs the same tokenizer"
            )
        can = abilities(self.network)
        if not can.trees:
            raise InputError(f"this draft model cannot take tokens back: {can.reason}")
        self.vocabulary = vocabulary
        self.longest = longest
        self.least = least
        #: Passes of the draft model.
        self.usage = Usage()
        self._stage = Stage(self.network, self.usage, Ledger(), shares=can.prefixes)
        self._context = context_length(self.network.model)
        self._rows: WeakKeyDictionary[Branch, _Row] = WeakKeyDictionary()

    def propose(self, request: Request) -> list[Draft]:
        """A chain for each branch, with its laws where they are asked for."""
        room = [
            min(room, self.longest, self._left(branch))
            for branch, room in zip(request.branches, request.room, strict=True)
        ]
        chains = chains_of(replace(request, room=room))
        if growing := [chain for chain in chains if not chain.is_done]:
            growing, logits = self._caught_up(growing)
            self._grow(growing, logits, request)
        return [chain.draft(self.name) for chain in chains]

    @property
    def passes(self) -> int:
        """Forward passes of the draft model so far."""
        return self.usage.passes

    def fork(self, branch: Branch, child: Branch) -> None:
        row = self._rows.get(branch)
        if row is None:
            return
        self._rewind(row, _text(branch))
        self._stage.freeze(row.place)
        if isinstance(row.place.trunk, Trunk):
            row.place.trunk.share(1)
        self._rows[child] = _Row(row.place.copy(), list(row.tokens))

    def _left(self, branch: Branch) -> int:
        """Tokens that the draft model can still address."""
        if self._context is None:
            return self.longest
        return max(0, self._context - len(branch.prompt) - len(branch.tokens))

    # --- reading what was said

    def _caught_up(self, chains: Sequence[Chain]) -> tuple[list[Chain], Tensor]:
        """The chains in the order of their rows, and the logits `[n, V]` after their branches."""
        texts = [_text(chain.branch) for chain in chains]
        self._leave({chain.branch for chain in chains})
        self._enter([chain.branch for chain in chains], texts)
        rows = [self._rows[chain.branch] for chain in chains]
        order = self._stage.arrange([row.place for row in rows])
        rows, texts = [rows[index] for index in order], [texts[index] for index in order]
        for row, text in zip(rows, texts, strict=True):
            self._rewind(row, text)
        logits = torch.empty(0)
        while missing := max(len(t) - len(r.tokens) for r, t in zip(rows, texts, strict=True)):
            # The last pass reads at least the last token of every row, to know what follows.
            left = max(0, missing - _CHUNK)
            stop = [max(0, len(t) - left) for t in texts]
            new = [t[len(r.tokens) : s] for r, t, s in zip(rows, texts, stop, strict=True)]
            logits = self._read(rows, new)
        return [chains[index] for index in order], logits

    def _leave(self, staying: set[Branch]) -> None:
        """Forgets finished branches; what is put to rest holds nothing but what was said."""
        for branch, row in list(self._rows.items()):
            if branch.finish_reason is not None:
                del self._rows[branch]
            elif branch not in staying:
                self._rewind(row, _text(branch))

    def _enter(self, branches: Sequence[Branch], texts: Sequence[list[int]]) -> None:
        """Reads the branches that have no row, each different text once."""
        fresh: dict[tuple[int, ...], list[Branch]] = {}
        for branch, text in zip(branches, texts, strict=True):
            if branch not in self._rows:
                # Without the last token, which is read later for what follows it.
                fresh.setdefault(tuple(text[:-1] or text), []).append(branch)
        places = self._stage.read(list(fresh)).places if fresh else []
        for (read, some), place in zip(fresh.items(), places, strict=True):
            if len(some) > 1:
                self._stage.freeze(place)
                if isinstance(place.trunk, Trunk):
                    place.trunk.share(len(some) - 1)
            copies = [place, *(place.copy() for _ in some[1:])]
            for branch, copy in zip(some, copies, strict=True):
                self._rows[branch] = _Row(copy, list(read))

    def _rewind(self, row: _Row, text: Sequence[int]) -> None:
        """Takes back what is not in `text`, and its last token."""
        kept = _common(row.tokens, text[:-1])
        if row.place.row is not None:
            self._stage.rewind(row.place.row, len(row.tokens) - kept)
            del row.tokens[kept:]

    def _read(self, rows: Sequence[_Row], new: Sequence[Sequence[int]]) -> Tensor:
        """One pass over the new tokens of every row; the logits `[n, V]` after the last of each."""
        raw = self._stage.forward([Feed.chain(tokens) for tokens in new])
        for number, (row, tokens) in enumerate(zip(rows, new, strict=True)):
            self._stage.commit(number, range(len(tokens)))
            row.tokens.extend(tokens)
        last = torch.tensor([max(len(tokens), 1) - 1 for tokens in new], device=raw.device)
        logits = raw[torch.arange(len(new), device=raw.device), last]
        return full_precision(fitted(logits, self.vocabulary.size))

    # --- drawing

    def _grow(self, chains: Sequence[Chain], logits: Tensor, request: Request) -> None:
        rows = [self._rows[chain.branch] for chain in chains]
        while True:
            growing = [number for number, chain in enumerate(chains) if not chain.is_done]
            draw_next(
                [chains[number] for number in growing],
                logits[growing],
                [1.0] * len(growing),
                request,
                self.vocabulary.stop_ids,
                self.least,
            )
            if all(chain.is_done for chain in chains):
                return
            new = [[] if chain.is_done else chain.tokens[-1:] for chain in chains]
            logits = self._read(rows, new)


def check_vocabulary(found: Vocabulary | None, wanted: Vocabulary) -> None:
    """Raises InputError, naming what differs, unless equal ids spell equal text in both."""
    if found is None or found.tokens == wanted.tokens:
        return
    shorter = min(found.size, wanted.size)
    differing = [
        f"token {token} is {found.tokens[token]!r} there and {wanted.tokens[token]!r} here"
        for token in range(shorter)
        if found.tokens[token] != wanted.tokens[token]
    ]
    more = found if found.size > wanted.size else wanted
    differing += [
        f"token {token} ({more.tokens[token]!r}) is only {'there' if more is found else 'here'}"
        for token in range(shorter, more.size)
        if more.tokens[token] is not None
    ]
    if differing:
        more_of_them = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise InputError(
            "the draft model has another vocabulary: "
            + "; ".join(differing[:_NAMED])
            + more_of_them
            + ". A draft model needs the tokenizer of the model it drafts for."
        )


def _text(branch: Branch) -> list[int]:
    return [*branch.prompt, *branch.tokens]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    shortest = min(len(left), len(right))
    if left[:shortest] == right[:shortest]:
        return shortest
    return next(at for at in range(shortest) if left[at] != right[at])
