"""Copies are those of a plain search through the text, and stay aligned across a correction."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from guided.kernels.copy_lookup import COPIED, SOURCE, look_up

Guess = tuple[list[int], list[int], list[float]]


@dataclass
class Plain:
    """Prompt lookup in plain Python, by an index of every n-gram."""

    prompt: int
    n_max: int
    said: list[int] = field(default_factory=list)
    text: list[int] = field(default_factory=list)
    source: int = -1
    copied: int = 0

    def add(self, token: int, bare: int) -> None:
        self.text.append(token)
        self.said.append(bare)
        if self.source < 0:
            return
        if self.said[self.source] == bare:
            self.source, self.copied = self.source + 1, self.copied + 1
            return
        was_settled, self.copied = self.copied >= 3, 0
        after = range(self.source + 1, min(self.source + 9, len(self.said) - 1))
        skipped = next((at for at in after if self.said[at] == bare), self.source)
        stays = was_settled and skipped + 1 < len(self.said)
        self.source = skipped + 1 if stays else -1

    def matched(self, place: int) -> int:
        pairs = zip(reversed(self.said[:place]), reversed(self.said), strict=False)
        length = 0
        for one, other in pairs:
            if one != other or length == 16:
                break
            length += 1
        return length

    def candidates(self) -> list[tuple[int, int]]:
        found = {} if self.source < 0 else {self.source: self.matched(self.source) + 1}
        for n in range(min(self.n_max, len(self.said)), 0, -1):
            end = self.said[-n:]
            places = [p for p in range(n, len(self.said)) if self.said[p - n : p] == end]
            for part in (
                [p for p in places if p >= self.prompt],
                [p for p in places if p < self.prompt],
            ):
                for place in (
                    part[-1:] + [p for p in part[::-1] if self.said[p] != self.said[part[-1]]][:1]
                ):
                    found.setdefault(place, self.matched(place))
            if len(found) > 1:
                break
        return sorted(((n, place) for place, n in found.items()), key=lambda item: -item[0])

    def guess(self, room: int, spare: int, longest: int) -> Guess:
        tokens, parents, chances = list[int](), list[int](), list[float]()
        found = self.candidates() if room else []
        if not found:
            return tokens, parents, chances

        def copy(matched: int, place: int, most: int) -> None:
            some = self.text[place : place + min(most, longest)]
            first = len(tokens)
            tokens.extend(some)
            parents.extend([-1, *range(first, first + len(some) - 1)][: len(some)])
            lengths = [matched + at + 0.5 for at in range(len(some))]
            chances.extend(length / (length + 1.5) for length in lengths)

        matched, place = found[0]
        self.copied = max(self.copied, matched) if place == self.source else matched
        self.source = place
        copy(matched + (len(found) == 1), place, room - spare)
        for matched, place in found[1:]:
            if spare and self.text[place] != tokens[0]:
                copy(matched, place, spare)
                break
        return tokens, parents, chances


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_those_of_a_plain_search(seed: int) -> None:
    rng = random.Random(seed)
    some = 0
    for _ in range(60):
        kinds, n_max, longest = (
            rng.choice([2, 3, 6, 20]),
            rng.choice([1, 2, 4]),
            rng.choice([3, 32]),
        )
        bare = [rng.choice([token, rng.randrange(kinds)]) for token in range(kinds)]
        prompt = [rng.randrange(kinds) for _ in range(rng.choice([1, 5, 40]))]
        plain = Plain(len(prompt), n_max)
        state = np.array([-1, 0, 0])
        new = prompt
        for _ in range(12):
            for token in new:
                plain.add(token, bare[token])
            room = rng.choice([0, 1, 4, 8, 20])
            spare = rng.choice([0, room // 4])
            nodes, chances = np.empty((room, 3), np.int64), np.empty(room)
            count = look_up(
                np.array(plain.said, np.int32), np.array(plain.text, np.int32), len(prompt), n_max,
                state, spare, longest, 7, nodes, chances,
            )  # fmt: skip
            expected = plain.guess(room, spare, longest)
            tokens, parents, sources = nodes[:count].T.tolist()
            assert (tokens, parents) == expected[:2]
            assert sources == [7] * count
            assert chances[:count] == pytest.approx(expected[2])
            assert (state[SOURCE], state[COPIED]) == (plain.source, plain.copied)
            some += count > 0
            new = expected[0][: rng.randrange(5)] + [
                rng.randrange(kinds) for _ in range(rng.randrange(3))
            ]
    assert some > 200
