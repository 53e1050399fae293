"""The texts that are decoded: sentences to extract from, word problems, code to copy."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data import ROOT

PROBLEMS = ROOT / "benchmarks" / "data" / "word_problems.txt"
SNIPPETS = ROOT / "benchmarks" / "data" / "snippets.txt"


@dataclass(frozen=True)
class Copy:
    """A prompt and what a good model would answer."""

    prompt: str
    answer: str


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
PERSON = json.dumps(_object(name=STRING, age=INTEGER, hobbies={"type": "array", "items": STRING}))
_COMPLAINT = {
    "customer": STRING,
    "city": STRING,
    "order": STRING,
    "placed": STRING,
    "items": {"type": "array", "items": _object(name=STRING, quantity=INTEGER)},
    "total": NUMBER,
    "email": STRING,
    "problem": STRING,
}
COMPLAINT = json.dumps(_object(**_COMPLAINT))
#: The fields of a complaint, and those that are enough where there is little time.
ALL = tuple(_COMPLAINT)
SHORT = ("customer", "city", "order", "email")
SHORT_COMPLAINT = json.dumps(_object(**{name: _COMPLAINT[name] for name in SHORT}))


SENTENCES = (
    "My name is {name}, I'm {age} and I like {first} and {second}.",
    "{name}, {age}, spends most weekends on {first}; on rainy days it is {second}.",
    "At {age}, {name} still enjoys {first} as well as {second}.",
    "hey, i'm {name}, {age}, i love {first} and {second}!",
    "Please welcome {name}, our new accountant, {age} years old, who likes {first} and {second}.",
    "Note to self: {name} ({age}) is into {first} and {second}.",
    "{name} has just turned {age}. After work there is time for {first}, and on Sundays {second}.",
)
FIRST = ("Oona", "Priya", "Mateus", "Hana", "Walter", "Camila", "Yusuf", "Chloe", "Piotr", "Ingrid",
         "Tom", "Leila", "Giulia", "Kwame", "Helena", "Anders")  # fmt: skip
LAST = ("Lindqvist", "Carvalho", "Kobayashi", "Brandt", "Rojas", "Demir", "Martin", "Haugen",
        "Haddad", "Ferri", "Costa", "Bello", "Weber", "Campbell")  # fmt: skip
HOBBIES = ("chess", "sailing", "knitting", "climbing", "pottery", "board games", "jazz", "rowing",
           "gardening", "old maps", "baking", "photography", "hiking", "crosswords")  # fmt: skip


def people(count: int, seed: int = 5) -> list[str]:
    """Prompts of the embedded model, about different people, asked for `PERSON`."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    fields = "Fields: name (string), age (integer), hobbies (list of strings)"
    while len(found) < count:
        first, second = rng.sample(HOBBIES, 2)
        name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
        told = {"name": name, "age": rng.randrange(18, 90), "first": first, "second": second}
        found[f"{rng.choice(SENTENCES).format(**told)}\n{fields}\nJSON: "] = None
    return list(found)


def word_problems(count: int) -> list[str]:
    """Prompts of the embedded model for word problems."""
    lines = PROBLEMS.read_text(encoding="utf-8").splitlines()
    return [f"Question: {line}\n" for line in lines[:count]]


NAMES = ("Marguerite Olafsson", "Tobias Brandl", "Ifeoma Adeyemi", "Lucía Fernández", "Pavel Novák",
         "Saoirse Gallagher", "Henrik Lindqvist", "Amara Nwosu")  # fmt: skip
CITIES = ("Rotterdam", "Thessaloniki", "Aberdeen", "Valparaíso", "Gdańsk", "Ljubljana")
GOODS = ("espresso grinder", "linen tablecloth", "folding bicycle", "walnut cutting board",
         "ceramic teapot", "hiking lantern", "cast-iron pan")  # fmt: skip
