"""Random values: real and made-up words of one split, and facts with their surface forms."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from . import numbers
from .numbers import each
from .splits import in_split, words

Json = Any
ONSETS = each(
    "b c d f g h j k l m n p r s t v w z b d f g k l m n p r s t br ch dr gr kr pr sh st th tr vl "
    "fl sk qu"
)
VOWELS = each("a e i o u a e i o ai ea ou ie oo")
INNER = ("", "", "", "", "", "n", "r", "l", "s", "m")
CODAS = ("", "", "", *each("n n r l s m t x nd rk ck ss nt rt d"))
JOINS = [
    "{} and {}",
    "{} and {}",
    "{} and {}",
    "{}, and {}",
    "{} & {}",
    "{} as well as {}",
    "{} plus {}",
    "{}, {}",
    "{} and also {}",
    "{}, but also {}",
    "{} and, of course, {}",
    "{} or {}",
]


@dataclass
class Fact:
    """A value, its type as the field list names it, and the ways in which a text says it."""

    value: Json
    type: str
    forms: dict[str, str]


def joined(rng: random.Random, items: list[str]) -> str:
    """A list as people write it: "a, b and c", "a as well as b"."""
    if len(items) == 1:
        return items[0]
    if len(items) == 2:
        if rng.random() < 0.06:
            return f"both {items[0]} and {items[1]}"
        return rng.choice(JOINS).format(*items)
    if rng.random() < 0.06:
        return " and ".join(items)
    return rng.choice(JOINS[:8]).format(", ".join(items[:-1]), items[-1])


class Values:
    """Makes words and facts of one split from one generator."""

    def __init__(self, rng: random.Random, split: str) -> None:
        self.rng, self.split = rng, split

    def coin(self, share: float) -> bool:
        return self.rng.random() < share

    def invented(self) -> str:
        """A made-up lower-case word of 4 to 10 letters."""
        pick = self.rng.choice
        while True:
            parts = self.rng.choice([2, 2, 3])
            start = "".join(pick(ONSETS) + pick(VOWELS) + pick(INNER) for _ in range(parts - 1))
            word = start + pick(ONSETS) + pick(VOWELS) + pick(CODAS)
            if self.coin(0.12):
                word = pick("aeiou") + word
            if 4 <= len(word) <= 10 and in_split(word, self.split):
                return word

    def listed(self, name: str) -> str:
        return self.rng.choice(words(name, self.split))

    def word(self, name: str, real: float) -> str:
        """A listed word with probability `real`, else a made-up one."""
        return self.listed(name) if self.coin(real) else self.invented()

    # --- names of people, places and things

    def first(self) -> str:
        return self._capital("first_names", 0.55)

    def last(self) -> str:
        return self._capital("last_names", 0.4)

    def _capital(self, name: str, real: float) -> str:
        word = self.word(name, real)
        return word if word[0].isupper() or " " in word else word.capitalize()

    def name(self) -> str:
        first = self.first()
        if self.coin(0.3):
            return first
        if self.coin(0.04):
            return f"{first} {self.rng.choice('ABCDEFGHJKLMRST')}. {self.last()}"
        hyphen = f"-{self.last()}" if self.coin(0.04) else ""
        return f"{first} {self.last()}{hyphen}"

    def city(self) -> str:
        return self._capital("cities", 0.55)

    def job(self) -> str:
        return self.word("jobs", 0.8)

    def hobby(self) -> str:
        word = self.word("hobbies", 0.72)
        if self.coin(0.08):
            verb = self.rng.choice(["collecting", "making", "playing", "watching", "learning"])
            return f"{verb} {self.word('goods', 0.7)}"
        return word

    def thing(self) -> str:
        return self.word("goods", 0.75)

    def food(self) -> str:
        return self.word("foods", 0.8)

    def genre(self) -> str:
        return self.word("genres", 0.85)

    def skill(self) -> str:
        return self.word("skills", 0.8)

    def product(self) -> str:
        thing = self.thing()
        shape = self.rng.random()
        if shape < 0.35:
            return thing
        if shape < 0.6:
            return f"{self.listed('adjectives')} {thing}"
        if shape < 0.85:
            return f"{self.brandword()} {thing}"
        brand, line = self.brandword(), self.rng.choice(["X", "Pro", "Mini", "Max", ""])
        return f"{brand} {line}{self.rng.randint(1, 900)}"

    def brandword(self) -> str:
        return self.rng.choice([self.invented().capitalize(), self.listed("nouns").capitalize()])

    def brand(self) -> str:
        return self.brandword()

    def topic(self) -> str:
        return self.word("topics", 0.75)

    def company(self) -> str:
        tail = self.listed("company_tails")
        head = self.rng.choice([self.brandword(), self.brandword(), self.last(), self.city()])
        if self.coin(0.15):
            head = f"{self.listed('adjectives').capitalize()} {head}"
        return head if self.coin(0.3) else f"{head} {tail}"

    def event(self) -> str:
        name = self.word("events", 0.8)
        shape = self.rng.random()
        if shape < 0.5:
            return name
        head = self.rng.choice([self.brandword(), self.city(), self.listed("adjectives").title()])
        return f"{head} {name.title() if shape < 0.9 else name}"

    def venue(self) -> str:
        if self.coin(0.7):
            return self.listed("venues")
        kind = self.rng.choice(["Hall", "Hotel", "Cafe", "Room", "Theatre", "Park", "Arena", "Inn"])
        head = self.brandword()
        before = kind in ("Cafe", "Hotel", "Room") and self.coin(0.6)
        return f"{kind} {head}" if before else f"{head} {kind}"

    def room(self) -> str:
        return self.rng.choice(
            [f"room {self.rng.randint(1, 400)}", f"Room {self.brandword()}", self.venue()]
        )

    def title(self) -> str:
        """The title of a book, film or song."""
        adjective, noun = self.listed("adjectives").title(), self.listed("nouns").title()
        other = self.listed("nouns").title()
        return self.rng.choice(
            [
                f"The {adjective} {noun}",
                f"The {noun} of {self.rng.choice([self.city(), other])}",
                f"{adjective} {noun}",
                f"{noun} and {other}",
                f"The {noun}",
                f"A {noun} in {self.city()}",
                f"{noun}s",
                f"{adjective} {noun}s",
                self.brandword(),
                f"The {noun}'s {other}",
                f"{self.first()} and the {noun}",
                f"The Last {noun}" if self.coin(0.5) else f"No {noun} for {self.first()}",
            ]
        )

    def street(self) -> str:
        kind = self.rng.choice(each("Street Street Road Lane Avenue Square Way Hill Drive Alley"))
        house = self.rng.randint(1, 199)
        head = self.rng.choice([self.brandword(), self.last(), self.listed("nouns").capitalize()])
        if self.coin(0.2):
            return f"{head}strasse {house}"
        return f"{house} {head} {kind}"

    def email(self) -> str:
        first, last = self.first().lower(), self.last().lower().replace(" ", "").replace("'", "")
        numbered = f"{first}{self.rng.randint(1, 99)}"
        both = [f"{first}.{last}", first, last, numbered, f"{first[0]}{last}", f"{first}_{last}"]
        user, host = self.rng.choice(both), self.invented()
        return f"{user}@{host}.{self.rng.choice(each('com org net example de io'))}"

    # --- small helpers for texts

    def age(self) -> str:
        return str(self.rng.randint(5, 95))

    def number(self) -> str:
        return str(self.rng.choice([self.rng.randint(2, 99), self.rng.randint(2, 9999)]))

    def color(self) -> str:
        return self.listed("colors")

    def sky(self) -> str:
        return self.word("skies", 0.9)

    def breed(self) -> str:
        return self.word("breeds", 0.8)

    def day(self) -> str:
        return self.rng.choice(numbers.DAYS)

    def date(self) -> str:
        return numbers.date(self.rng)

    def time(self) -> str:
        return numbers.clock(self.rng)

    def price(self) -> str:
        return numbers.money(self.rng, numbers.amount(self.rng)[1])

    def phone(self) -> str:
        return numbers.phone(self.rng)

    def code(self) -> str:
        return numbers.code(self.rng)

    def year(self) -> str:
        return str(self.rng.randint(1900, 2030))

    def fresh(self, kind: str) -> str:
        """A value for a distractor: any of the methods above by name."""
        made: str = getattr(self, kind)()
        return made
