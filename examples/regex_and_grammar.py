"""Your format is not JSON: a regular expression, a Lark grammar, or a list of choices.

    python examples/regex_and_grammar.py

The embedded model was trained to write JSON alone. What it says in another format is not always
sensible; that it keeps to the format is the point.
"""

import argparse
import re
from pathlib import Path

import guided

TINY = Path(__file__).parent / "models" / "tiny-lm"
TEXT = "Aisha Bello, a 28 year old chemist, grew up in Lagos."
PROMPT = f"{TEXT}\nFields: name (string), age (integer)\nJSON: "

#: Key = value lines instead of JSON.
SETTINGS = r"""
start: line ("\n" line)*
line: KEY " = " (NUMBER | QUOTED)
KEY: "name" | "age"
NUMBER: /[1-9][0-9]{0,2}/
QUOTED: "'" /[A-Z][a-z]+( [A-Z][a-z]+)*/ "'"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    options = parser.parse_args()
    model = guided.load(options.model)

    pattern = r'\{"name": "[A-Z][a-z]+ [A-Z][a-z]+", "age": [0-9]{1,3}\}'
    text = guided.generate(model, PROMPT, regex=pattern, max_new_tokens=60)
    print(f"regex    {text}")
    assert re.fullmatch(pattern, text)

    text = guided.generate(model, PROMPT, grammar=SETTINGS, max_new_tokens=40)
    print("grammar  " + text.replace("\n", "\n         "))

    begun = f'{TEXT}\nFields: job (string)\nJSON: {{"job": "'
    label = guided.generate(model, begun, choices=["chemist", "teacher", "pilot"])
    print(f"choices  {label}")


if __name__ == "__main__":
    main()
