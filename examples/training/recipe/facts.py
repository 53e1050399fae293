"""Facts: JSON values together with the words that state them in a text."""

from __future__ import annotations

from typing import Any

from . import numbers
from .phrases import ACTS, ENUMS, FLAGS, LISTS
from .values import Fact, Values, joined

ITEM_SHAPES = ("{q} {n}", "{q} {n}", "{q} x {n}", "{q}x {n}", "{n} ({q})", "{n} x {q}", "{n}: {q}")
ITEM_COSTS = (" at {p} each", " for {p} each", " at {p} apiece", " ({p})", " @ {p}", " for {p}")
AGED_SHAPES = ("{n} ({v})", "{n}, {v}", "{n} is {v}")
HOUSED_SHAPES = ("{n} ({v})", "{n} from {v}", "{n} lives in {v}")


class Facts:
    """Makes facts by kind; `make("age")` calls the method `age` or uses a table above."""

    def __init__(self, values: Values) -> None:
        self.values, self.rng = values, values.rng

    def make(self, kind: str) -> Fact:
        if kind in LISTS:
            return self._list(LISTS[kind])
        if kind in ENUMS:
            return self._enum(ENUMS[kind])
        if kind in FLAGS:
            return self._flag(kind)
        if hasattr(self, f"_{kind}"):
            made: Fact = getattr(self, f"_{kind}")()
            return made
        return self._string(self.values.fresh(kind))

    def _string(self, text: str) -> Fact:
        return Fact(text, "string", {"text": text})

    def _integer(self, number: int, spell: float = 0.0) -> Fact:
        words = numbers.in_words(number) if number < 100 else str(number)
        text = words if self.rng.random() < spell else str(number)
        return Fact(number, "integer", {"text": text, "digits": str(number), "words": words})

    def _name(self) -> Fact:
        """A name, at times with a title that is not part of the value."""
        name = self.values.name()
        if self.rng.random() < 0.07:
            title = self.rng.choice(["Mr.", "Mrs.", "Ms.", "Dr.", "Mr", "Mrs", "Dr", "Prof."])
            name = self.rng.choice([name, self.values.last()])
            return Fact(name, "string", {"text": f"{title} {name}"})
        return Fact(name, "string", {"text": name})

    def _age(self) -> Fact:
        number = self.rng.randint(*self.rng.choice([(16, 89), (16, 89), (16, 60), (1, 99)]))
        fact = self._integer(number, 0.12)
        fact.forms["th"] = numbers.ordinal(number)
        return fact

    def _years(self) -> Fact:
        return self._integer(self.rng.randint(1, 15), 0.2)

    def _several(self) -> Fact:
        return self._integer(self.rng.randint(2, 15), 0.2)

    def _small(self) -> Fact:
        return self._integer(self.rng.randint(2, 24), 0.25)

    def _count(self) -> Fact:
        top = self.rng.choice([20, 100, 1000, 20000])
        return self._integer(self.rng.randint(2, top), 0.1)

    def _minutes(self) -> Fact:
        usual = [10, 15, 20, 30, 40, 45, 50, 60, 75, 90, 100, 120]
        return self._integer(self.rng.choice([*usual, self.rng.randint(5, 240)]))

    def _whole_id(self) -> Fact:
        low, high = self.rng.choice([(10, 999), (1000, 9999), (10000, 99999)])
        return self._integer(self.rng.randint(low, high))

    def _year(self) -> Fact:
        return self._integer(self.rng.randint(1850, 2030))

    def _temperature(self) -> Fact:
        return self._integer(self.rng.randint(-15, 42))

    def _salary(self) -> Fact:
        return self._integer(self.rng.randint(8, 99) * self.rng.choice([50, 100, 1000]))

    def _distance(self) -> Fact:
        return self._integer(self.rng.randint(1, 200) * self.rng.choice([1, 10, 100, 1000]))

    def _decimal(self) -> Fact:
        top = self.rng.choice([5, 30, 300])
        number = round(self.rng.uniform(0.1, top), self.rng.choice([1, 1, 2]))
        if self.rng.random() < 0.2:
            return Fact(int(number) + 1, "number", {"text": str(int(number) + 1)})
        return Fact(number, "number", {"text": str(number)})

    def _rating(self) -> Fact:
        number = self.rng.choice([self.rng.randint(1, 10), self.rng.randint(10, 49) / 10])
        return Fact(number, "number", {"text": str(number)})

    def _price(self) -> Fact:
        number, text = numbers.amount(self.rng, self.rng.choice([40, 400, 3000]))
        full = numbers.money(self.rng, text) if self.rng.random() < 0.85 else text
        return Fact(number, "number", {"text": full, "bare": text})

    def _list(self, kind: str) -> Fact:
        wanted = self.rng.choice([1, 1, 2, 2, 2, 3, 3, 4])
        items = list(dict.fromkeys(self.values.fresh(kind) for _ in range(wanted)))
        items = [item for item in items if " and " not in item and ", " not in item]
        items = items or [self.values.invented()]
        forms = {"text": joined(self.rng, items), "commas": ", ".join(items)}
        if kind == "hobby":
            forms |= self._acts(items)
        return Fact(items, "list of strings", forms)

    def _acts(self, items: list[str]) -> dict[str, str]:
        """A verb for each pastime: "plays golf and goes swimming", in both persons."""
        verbs = [self.rng.choice(ACTS) for _ in items]
        done = list(zip(verbs, items, strict=True))
        mine = joined(self.rng, [f"{me} {item}" for (me, _), item in done])
        hers = joined(self.rng, [f"{she} {item}" for (_, she), item in done])
        return {"mine": mine, "hers": hers}

    def _scores(self) -> Fact:
        items = [self.rng.randint(1, 99) for _ in range(self.rng.randint(1, 5))]
        texts = [str(item) for item in items]
        forms = {"text": joined(self.rng, texts), "commas": ", ".join(texts)}
        return Fact(items, "list of integers", forms)

    def _enum(self, table: dict[str, list[str]]) -> Fact:
        value = self.rng.choice(list(table))
        others = [option for option in table if option != value]
        shown = [value, *self.rng.sample(others, self.rng.randint(1, len(others)))]
        self.rng.shuffle(shown)
        forms = {"text": self.rng.choice(table[value]), "bare": value}
        return Fact(value, "one of " + "|".join(shown), forms)

    def _flag(self, kind: str) -> Fact:
        value = self.rng.random() < 0.5
        forms = {"text": self.rng.choice(FLAGS[kind][value]), "bare": "yes" if value else "no"}
        return Fact(value, "boolean", forms)

    def _items(self) -> Fact:
        """Goods with their quantities, at times with prices."""
        rng, priced = self.rng, self.rng.random() < 0.4
        shape, cost = rng.choice(ITEM_SHAPES), rng.choice(ITEM_COSTS)
        items: list[dict[str, Any]] = []
        texts = []
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            item, text = self._item(shape, cost if priced else "")
            items.append(item)
            texts.append(text)
        inner = "name (string), quantity (integer)" + (", price (number)" if priced else "")
        forms = {"text": joined(rng, texts), "commas": ", ".join(texts)}
        forms["lines"] = "\n".join(f"- {text}" for text in texts)
        return Fact(items, f"list of object({inner})", forms)

    def _item(self, shape: str, cost: str) -> tuple[dict[str, Any], str]:
        rng = self.rng
        quantity = 1 if rng.random() < 0.15 else rng.randint(2, rng.choice([9, 30, 120]))
        name = self.values.thing()
        if rng.random() < 0.2:
            name = f"{rng.choice([self.values.color(), self.values.listed('adjectives')])} {name}"
        if quantity > 1 and " of " not in name and not name.endswith("s"):
            name += "es" if name.endswith(("x", "sh", "ch")) else "s"
        spelt = quantity < 13 and rng.random() < 0.25
        shown = numbers.in_words(quantity) if spelt else str(quantity)
        if quantity == 1 and shape.startswith("{q} {n}") and rng.random() < 0.6:
            shown = "an" if name[0] in "aeiou" else "a"
        number, text = numbers.amount(rng, 80)
        item = {"name": name, "quantity": quantity} | ({"price": number} if cost else {})
        price = numbers.money(rng, text) if rng.random() < 0.7 else text
        return item, shape.format(q=shown, n=name) + cost.format(p=price)

    def _folk(self) -> Fact:
        """Several people with an age or a city each."""
        rng, aged = self.rng, self.rng.random() < 0.5
        shape = rng.choice(AGED_SHAPES if aged else HOUSED_SHAPES)
        people, texts = [], []
        for _ in range(rng.choice([2, 2, 3])):
            name, value = self.values.name(), rng.randint(5, 90) if aged else self.values.city()
            people.append({"name": name, "age" if aged else "city": value})
            texts.append(shape.format(n=name, v=value))
        inner = "name (string), age (integer)" if aged else "name (string), city (string)"
        text = "; ".join(texts) if shape == "{n}, {v}" else joined(rng, texts)
        return Fact(people, f"list of object({inner})", {"text": text, "commas": ", ".join(texts)})
