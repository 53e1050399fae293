"""Trains `examples/models/tiny-prm`, which judges the steps of tiny-math.

The sizes are made for a GPU, where it took seven minutes with three processes that make rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from recipe.chains import Chains, problems, read_chains, sample_chains, write_chains
from recipe.ranking import AGGREGATIONS, fault_rates, pair_accuracy, step_scores
from recipe.rewardmodel import Losses, reward_model
from recipe.rewardtraining import Report, train_rewards
from recipe.steprows import Growth, StepRows, forests
from recipe.training import Plan, spare_cores
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
PROBLEMS, SAMPLES = 32_768, 4
NEW_LAYERS = 4
STEPS, ROWS = 4000, 128
WATCHED, WATCHED_SEED = 60, 50_005  # held-out problems on which the run is watched


def training_chains(model: Any, tokenizer: Any, options: argparse.Namespace) -> list[Chains]:
    """Sampled solutions, from the file if it is there."""
    if options.chains and options.chains.exists():
        return read_chains(options.chains)
    asked = problems(options.problems, options.seed)
    made = sample_chains(model, tokenizer, asked, SAMPLES, options.seed)
    if options.chains:
        write_chains(options.chains, made)
    return made


def watching(model: Any, tokenizer: Any, chains: list[Chains], every: int) -> Report:
    """A report that prints losses, and now and then how well `chains` are ordered."""
    start = time.monotonic()

    def report(step: int, loss: Losses) -> None:
        if step % 50 == 0 or step == 1:
            parts = (loss.steps, loss.tokens, loss.nexts)
            figures = "  ".join(f"{part.item():.4f}" for part in parts)
            print(f"step {step:5d}  losses {figures}  {time.monotonic() - start:.0f} s", flush=True)
        if step % every == 0:
            print(ordered(model, tokenizer, chains), flush=True)

    return report


def ordered(model: Any, tokenizer: Any, chains: list[Chains]) -> str:
    """Pair accuracy by aggregation, and the rates of faults."""
    scores = step_scores(model, tokenizer, chains)
    words = []
    for name, reduce in AGGREGATIONS.items():
        values = [[reduce(row) for row in rows] for rows in scores]
        words.append(f"pair {name} {pair_accuracy(chains, values).value():.3f}")
    rates = fault_rates(chains, scores)
    return "  ".join([*words, *(f"{name} {rate['percent']}" for name, rate in rates.items())])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / "tiny-math")
    parser.add_argument("--out", type=Path, default=MODELS / "tiny-prm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, help="processes that make rows; by cores")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, help="at most; the rates then follow the clock")
    parser.add_argument("--rows", type=int, default=ROWS, help="of a step")
    parser.add_argument("--micro", type=int, default=ROWS, help="rows of a forward pass")
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--chains", type=Path, help="file that keeps the sampled solutions")
    parser.add_argument("--watch", type=int, default=400, help="steps between two measurements")
    parser.add_argument(
        "--overfit", type=int, help="learn and watch so many problems only, save nothing: a check"
    )
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    lm: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    lm.to(options.device)
    chains = training_chains(lm, tokenizer, options)
    if options.overfit:
        mixed = [one for one in chains if len({one.right(i) for i in range(SAMPLES)}) == 2]
        chains = watched = mixed[: options.overfit]
    else:
        watched = sample_chains(
            lm, tokenizer, problems(WATCHED, WATCHED_SEED, "held"), 8, WATCHED_SEED
        )
    model = reward_model(lm.cpu(), NEW_LAYERS, options.seed)
    plan = Plan(
        steps=options.steps,
        rows=options.rows,
        micro=min(options.micro, options.rows),
        warmup=30,
        constant=0.35,
        muon_rate=0.01,
        adam_rate=2e-3,
        pool=512,
        seed=options.seed,
        device=options.device,
        workers=spare_cores(options.device) if options.workers is None else options.workers,
        minutes=options.minutes,
    )
    growth = Growth(plan.micro, plan.pool, plan.seed, plan.workers)
    stream = forests(StepRows(tokenizer), chains, growth)
    train_rewards(model, stream, plan, watching(model, tokenizer, watched, options.watch))
    if not options.overfit:
        model.cpu().eval().half().save_pretrained(options.out)
        tokenizer.save_pretrained(options.out)


if __name__ == "__main__":
    main()
