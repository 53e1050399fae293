"""You have text and want typed objects: fill a pydantic model from a sentence.

    python examples/extract.py
    python examples/extract.py --text "Bo Ek, 51, sails and bakes." --model Qwen/Qwen3-0.6B

The default model is the tiny one that is embedded in this repository.
"""

import argparse
from pathlib import Path

from pydantic import BaseModel

import guided

TINY = Path(__file__).parent / "models" / "tiny-lm"
TEXTS = [
    "My name is Mira Sol, I'm 34 and I like chess and sailing.",
    "Anna Lee is 27 and spends her weekends climbing and painting.",
    "My grandmother Rosalind just celebrated her 90th birthday. She still does crosswords and "
    "ballroom dancing every week.",
]


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    parser.add_argument("--text", action="append", help="your own sentence (may be repeated)")
    options = parser.parse_args()
    model = guided.load(options.model)
    texts = options.text or TEXTS
    # The first call compiles the grammar and the machine code of the engine: not timed below.
    guided.generate(model, texts[0], schema=Person, describe="fields")

    tokens, forced, seconds = 0, 0, 0.0
    for text in texts:
        # describe= writes the fields into the prompt; without it the prompt is left alone.
        result = guided.run(model, text, schema=Person, describe="fields")
        print(f"prompt  {text}")
        print(f"object  {result.value!r}\n")
        tokens += result.usage.tokens
        forced += result.usage.forced
        seconds += result.usage.seconds
    print(f"{tokens} tokens, {tokens / seconds:.0f} tokens/second, {forced} forced by the grammar")
    print("the same on a Hub model: python examples/extract.py --model Qwen/Qwen3-0.6B")


if __name__ == "__main__":
    main()