PROBLEM = (
    "nothing has arrived although the tracking page says delivered",
    "one of the boxes was crushed and the content is broken",
    "the colour is not the one that was shown on your page",
    "I was charged twice for the same order",
    "the instructions are missing and two screws do not fit",
)
MONTHS = ("January", "March", "April", "June", "September", "November")
NUMBERS = ("one", "two", "three", "four", "five", "six")
LETTERS = (
    "Good morning, my name is {customer} and I am writing from {city}. On {day} {month} I ordered "
    "{first} and {second} (order {order}), {total} euros in all. Unfortunately {problem}. Please "
    "answer to {email} as soon as you can, I have already called twice this week.",
    "Regarding {order}: placed on {day} {month}, {first} plus {second}, and I paid {total} euros. "
    "The trouble is that {problem}. You can write to {email}. Kind regards, {customer}, {city}",
    "Dear support, {problem}. It is about order {order} of {day} {month}: {first}, {second}. The "
    "bill says {total} euros. I live in {city}, my address for mail is {email}, and I would like "
    "to have this solved before the holidays. {customer}",
)


def complaints(count: int, seed: int = 7, asked: Sequence[str] = ALL) -> list[Copy]:
    """Letters and what they say as JSON of the schema `COMPLAINT`; dates and counts normalised.

    Args:
        asked: the fields that are asked for.
    """
    rng = random.Random(seed)
    return [_complaint(rng, asked) for _ in range(count)]


def _complaint(rng: random.Random, asked: Sequence[str]) -> Copy:
    name, city = rng.choice(NAMES), rng.choice(CITIES)
    goods, counts = rng.sample(GOODS, 2), [rng.randrange(2, 6), rng.randrange(2, 6)]
    day, month = rng.randrange(1, 28), rng.randrange(len(MONTHS))
    numbers = (1, 3, 4, 6, 9, 11)
    fields = {
        "customer": name,
        "city": city,
        "order": f"{rng.choice('ABCDEFG')}{rng.choice('KLMN')}-{rng.randrange(10_000, 99_999)}",
        "placed": f"2026-{numbers[month]:02}-{day:02}",
        "items": [{"name": n, "quantity": q} for n, q in zip(goods, counts, strict=True)],
        "total": rng.randrange(2_000, 90_000) / 100,
        "email": f"{name.split()[0].lower()}{rng.randrange(10, 99)}@post.example",
        "problem": rng.choice(PROBLEM),
    }
    listed = [f"{NUMBERS[q - 1]} {n}s" for n, q in zip(goods, counts, strict=True)]
    told = {**fields, "day": day, "month": MONTHS[month], "first": listed[0], "second": listed[1]}
    text = rng.choice(LETTERS).format(**told)
    wanted = {name: fields[name] for name in asked}
    answer = json.dumps(wanted, ensure_ascii=False)
    return Copy(f"{text}\nAs JSON ({', '.join(asked)}):\n", answer)


def renamings(count: int) -> list[Copy]:
    """Functions that are to be written again with one name changed."""
    blocks = SNIPPETS.read_text(encoding="utf-8").split("\n== ")[1:]
    return [_renaming(block) for block in blocks[:count]]


def _renaming(block: str) -> Copy:
    head, _, code = block.partition("\n")
    old, new = head.split()
    code = code.strip("\n")
    prompt = f"Rename {old} to {new} in this code.\n\n{code}\n\nThe renamed code:\n"
    return Copy(prompt, code.replace(old, new) + "\n")


def marked(copies: Sequence[Copy], tokenizer: Any) -> tuple[list[Copy], list[int]]:
    """The texts, each after a word that names it and stands in none of them; the words' tokens."""
    used = {token for c in copies for token in tokenizer(c.prompt + c.answer)["input_ids"]}
    words = sorted(
        (token, word)
        for word, token in tokenizer.get_vocab().items()
        if word.isascii() and word.isalpha() and word.istitle() and len(word) > 4
    )
    free = [(token, word) for token, word in words if token not in used][: len(copies)]
    if len(free) < len(copies):
        raise ValueError(f"the vocabulary has {len(free)} words to name {len(copies)} texts")
    named = [Copy(f"{w}:\n{c.prompt}", c.answer) for (_, w), c in zip(free, copies, strict=True)]
    return named, [token for token, _ in free]


def sequences(copies: Sequence[Copy], tokenizer: Any) -> list[list[int]]:
    """The whole token sequences that a model is taught."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    return [[*encode(c.prompt), *encode(c.answer), tokenizer.eos_token_id] for c in copies]
