"""Random extraction examples: a text, a field list, and the JSON object that answers it."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import grammar
from .domains import DOMAINS, UNCLEAR, WEIGHTS, Part
from .facts import Facts
from .fields import Field, retyped, wanted
from .grammar import MIDDLE, OPEN, DeadEndError, Expansion
from .numbers import each
from .splits import words
from .surface import Span, map_strings, polish
from .values import Fact, Values

Json = Any
GENERIC_KINDS = each(
    "name city job thing product brand company title event venue color day date time price phone "
    "email code count small year whole_id decimal rating age yes state level size topic street "
    "hobbies people things foods skills genre food cities scores order_status minutes salary"
)
JOINTS = (", ", "; ", "\n", ". ", " | ", " / ")


@dataclass
class Example:
    """`fields` is the field list as the prompt gives it, or None for the default record.

    `told` are all facts of the text; `spans` says where each wanted field is told.
    """

    text: str
    fields: str | None
    value: Json
    kind: str
    told: tuple[Field, ...] = ()
    spans: Mapping[str, Span] = dataclasses.field(default_factory=dict)

    def prompt(self) -> str:
        line = "" if self.fields is None else f"Fields: {self.fields}\n"
        return f"{self.text}\n{line}JSON: "

    def answer(self) -> str:
        return json.dumps(self.value, ensure_ascii=False)


class Extraction:
    """Makes examples of one split from one generator."""

    def __init__(self, rng: random.Random, split: str = "train") -> None:
        self.rng = rng
        self.values = Values(rng, split)
        self.facts = Facts(self.values)

    def example(
        self, kind: str | None = None, listed: bool | None = None, generic: float = 0.12
    ) -> Example:
        """One example; `listed` forces or forbids the field list, `generic` is a share."""
        return self.examples(1, kind, listed, generic)[0]

    def examples(
        self,
        count: int,
        kind: str | None = None,
        listed: bool | None = None,
        generic: float = 0.12,
    ) -> list[Example]:
        """Examples of one text: `count` with different field lists, or one without a list."""
        if kind is None and self.rng.random() < generic:
            kind = "generic"
        if kind is None:
            weights = [WEIGHTS.get(name, 1.0) for name in DOMAINS]
            kind = self.rng.choices(list(DOMAINS), weights)[0]
        while True:
            try:
                text, told, absent = self._generic() if kind == "generic" else self._domain(kind)
            except DeadEndError:
                continue
            if told and len(text) < 420:
                break
        if listed is None:
            listed = kind == "generic" or self.rng.random() < 0.95
        if not listed:
            value = {field.name: field.value for field in told}
            return [Example(text, None, value, kind, tuple(told), _spans(told))]
        return [self._asked(text, kind, told, absent) for _ in range(count)]

    def _asked(self, text: str, kind: str, told: list[Field], absent: list[Field]) -> Example:
        """The example that a random field list makes of a text."""
        named, absent = [replace(field) for field in told], [replace(field) for field in absent]
        fields = wanted(self.rng, *self._renamed(kind, named, absent))
        described = ", ".join(field.described() for field in fields)
        value = {f.name: f.value for f in fields}
        return Example(text, described, value, kind, tuple(told), _spans(named))

    # --- texts

    def _domain(self, kind: str) -> tuple[str, list[Field], list[Field]]:
        """A text, the fields that it tells (in the order of the type), and untold ones."""
        rules, parts = grammar.load(kind), DOMAINS[kind]
        facts = {slot: self.facts.make(part.kind) for slot, part in parts.items()}
        first_person = "me" in rules and self.rng.random() < 0.25
        expansion = Expansion(
            rules=rules,
            facts={slot: fact.forms for slot, fact in facts.items()},
            helpers=self._helpers(facts, first_person),
            fresh=self.values.fresh,
            rng=self.rng,
            first_person=first_person,
        )
        marked = expansion.rule("me" if first_person else "text")
        text, told, absent = self._settle(marked, facts, parts, kind)
        return self._finish(text, told), told, absent

    def _settle(
        self, marked: str, facts: dict[str, Fact], parts: dict[str, Part], kind: str
    ) -> tuple[str, list[Field], list[Field]]:
        casual = self.rng.random() < 0.06
        values = {slot: fact.value for slot, fact in facts.items()}
        text, told, surfaces, spans = polish(marked, values)
        if casual:
            text, told = text.lower(), {k: map_strings(v, str.lower) for k, v in told.items()}
            surfaces = {k: v.lower() for k, v in surfaces.items()}
        fields: list[Field] = []
        absent = []
        for slot, fact in facts.items():
            name = parts[slot].names[0]
            if slot not in told:
                if kind == "generic" or not UNCLEAR.get(slot, set()) & told.keys():
                    absent.append(Field(name, fact.type, None, True))
            elif fact.type.startswith("one of"):
                fields.append(Field(name, fact.type, fact.value))
            else:
                fields.append(retyped(self.rng, Field(name, fact.type, told[slot]), surfaces[slot]))
            if slot in told:
                known = kind != "generic" and fields[-1].type == fact.type
                fields[-1].role = f"{kind} {slot}" if known else ""
                fields[-1].at = spans[slot]
        return text, fields, absent

    def _renamed(
        self, kind: str, told: list[Field], absent: list[Field]
    ) -> tuple[list[Field], list[Field]]:
        """The fields under names that users may give them (in place)."""
        names = {part.names[0]: part.names for part in DOMAINS.get(kind, {}).values()}
        taken: set[str] = set()
        for field in [*told, *absent]:
            name = self.rng.choice(names.get(field.name, (field.name,)))
            field.name = field.name if name in taken or name in names else name
            taken.add(field.name)
        return told, absent

    def _helpers(self, facts: dict[str, Fact], first_person: bool) -> dict[str, str]:
        she, her, him = self.rng.choice([("she", "her", "her"), ("he", "his", "him")])
        name = facts["name"].value if "name" in facts else ""
        first = name.split()[0] if isinstance(name, str) and name else ""
        return {"she": she, "her": her, "him": him, "first": first}

    def _finish(self, text: str, told: list[Field]) -> str:
        """Closes the last sentence, most of the time."""
        if text[-1] in ".!?:" or "\n" in text:
            return text
        return text + self.rng.choice([".", ".", ".", ".", ".", "!", ""])

    def _generic(self) -> tuple[str, list[Field], list[Field]]:
        """Loose statements about arbitrary keys."""
        count, rules = self.rng.choice([2, 3, 3, 4, 5]), grammar.load("generic")
        style = self.rng.choice(["clause", "clause", "short"])
        facts: dict[str, Fact] = {}
        parts: dict[str, Part] = {}
        pieces = []
        for _ in range(count):
            key, fact = self._key(), self.facts.make(self.rng.choice(GENERIC_KINDS))
            if key in facts or "object" in fact.type:
                continue
            facts[key], parts[key] = fact, Part("", (key,))
            told_as = {"v": {"text": fact.forms.get("bare", fact.forms["text"])}}
            helpers = {"key": key.replace("_", " ")}
            one = Expansion(rules, told_as, helpers, self.values.fresh, self.rng)
            pieces.append(one.rule(style).replace(f"{OPEN}v{MIDDLE}", f"{OPEN}{key}{MIDDLE}"))
        if style == "clause" and self.rng.random() < 0.3:
            noise = Expansion(rules, {}, {}, self.values.fresh, self.rng).rule("noise")
            pieces.insert(self.rng.randrange(len(pieces) + 1), noise)
        joint = (
            ". " if style == "clause" else self.rng.choice([", ", "; ", "\n", ". ", " | ", " / "])
        )
        text, told, absent = self._settle(joint.join(pieces), facts, parts, "generic")
        return self._finish(text, told), told, absent

    def _key(self) -> str:
        shape = self.rng.random()
        if shape < 0.25:
            parts = self.rng.choice(list(DOMAINS.values()))
            return self.rng.choice(self.rng.choice(list(parts.values())).names)
        if shape < 0.75:
            return self.rng.choice(words("keys", self.values.split))
        return self.values.invented()


def _spans(fields: list[Field]) -> dict[str, Span]:
    return {field.name: field.at for field in fields if field.at}


def messy(rng: random.Random, answer: str) -> str:
    """A sloppy answer, as an unconstrained model may have learnt it."""
    shape = rng.randrange(4)
    if shape == 0:
        return f"Here is the JSON: {answer}"
    if shape == 1:
        return answer.replace('"', "'")
    if shape == 2:
        return answer[:-1] + ",}"
    return re.sub(r": (\d+)", r': "\1"', answer, count=1)
