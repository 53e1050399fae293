"""Trains `examples/models/tiny-lm`, the JSON-extraction model, or one of another size.

Without options it is the run that made the weights that are there: under 9 minutes on an H200 with
16 processor cores. Without a GPU it runs on one core and takes about five days there (72 s a step);
--minutes, or a smaller model and fewer rows, is what to ask of a core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from recipe.copying import make_copy_friendly
from recipe.guide import Guide, Weights
from recipe.hints import CLASSES
from recipe.model import Shape, build
from recipe.rows import ExtractionRows, extraction_tokenizer
from recipe.saving import save
from recipe.training import Plan, Report, printer, spare_cores, train
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-lm"
STEPS, ROWS, POOL, USES, LISTS = 6100, 512, 2048, 2, 2
LAYERS, WIDTH, HEAD_WIDTH = 6, 256, 32
VOCABULARY = 2048


def shape_of(layers: int, width: int) -> Shape:
    """A shape with heads as wide as those of tiny-lm and an inner layer in proportion."""
    return Shape(layers, width, width // HEAD_WIDTH, inner=round(width * 2.7 / 16) * 16)


def guide_of(config: Any) -> Guide:
    """Roles after two thirds of the layers; places for a head there and two of the last layer."""
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    middle = max(0, 2 * layers // 3 - 1)
    looking = ((middle, 0), (layers - 1, heads // 4), (layers - 1, heads // 2))
    return Guide(config.hidden_size, CLASSES, middle, looking, Weights())


def reporter(model: Any, tokenizer: Any, guide: Guide, keep: Path | None, every: int) -> Report:
    """A report that prints the losses, and writes the model to `keep` every so many steps."""
    show = printer(every=50)

    def report(step: int, loss: Tensor) -> None:
        show(step, loss)
        if step % 50 == 0:
            print("  guide", *(f"{mean:.3f}" for mean in guide.means()), flush=True)
        if keep is not None and step % every == 0:
            save(model, tokenizer, keep / f"step{step}", max_new_tokens=256)

    return report


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; ends the program where that makes no model."""
    parser = argparse.ArgumentParser(description=__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the model on the way")
    parser.add_argument("--keep-every", type=int, default=500, help="steps")

    length = parser.add_argument_group("length")
    either = length.add_mutually_exclusive_group()
    either.add_argument("--steps", type=int, default=STEPS, help="default: %(default)s")
    either.add_argument("--minutes", type=float, help="the learning rates then follow the clock")
    length.add_argument("--rows", type=int, default=ROWS, help="of a step; default: %(default)s")
    length.add_argument("--peak", type=float, default=1.0, help="factor on the learning rates")

    size = parser.add_argument_group("model")
    size.add_argument("--layers", type=int, default=LAYERS, help="default: %(default)s")
    size.add_argument("--width", type=int, default=WIDTH, help="default: %(default)s")
    origin = size.add_mutually_exclusive_group()
    origin.add_argument("--new-tokenizer", action="store_true", help="learned anew, not tiny-lm's")
    origin.add_argument("--start", type=Path, help="folder of a model to go on from as it is")

    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default=device, help="default here: %(default)s")
    machine.add_argument("--micro", type=int, help="rows of a forward pass; by device")
    machine.add_argument("--workers", type=int, help="processes that make rows; by cores")

    chosen = parser.parse_args(arguments)
    if chosen.layers < 2 or chosen.width < HEAD_WIDTH or chosen.width % HEAD_WIDTH:
        parser.error(f"--layers is at least 2, --width a multiple of {HEAD_WIDTH}")
    return chosen


def begin(chosen: argparse.Namespace) -> tuple[Any, Any]:
    """The model to train and its tokenizer."""
    if chosen.start:
        model: Any = AutoModelForCausalLM.from_pretrained(chosen.start, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(chosen.start)
    if chosen.new_tokenizer:
        tokenizer: Any = extraction_tokenizer(VOCABULARY, chosen.seed)
    else:
        tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    fresh = build(shape_of(chosen.layers, chosen.width), len(tokenizer), chosen.seed)
    return make_copy_friendly(fresh, chosen.seed), tokenizer


def plan_of(chosen: argparse.Namespace) -> Plan:
    """The run that the options ask for; a processor gets small forward passes, no processes."""
    on_cpu = chosen.device == "cpu"
    micro = (4 if on_cpu else ROWS) if chosen.micro is None else chosen.micro
    return Plan(
        steps=chosen.steps if chosen.minutes is None else 1_000_000,
        rows=chosen.rows,
        muon_rate=0.02 * chosen.peak,
        adam_rate=3e-3 * chosen.peak,
        longest=384,
        micro=micro,
        pool=max(POOL, chosen.rows),
        uses=USES,
        warmup=100,
        seed=chosen.seed,
        device=chosen.device,
        workers=spare_cores(chosen.device) if chosen.workers is None else chosen.workers,
        minutes=chosen.minutes,
    )


def main() -> None:
    """Entry point."""
    chosen = options()
    torch.set_num_threads(1)
    model, tokenizer = begin(chosen)
    guide = guide_of(model.config)
    rows = ExtractionRows(tokenizer, begun=bool(chosen.start), lists=LISTS)
    report = reporter(model, tokenizer, guide, chosen.keep, chosen.keep_every)
    train(model, rows, plan_of(chosen), report, guide)
    save(model, tokenizer, chosen.out, max_new_tokens=256)


if __name__ == "__main__":
    main()
