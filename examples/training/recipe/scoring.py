"""Scores of extracted objects, with intervals."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

Json = Any


@dataclass(frozen=True)
class Rate:
    """`hits` out of `n`, with a 95 % Wilson interval."""

    hits: int
    n: int

    def interval(self) -> tuple[float, float]:
        """Lower and upper end in [0, 1]."""
        if not self.n:
            return 0.0, 1.0
        z, p = 1.96, self.hits / self.n
        middle = p + z * z / (2 * self.n)
        spread = z * math.sqrt(p * (1 - p) / self.n + z * z / (4 * self.n * self.n))
        scale = 1 + z * z / self.n
        return (middle - spread) / scale, (middle + spread) / scale

    def as_json(self) -> dict[str, float]:
        low, high = self.interval()
        percent = 100 * self.hits / max(1, self.n)
        numbers = {"percent": percent, "low": 100 * low, "high": 100 * high}
        return {"hits": self.hits, "n": self.n} | {k: round(v, 1) for k, v in numbers.items()}


def parsed(text: str) -> Json:
    """The value of a JSON text, None if it is not valid."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def fields_right(made: Json, wanted: dict[str, Json]) -> int:
    """How many top-level fields have exactly the wanted value."""
    if not isinstance(made, dict):
        return 0
    return sum(key in made and same(made[key], value) for key, value in wanted.items())


def same(left: Json, right: Json) -> bool:
    """Equality of JSON values; true is not 1, but 12 equals 12.0."""
    return left == right and (isinstance(left, bool) == isinstance(right, bool))


def score(texts: list[str], wanted: list[dict[str, Json]]) -> dict[str, dict[str, float]]:
    """Rates of valid JSON, exactly right objects and right fields."""
    objects = [parsed(text) for text in texts]
    pairs = list(zip(objects, wanted, strict=True))
    exact = sum(isinstance(o, dict) and len(o) == len(w) == fields_right(o, w) for o, w in pairs)
    return {
        "valid": Rate(sum(o is not None for o in objects), len(pairs)).as_json(),
        "objects": Rate(exact, len(pairs)).as_json(),
        "fields": Rate(sum(fields_right(o, w) for o, w in pairs), sum(map(len, wanted))).as_json(),
    }
