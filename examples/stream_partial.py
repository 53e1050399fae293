"""Your interface should fill in while the model writes: partial objects, already typed.

python examples/stream_partial.py
"""

import argparse
from pathlib import Path

from pydantic import BaseModel

import guided

TINY = Path(__file__).parent / "models" / "tiny-lm"
TEXT = (
    "Nadia Petrova, 33, is a translator in Sofia. She spends most evenings reading or doing yoga."
)


class Person(BaseModel):
    name: str
    age: int
    job: str
    hobbies: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    options = parser.parse_args()
    model = guided.load(options.model)
    shown = None
    events = guided.stream(model, TEXT, schema=Person, describe="fields", max_new_tokens=80)
    for event in events:
        if event.value is not None and event.value != shown:
            shown = event.value
            print(repr(shown))
    print(f"finished: {event.result.finish_reason}")


if __name__ == "__main__":
    main()
