"""Trains `examples/models/tiny-diffusion`, a masked diffusion model, on a GPU or one core.

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
from recipe.training import Plan, Report, printer, spare_cores
from torch import Tensor
from transformers import AutoTokenizer

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-diffusion"
SHAPE = Shape(layers=4, width=128, heads=4, inner=256)
VOCABULARY = 1024
STEPS, ROWS, CANVAS, USES = 4050, 16, 32, 4


def reporter(model: Any, tokenizer: Any, keep: Path | None, every: int) -> Report:
    """A report that prints the loss and writes the model to `keep` every so many steps."""
    show = printer(every=50)

    def report(step: int, loss: Tensor) -> None:
        show(step, loss)
        if keep is not None and step % every == 0:
            save(model, tokenizer, keep, max_new_tokens=CANVAS)

    return report


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--new-tokenizer", action="store_true", help="learned anew")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--steps", type=int, default=STEPS, help="default: %(default)s")
    either.add_argument("--minutes", type=float, help="the learning rates then follow the clock")
    parser.add_argument("--rows", type=int, default=ROWS, help="lists, and notes, of a step")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="default: %(default)s")
    parser.add_argument("--layers", type=int, default=SHAPE.layers, help="default: %(default)s")
    parser.add_argument("--width", type=int, default=SHAPE.width, help="default: %(default)s")
    parser.add_argument("--device", default=device, help="default here: %(default)s")
    parser.add_argument("--workers", type=int, help="processes that make rows; by cores")
    parser.add_argument("--keep", type=Path, help="folder for the model on the way")
    parser.add_argument("--keep-every", type=int, default=250, help="steps")
    return parser.parse_args(arguments)


def plan_of(chosen: argparse.Namespace) -> Plan:
    """The run that the options ask for."""
    return Plan(
        steps=chosen.steps if chosen.minutes is None else 1_000_000,
        adam_rate=chosen.rate,
        warmup=100,
        minutes=chosen.minutes,
        seed=chosen.seed,
        device=chosen.device,
        workers=spare_cores(chosen.device) if chosen.workers is None else chosen.workers,
    )


def main() -> None:
    """Entry point."""
    chosen = options()
    torch.set_num_threads(1)
    plan = plan_of(chosen)
    if chosen.new_tokenizer:
        tokenizer: Any = canvas_tokenizer(VOCABULARY, chosen.seed)
    else:
        tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    shape = Shape(chosen.layers, chosen.width, SHAPE.heads, 2 * chosen.width)
    model = look_around(build_denoiser(shape, len(tokenizer), chosen.seed), chosen.seed)
    batches = CanvasStream(
        tokenizer, chosen.rows, chosen.seed + 1000, workers=plan.workers, uses=USES
    )
    denoise(model, batches, plan, reporter(model, tokenizer, chosen.keep, chosen.keep_every))
    save(model, tokenizer, chosen.out, max_new_tokens=CANVAS)


if __name__ == "__main__":
    main()
