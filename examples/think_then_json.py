"""Your model should think before it answers: free text first, then structure.

    python examples/think_then_json.py

Everything up to the trigger is unconstrained; what follows obeys the schema.
"""

import argparse
from pathlib import Path

import guided

TINY = Path(__file__).parent / "models" / "tiny-math"
QUESTION = (
    "6 toys belong to Leticia. Leticia splits them into 3 equal parts and keeps one part. "
    "20 more toys come from Emily. How many toys does Leticia have at the end?"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    parser.add_argument("--question", default=QUESTION)
    options = parser.parse_args()
    model = guided.load(options.model)
    result = guided.run(
        model,
        f"Question: {options.question}\n",
        schema=int,
        after="Answer: ",  # for reasoning models: after="</think>"
        thinking_budget=60,  # tokens; then only the way to the trigger is left
        max_new_tokens=80,
    )
    print(options.question)
    print("thinking")
    for line in result.thinking.splitlines():
        print(f"  {line}")
    print(f"answer {result.value!r} ({type(result.value).__name__})")


if __name__ == "__main__":
    main()
