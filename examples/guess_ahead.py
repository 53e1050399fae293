"""The same tokens in fewer passes: nothing guessed, guesses from text and grammar, a small model.

    python examples/guess_ahead.py

On models of this size a pass is over so soon that guessing takes about as long; count the passes,
which are what a real model's time goes into.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

import guided

MODELS = Path(__file__).parent / "models"
TEXTS = [
    "My name is Mira Sol, I'm 34 and I like chess and sailing.",
    "Walter Brandt, 71, is a retired teacher. He enjoys chess, hiking and poker.",
    "hey, i'm Priya, 29, i love bouldering!",
]


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


def main() -> None:
    """Prints how many passes each way of guessing takes, for the same tokens."""
    model = guided.load(str(MODELS / "tiny-lm"))
    ways = {
        "one token a pass": None,
        "auto": "auto",
        "auto and a small model": guided.load(str(MODELS / "tiny-draft")),
    }
    written = set()
    for name, draft in ways.items():
        results = guided.run(
            model, TEXTS, schema=Person, describe="fields", temperature=0.7, seed=1, draft=draft
        )
        written.add(tuple(result.tokens for result in results))
        tokens = sum(len(result.tokens) for result in results)
        passes = sum(result.usage.passes for result in results)
        accepted = sum(result.usage.accepted for result in results)
        print(f"{name}: {tokens} tokens, {passes} passes of rows, {accepted} guesses came true")
    print("the same tokens each time:", len(written) == 1)


if __name__ == "__main__":
    main()
