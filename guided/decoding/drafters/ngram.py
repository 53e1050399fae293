"""N-grams that remember the model's logits: drafts with a law of their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.decoding.drafters.drawing import Chain, chains_of, draw_next
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafts import Draft
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.ngram_rows import blend
from guided.kernels.top_k import top_k

#: Bits of a token id within the key of an n-gram, which is exact.
_BITS = 32
#: How far the law after n known tokens is to be believed, from n = 1 on.
_TRUST = (0.5, 0.7, 0.85, 0.95)
#: Laws of one n-gram over which the mean is taken.
_MEAN_OF = 8
#: The probability of a whole chain below which it is not worth going on.
_LEAST = 0.1


class LogitNgram(Drafter):
    """Draws from what the model's law was after the same last tokens.

    Tables from n-grams (the longest that is known counts) to the most likely tokens of the model's
    law there, the mean of all times that it was seen; one for all branches, so that several
    answers to one prompt teach each other. Drawn under the branch's controls with the sampler's
    own random numbers: a genuine law, for chain verifiers too (as ADED and STAND, Song et al.
    2025, do).

    Args:
        vocabulary: of the model.
        n_max: tokens of the longest n-gram, up to 4.
        k: tokens kept of each law.
        capacity: n-grams kept; the oldest make room for new ones.
    """

    name: ClassVar[str] = "ngram"
    has_law: ClassVar[bool] = True
    reads_logits: ClassVar[bool] = True

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        n_max: int = 4,
        k: int = 16,
        capacity: int = 1 << 16,
    ) -> None:
        if not 1 <= n_max <= len(_TRUST):
            raise InputError(f"n_max={n_max} must be from 1 to {len(_TRUST)}")
        if k < 1 or capacity < 1:
            raise InputError(f"k={k} and capacity={capacity} must be at least 1")
        self.vocabulary = vocabulary
        self.n_max = n_max
        self.k = k
        self._store = _Store(capacity, k)

    @property
    def n_bytes(self) -> int:
        """Bytes of the kept laws."""
        return self._store.n_bytes

    def propose(self, request: Request) -> list[Draft]:
        """A chain for each branch, with its laws where they are asked for."""
        chains = chains_of(request)
        while growing := [chain for chain in chains if not chain.is_done]:
            found = [(chain, self._longest(chain)) for chain in growing]
            known = [(chain, order, slot) for chain, (order, slot) in found if order > 0]
            for chain, (order, _) in found:
                chain.is_done = order == 0
            if not known:
                break
            logits = self._store.logits([slot for _, _, slot in known], self.vocabulary.size)
            draw_next(
                [chain for chain, _, _ in known],
                logits,
                [_TRUST[order - 1] for _, order, _ in known],
                request,
                self.vocabulary.stop_ids,
                _LEAST,
            )
        return [chain.draft(self.name) for chain in chains]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Takes in the laws of all tokens that were drawn."""
        for seen in observations:
            if len(seen.tokens) == 0:
                continue
            values, ids = top_k(seen.logits, self.k)
            weights = _probabilities(seen, values)
            context = _last(seen, self.n_max)
            keys, rows = [], []
            for row in range(len(seen.tokens)):
                before = context[: len(context) - len(seen.tokens) + row]
                for key in _keys(before, self.n_max):
                    keys.append(key)
                    rows.append(row)
            self._store.add(keys, ids.cpu().numpy()[rows], weights.cpu().numpy()[rows])

    def _longest(self, chain: Chain) -> tuple[int, int]:
        """(length, place) of the longest known n-gram at the chain's end, (0, -1) if none is."""
        said = chain.tokens[-self.n_max :]
        if len(said) < self.n_max:
            missing = self.n_max - len(said)
            tokens = chain.branch.tokens[-missing:]
            if len(tokens) < missing:
                tokens = [*chain.branch.prompt[len(tokens) - missing :], *tokens]
            said = [*tokens, *said]
        keys = _keys(said, self.n_max)
        for order in range(len(keys), 0, -1):
            slot = self._store.find(keys[order - 1])
            if slot >= 0:
                return order, slot
        return 0, -1


class _Store:
    """Short lists (token, probability) by key, in slabs; first in, first out."""

    def __init__(self, capacity: int, k: int) -> None:
        self.capacity = capacity
        self._slots: dict[int, int] = {}
        self._room = min(capacity, 1024)
        self._ids: NDArray[np.int32] = np.full((self._room, k), -1, np.int32)
        self._weights: NDArray[np.float32] = np.zeros((self._room, k), np.float32)
        self._counts: NDArray[np.int32] = np.zeros(self._room, np.int32)

    @property
    def n_bytes(self) -> int:
        return self._ids.nbytes + self._weights.nbytes + self._counts.nbytes

    def find(self, key: int) -> int:
        return self._slots.get(key, -1)

    def add(
        self, keys: Sequence[int], ids: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> None:
        slots = np.array([self._slot(key) for key in keys], np.int64)
        blend(
            self._ids,
            self._weights,
            self._counts,
            slots,
            ids.astype(np.int32),
            weights.astype(np.float32),
            _MEAN_OF,
        )

    def _slot(self, key: int) -> int:
        slot = self._slots.get(key)
        if slot is not None:
            return slot
        slot = len(self._slots)
        if slot == self.capacity:
            oldest = next(iter(self._slots))
            slot = self._slots.pop(oldest)
            self._ids[slot] = -1
            self._counts[slot] = 0
        elif slot == self._room:
            self._grow()
        self._slots[key] = slot
        return slot

    def _grow(self) -> None:
        more = min(self.capacity, 2 * self._room) - self._room
        self._ids = np.pad(self._ids, ((0, more), (0, 0)), constant_values=-1)
        self._weights = np.pad(self._weights, ((0, more), (0, 0)))
        self._counts = np.pad(self._counts, (0, more))
        self._room += more

    def logits(self, slots: Sequence[int], width: int) -> Tensor:
        """Log-probabilities `[n, width]`, -inf for all tokens that are not kept."""
        rows = torch.full((len(slots), width), -torch.inf)
        for row, slot in enumerate(slots):
            ids = self._ids[slot]
            is_there = (ids >= 0) & (self._weights[slot] > 0)
            kept = torch.from_numpy(ids[is_there].astype(np.int64))
            rows[row, kept] = torch.from_numpy(np.log(self._weights[slot][is_there]))
        return rows


def _keys(tokens: Sequence[int], n_max: int) -> list[int]:
    """The keys of the last 1, 2, … tokens."""
    keys = []
    key = 0
    for token in islice(reversed(tokens), n_max):
        # Ids count from 1, so that n-grams of different lengths have different keys.
        key = key << _BITS | (token + 1)
        keys.append(key)
    return keys


def _last(seen: Observation, n_max: int) -> list[int]:
    """The new tokens with up to `n_max` before them."""
    branch, wanted = seen.branch, len(seen.tokens) + n_max
    tokens = branch.tokens[-wanted:]
    missing = wanted - len(tokens)
    return [*branch.prompt[-missing:], *tokens] if missing else tokens


def _probabilities(seen: Observation, values: Tensor) -> Tensor:
    """The raw law's probabilities of its greatest logits; the branch knows those of its tokens."""
    ids = torch.tensor(list(seen.tokens), device=seen.logits.device)
    drawn = seen.logits.gather(1, ids[:, None])[:, 0].double()
    log_p = torch.tensor(seen.branch.log_p[-len(seen.tokens) :], dtype=torch.float64)
    total = drawn - log_p.to(drawn.device)
    return (values.double() - total[:, None]).exp().float()
