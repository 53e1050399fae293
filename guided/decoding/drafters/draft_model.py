"""A small model with the same vocabulary that guesses what the large one will say."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from guided.decoding.abilities import abilities
from guided.decoding.branch import Branch
from guided.decoding.cost import Mean
from guided.decoding.drafters.drawing import Chain, chains_of, draw_next
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.quick_chains import QuickChains
from guided.decoding.drafters.small_llama import SmallLlama
from guided.decoding.drafters.walking import Walk, grown, likely
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
#: Others' guesses that are read with a row's last tokens: the chance of each, and the most.
_LIKELY, _READ = 0.2, 16
#: The least probability of a chain to go on with where it is not known what pays, and otherwise
#: its bounds. A token beyond saves less than a pass of the large model: it widens one.
_LEAST, _BOUNDS = 0.3, (0.05, 0.95)
_SAVED = 0.6
#: Judged tokens that tell how far the draft model's own probabilities are to be trusted, and how
#: many right ones are assumed before.
_JUDGED, _ASSUMED = 200, 8
#: Differing tokens that an error names.
_NAMED = 3


@dataclass(slots=True)
class _Row:
    """What the draft model has read of a branch: its place, and the tokens in it."""

    place: Place
    tokens: list[int]


class _Trust:
    """How often tokens were right, as a share of what their probabilities promised."""

    def __init__(self) -> None:
        self._judged: deque[tuple[float, bool]] = deque(maxlen=_JUDGED)
        #: For each branch the tokens it had, what was drafted after them, and how likely.
        self._open: WeakKeyDictionary[Branch, tuple[int, list[int], list[float]]] = (
            WeakKeyDictionary()
        )

    def note(self, chain: Chain, share: float) -> None:
        """Remembers a chain, whose chances are multiplied with `share`, until it is judged."""
        promised = [chance / share for chance in chain.chances]
        self._open[chain.branch] = len(chain.branch.tokens), chain.tokens, promised

    def settle(self, branch: Branch) -> None:
        """Learns from what has come after the tokens that a chain followed."""
        begin, tokens, promised = self._open.pop(branch, (0, [], []))
        for said, token, chance in zip(branch.tokens[begin:], tokens, promised, strict=False):
            self._judged.append((chance, said == token))
            if said != token:
                return

    def share(self) -> float:
        """What to multiply probabilities with; at most 1."""
        promised = sum(chance for chance, _ in self._judged)
        right = sum(hit for _, hit in self._judged)
        return min(1.0, (right + _ASSUMED) / (promised + _ASSUMED))


class DraftModel(Drafter):
    """Draws a chain from a small model, under the branch's controls, for all branches at once.

    The choice uses the sampler and the random numbers that the large model's will use, so that
    equal laws give equal tokens. Keeps keys and values of its own, with what was wrong taken back.

    A small Llama on a CPU is run by a kernel of guided's own, from a copy of its weights, where
    nothing but a temperature changes the law; see `SmallLlama`.

    Beside other drafters it reads their guesses with a branch's last tokens, and goes along with
    those that it would have drawn: one pass of it then stands for several (cascades, Chen et al.
    2023, arXiv 2312.11462). The chain is the same as without.

    Args:
        model: a `guided.Model`, or the network of one.
        vocabulary: of the large model. That of the draft model has to be the same, except that
            one may have more columns without tokens.
        longest: most tokens of a chain.
        least: a chain ends where all of it is right with less than this probability (the
            threshold of SpecDec++, Huang et al. 2024, on the draft model's own probabilities, as
            far as these have held so far). None: where its next pass costs more than its next
            token saves, by what passes of both models have taken.

    Raises:
        InputError: another vocabulary, or a model that cannot take tokens back.
    """

    name: ClassVar[str] = "model"
    has_law: ClassVar[bool] = True
    reads_guesses: ClassVar[bool] = True

    def __init__(
        self,
        model: Model | Network,
        vocabulary: Vocabulary,
        *,
        longest: int = 16,
        least: float | None = None,
    ) -> None:
        if longest < 1 or not 0 <= (least or 0) < 1:
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
        self._trust = _Trust()
        #: Seconds of a pass of one token for each row.
        self._seconds = Mean()
        small = SmallLlama.of(self.network, vocabulary.size)
        self._quick = None if small is None else QuickChains(small, vocabulary.stop_ids, self.name)

    def propose(self, request: Request) -> list[Draft]:
        """A chain for each branch, with its laws where they are asked for."""
        room = [
            min(room, self.longest, self._left(branch))
            for branch, room in zip(request.branches, request.room, strict=True)
        ]
        if self._quick is not None and self.least is None and self._quick.can(request):
            return self._quick.drafts(request, room)
        chains = chains_of(replace(request, room=room))
        if growing := [chain for chain in chains if not chain.is_done]:
            share = self._trust.share()
            self._grow(growing, request, share)
            for chain in growing:
                self._trust.note(chain, share)
        return [chain.draft(self.name) for chain in chains]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Learns how far its probabilities hold; forgets what has ended."""
        for seen in observations:
            self._trust.settle(seen.branch)
            if seen.branch.finish_reason is not None:
                if self._quick is not None:
                    self._quick.forget(seen.branch)
                row = self._rows.pop(seen.branch, None)
                if row is not None and row.place.row is not None:
                    self._stage.drop(row.place.row)

    @property
    def passes(self) -> int:
        """Forward passes of the draft model so far."""
        return self.usage.passes + (0 if self._quick is None else self._quick.passes)

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

    def _caught_up(
        self, chains: Sequence[Chain], guesses: Sequence[Draft]
    ) -> tuple[list[Chain], list[Walk]]:
        """The chains in the order of their rows, and what comes after the branches' tokens.

        Args:
            guesses: for each chain, read behind the last token of its branch.
        """
        texts = [_text(chain.branch) for chain in chains]
        self._leave({chain.branch for chain in chains})
        self._enter([chain.branch for chain in chains], texts)
        rows = [self._rows[chain.branch] for chain in chains]
        order = self._stage.arrange([row.place for row in rows])
        rows, texts = [rows[index] for index in order], [texts[index] for index in order]
        guesses = [guesses[index] for index in order]
        for row, text in zip(rows, texts, strict=True):
            self._rewind(row, text)
        while (
            missing := max(len(t) - len(r.tokens) for r, t in zip(rows, texts, strict=True))
        ) > _CHUNK:
            stop = [max(0, len(t) - missing + _CHUNK) for t in texts]
            self._read(
                rows, [t[len(r.tokens) : s] for r, t, s in zip(rows, texts, stop, strict=True)]
            )
        # The last pass reads at least the last token of every row, to know what follows.
        new = [text[len(row.tokens) :] for row, text in zip(rows, texts, strict=True)]
        raw = self._stage.forward(
            [grown(tokens, guess) for tokens, guess in zip(new, guesses, strict=True)]
        )
        walks = [
            Walk(raw[number], tokens, guess)
            for number, (tokens, guess) in enumerate(zip(new, guesses, strict=True))
        ]
        return [chains[index] for index in order], walks

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
        return self._fitted(raw[torch.arange(len(new), device=raw.device), last])

    def _fitted(self, logits: Tensor) -> Tensor:
        return full_precision(fitted(logits, self.vocabulary.size))

    # --- drawing

    def _grow(self, chains: Sequence[Chain], request: Request, share: float) -> None:
        empty = Draft()
        guesses = [
            likely(request.guesses[chain.index], _LIKELY, _READ) if request.guesses else empty
            for chain in chains
        ]
        chains, walks = self._caught_up(chains, guesses)
        draw = partial(
            draw_next,
            trust=[share] * len(chains),
            request=request,
            stop_ids=self.vocabulary.stop_ids,
            least=self._least(request.pass_seconds),
        )
        walking = list(zip(chains, walks, strict=True))
        while walking:
            logits = torch.stack([walk.logits for _, walk in walking])
            draw([chain for chain, _ in walking], self._fitted(logits))
            walking = [
                (chain, walk)
                for chain, walk in walking
                if not chain.is_done and walk.follow(chain.tokens[-1])
            ]
        rows = [self._rows[chain.branch] for chain in chains]
        for number, (row, walk) in enumerate(zip(rows, walks, strict=True)):
            self._stage.commit(number, walk.kept)
            row.tokens.extend(walk.tokens)
        while not all(chain.is_done for chain in chains):
            began = time.perf_counter()
            logits = self._read(
                rows, [[] if chain.is_done else chain.tokens[-1:] for chain in chains]
            )
            growing = [number for number, chain in enumerate(chains) if not chain.is_done]
            draw([chains[number] for number in growing], logits[growing])
            self._seconds.add(time.perf_counter() - began)

    def _least(self, pass_seconds: float | None) -> float:
        """The probability of a chain below which going on does not pay."""
        if self.least is not None:
            return self.least
        if pass_seconds is None or self._seconds.value is None:
            return _LEAST
        low, high = _BOUNDS
        return min(high, max(low, self._seconds.value / (_SAVED * pass_seconds)))


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
