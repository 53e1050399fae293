"""Your inputs are of different kinds: one batch, another output type for every prompt.

python examples/per_row_schemas.py
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from typing_extensions import TypedDict  # typing's own, from Python 3.12

import guided

TINY = Path(__file__).parent / "models" / "tiny-lm"


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Product:
    name: str
    price: float
    color: str


class Meeting(TypedDict):
    topic: str
    day: str
    time: str


ROWS = [
    ("Camila Rojas is 26 and plays the drums.", Person),
    ("The Lumo kettle in dark green costs 39.90 euros.", Product),
    ("The topic of the meeting on Thursday at 14:30 is the budget.", Meeting),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    options = parser.parse_args()
    model = guided.load(options.model)
    texts = [text for text, _ in ROWS]
    values = guided.generate(model, texts, schema=[kind for _, kind in ROWS], describe="fields")
    for text, value in zip(texts, values, strict=True):
        print(f"{text}\n  {value!r}")


if __name__ == "__main__":
    main()
