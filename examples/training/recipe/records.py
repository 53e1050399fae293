"""Short English notes about people, things and meetings, and the flat objects that they state."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from .splits import words
from .values import Values

Value = str | int


@dataclass(frozen=True)
class Record:
    """A note, and the fields that are asked of it in the order in which they are wanted."""

    text: str
    wanted: dict[str, Value]

    def prompt(self) -> str:
        """The note and its field list, up to the place where the object begins."""
        kinds = {str: "string", int: "integer"}
        fields = ", ".join(f"{key} ({kinds[type(value)]})" for key, value in self.wanted.items())
        return f"{self.text}\nFields: {fields}\nJSON: "


NOTES: dict[str, dict[str, tuple[str, ...]]] = {
    "person": {
        "name": ("{} here.", "This is {}.", "The name is {}.", "I am {}.", "My name is {}."),
        "age": ("Aged {}.", "Turned {} in May.", "Is {} years old.", "Age: {}."),
        "city": ("Lives in {}.", "Comes from {}.", "At home in {}.", "Moved to {} last year."),
        "job": ("Works as {}.", "Is a trained {}.", "Has a job as {}.", "By trade a {}."),
    },
    "order": {
        "id": ("Order {}.", "Number {}.", "The order is {}.", "This is order {}."),
        "item": ("One {} please.", "The {} was sold.", "We sent the {}.", "Wanted: {}."),
        "quantity": ("Pack {} of them.", "There are {} in the box.", "Quantity {}.", "Count: {}."),
        "customer": ("Bought by {}.", "For {}.", "The customer is {}.", "Goes to {}."),
    },
    "meeting": {
        "topic": ("About {}.", "We talk about {}.", "The topic is {}.", "Subject: {}."),
        "day": ("It is on {}.", "See you on {}.", "The day is {}.", "Planned for {}."),
        "hour": ("Starts at {}.", "We begin at {}.", "From {} on.", "Time: {}."),
        "host": ("{} is the host.", "Led by {}.", "Hosted by {}.", "{} will lead."),
    },
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SOURCES = {
    "name": "first_names",
    "customer": "first_names",
    "host": "first_names",
    "city": "cities",
    "job": "jobs",
    "item": "goods",
    "topic": "topics",
}
WORDS_EACH = 24
"""Words of a kind that training sees: so few that the tokenizer has a token for each."""
NUMBERS = {"age": (6, 89), "id": (100, 999), "quantity": (2, 99), "hour": (7, 20)}


@cache
def single_words(name: str, split: str) -> tuple[str, ...]:
    """Some words of a list that are one word of plain letters; of held-out words all."""
    found = tuple(word for word in words(name, split) if re.fullmatch("[A-Za-z]+", word))
    return found[:: max(1, len(found) // WORDS_EACH)][:WORDS_EACH] if split == "train" else found


def value_of(key: str, split: str, rng: random.Random, made_up: float = 0.0) -> Value:
    """A random value of a field; words of the wanted split, numbers and days of any.

    With probability `made_up` a word is not a listed one.
    """
    if key in NUMBERS:
        return rng.randint(*NUMBERS[key])
    if key == "day":
        return rng.choice(DAYS)
    if made_up and rng.random() < made_up:
        word = Values(rng, split).invented()
        return word.capitalize() if SOURCES[key] in ("first_names", "cities") else word
    return rng.choice(single_words(SOURCES[key], split))


def record(rng: random.Random, split: str = "train", made_up: float = 0.0) -> Record:
    """A random note that states two to four facts in any order, one to all of them wanted."""
    notes = rng.choice(list(NOTES.values()))
    keys = rng.sample(list(notes), rng.randint(2, len(notes)))
    stated = {key: value_of(key, split, rng, made_up) for key in keys}
    text = " ".join(rng.choice(notes[key]).format(value) for key, value in stated.items())
    asked = rng.sample(keys, rng.randint(1, len(keys)))
    return Record(text, {key: stated[key] for key in asked})
