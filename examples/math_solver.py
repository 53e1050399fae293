"""Your model gets math problems wrong: let a process reward model guide a search over its steps.

    python examples/math_solver.py
    python examples/math_solver.py "Kim found 10 badges. Then Kim triples the number of badges. ..."
    python examples/math_solver.py --problems mine.jsonl --method best-of-n --set n=16
    python examples/math_solver.py --compare --limit 40 --plot compare.html
    python examples/math_solver.py --model Qwen/Qwen2.5-Math-1.5B-Instruct \
        --reward Qwen/Qwen2.5-Math-PRM-7B --problems mine.jsonl --trace trace.jsonl

With arguments it is `guided solve`. Without any it compares greedy decoding with A* on problems of
this repository, and shows one solution step by step.
"""

import json
import sys
from pathlib import Path

import guided
from guided.cli import main as command_line
from guided.rewards import PRM
from guided.search import AStar, Greedy, final_answer

HERE = Path(__file__).parent
COUNT = 40


def demo() -> None:
    lines = (HERE / "data" / "word_problems.jsonl").read_text().splitlines()[:COUNT]
    problems = [json.loads(line) for line in lines]
    prompts = [f"Question: {problem['question']}\n" for problem in problems]
    model = guided.load(str(HERE / "models" / "tiny-math"))
    reward = PRM(str(HERE / "models" / "tiny-prm"))

    right = {}
    search = AStar(width=3, reexpand_penalty=0.4, depth_bonus=0.15)
    for method, temperature in ((Greedy(), 0.0), (search, 1.0)):
        name = type(method).__name__
        results = method.run(
            model, prompts, reward, temperature=temperature, max_new_tokens=120, at_once=20
        )
        right[name] = [
            final_answer(result.text) == str(problem["answer"])
            for problem, result in zip(problems, results, strict=True)
        ]
        tokens = sum(result.spent["tokens"] for result in results) / COUNT
        passes = sum(result.spent["reward_passes"] for result in results) / COUNT
        spent = f"{tokens:.0f} tokens and {passes:.0f} reward passes for each"
        print(f"{name:8} {sum(right[name])} of {COUNT} right, {spent}")

    number = next(i for i in range(COUNT) if right["AStar"][i] and not right["Greedy"][i])
    print(f"\nSolved by the search only:\n{problems[number]['question']}")
    steps = results[number].text.splitlines()
    for step, score in zip(steps, results[number].steps, strict=True):
        print(f"  {step:14} {score:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(command_line(["solve", *sys.argv[1:]]))
    demo()
