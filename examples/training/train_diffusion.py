"""Trains `examples/models/tiny-diffusion`, a masked diffusion model, on one processor core.

It fills a canvas behind a prompt: lists after operations on them (copy, reverse, sort, shuffle, …)
and flat JSON objects out of short notes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from recipe.canvases import CanvasStream, canvas_tokenizer
from recipe.denoiser import build_denoiser, denoise
from recipe.model import Shape
from recipe.neighbours import look_around
from recipe.saving import save
from recipe.training import Plan, Report, printer
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-diffusion"
SHAPE = Shape(layers=4, width=96, heads=4, inner=192)
VOCABULARY = 1024
STEPS, ROWS, CANVAS = 4050, 16, 32


def reporter(model: Any, tokenizer: Any, keep: Path | None, every: int) -> Report:
    """A report that prints the loss and writes the model to `keep` every so many steps."""
    show = printer(every=50)

    def report(step: int, loss: Tensor) -> None:
        show(step, loss)
        if keep is not None and step % every == 0:
            save(model, tokenizer, keep, max_new_tokens=CANVAS)

    return report


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--steps", type=int, default=STEPS, help="default: %(default)s")
    either.add_argument("--minutes", type=float, help="the learning rates then follow the clock")
    parser.add_argument("--keep", type=Path, help="folder for the model on the way")
    parser.add_argument("--keep-every", type=int, default=250, help="steps")
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer = canvas_tokenizer(VOCABULARY, options.seed)
    model = look_around(build_denoiser(SHAPE, len(tokenizer), options.seed), options.seed)
    plan = Plan(
        steps=options.steps if options.minutes is None else 1_000_000,
        adam_rate=1.5e-3,
        warmup=100,
        minutes=options.minutes,
        seed=options.seed,
    )
    batches = CanvasStream(tokenizer, ROWS, options.seed + 1000)
    report = reporter(model, tokenizer, options.keep, options.keep_every)
    denoise(model, batches, plan, report)
    save(model, tokenizer, options.out, max_new_tokens=CANVAS)


if __name__ == "__main__":
    main()
