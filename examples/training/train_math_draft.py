"""Trains `examples/models/tiny-math-draft`, a small draft model for tiny-math, on one core.

It learns tiny-math's own law at every token of training problems' solutions (distillation), and has
its tokenizer, as a draft model must.
"""

from __future__ import annotations

import argparse
import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recipe.batches import Batch, Row, Supply, pools
from recipe.copying import make_copy_friendly
from recipe.model import LeanForward, Shape, build
from recipe.rows import prompt_row
from recipe.saving import save
from recipe.training import Plan, Updates, printer
from recipe.wordproblems import problem
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
STEPS = 1600
SHAPE = Shape(layers=2, width=64, heads=2, inner=176)


@dataclass(frozen=True)
class SolutionRows:
    """Makes training rows: problems with their solutions."""

    tokenizer: Any

    def __call__(self, rng: random.Random, step: int) -> Row:
        one = problem(rng)
        return prompt_row(self.tokenizer, one.prompt(), one.solution())


def law(model: LeanForward, batch: Batch) -> Tensor:
    """Log-probabilities `[n, vocabulary]` of what comes next, wherever something is learned."""
    hidden = model.hidden(batch.inputs, batch.positions, None, batch.learned)
    return model.logits(hidden).log_softmax(-1)


def divergence(large: LeanForward, small: LeanForward, batch: Batch) -> Tensor:
    """The mean divergence of the small model's law from the large one's, in nats."""
    with torch.no_grad():
        wanted = law(large, batch)
    return (wanted.exp() * (wanted - law(small, batch))).sum(-1).mean()


def distil(target: Any, model: Any, tokenizer: Any, plan: Plan) -> None:
    """Trains `model` in place towards the law of `target`."""
    large, small = LeanForward(target), LeanForward(model)
    updates = Updates(model, plan, torch.float32)
    supply = Supply(plan.micro, plan.pool, plan.longest, plan.seed + 1000, plan.workers)
    made = pools(SolutionRows(tokenizer), supply, max(1, plan.pool // plan.rows))
    stream = itertools.chain.from_iterable(made)
    report, smooth, parts = printer(every=100), torch.zeros(()), plan.rows // plan.micro
    for step in range(plan.steps):
        loss = torch.zeros(())
        for batch in itertools.islice(stream, parts):
            part = divergence(large, small, batch) / parts
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
        updates.make(step, step / plan.steps)
        smooth = loss if step == 0 else 0.97 * smooth + 0.03 * loss
        report(step + 1, smooth)
    made.close()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / "tiny-math-draft")
    parser.add_argument("--target", type=Path, default=MODELS / "tiny-math")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.target)
    target = AutoModelForCausalLM.from_pretrained(options.target, dtype=torch.float32)
    model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    plan = Plan(steps=options.steps, rows=16, micro=8, constant=0.4, seed=options.seed)
    distil(target, model, tokenizer, plan)
    save(model, tokenizer, options.out, max_new_tokens=100)


if __name__ == "__main__":
    main()
