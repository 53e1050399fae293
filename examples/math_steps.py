"""Your solver's steps must be checkable: a grammar makes every line an equation.

    python examples/math_steps.py

The grammar fixes the form. Whether an equation is true is checked afterwards, in Python.
"""

import argparse
import re
from pathlib import Path

import guided

TINY = Path(__file__).parent / "models" / "tiny-math"
QUESTIONS = [
    "6 toys belong to Leticia. Leticia splits them into 3 equal parts and keeps one part. 20 more "
    "toys come from Emily. How many toys does Leticia have at the end?",
    "5 badges lie in front of Wang. Then Wang has twice as many badges. She loses 8 badges. How "
    "many badges does Wang have in the end?",
]
STEPS = r"""
start: (step "\n")+ "Answer: " NUMBER
step: NUMBER OPERATOR NUMBER "=" NUMBER
NUMBER: /0|[1-9][0-9]{0,3}/
OPERATOR: "+" | "-" | "*" | "/"
"""


def is_true(step: str) -> bool:
    a, operator, b, result = re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+)", step).groups()
    a, b, result = int(a), int(b), int(result)
    values = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}
    return values[operator] == result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    options = parser.parse_args()
    model = guided.load(options.model)
    prompts = [f"Question: {question}\n" for question in QUESTIONS]
    solutions = guided.generate(model, prompts, grammar=STEPS, max_new_tokens=100)
    for question, solution in zip(QUESTIONS, solutions, strict=True):
        *steps, answer = solution.splitlines()
        print(question)
        for step in steps:
            print(f"  {step}  {'true' if is_true(step) else 'false'}")
        print(f"  {answer}")


if __name__ == "__main__":
    main()
