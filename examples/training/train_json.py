"""Trains `examples/models/tiny-lm`, the JSON-extraction model.

Without options: all stages on one processor core. With `--minutes` or `--steps`: one stage of the
given size, for a machine with a GPU.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recipe.copying import make_copy_friendly
from recipe.guide import Guide, Weights
from recipe.hints import CLASSES
from recipe.model import Shape, build, deepened
from recipe.rows import ExtractionRows, extraction_tokenizer
from recipe.saving import save
from recipe.training import Plan, Report, printer, train
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-lm"
VOCABULARY = 2048


@dataclass(frozen=True)
class Stage:
    """One run: `level` is the step at which the rates begin to fall, `peak` a factor on them.

    With `stop` it ends there, its rates still being what the planned `steps` make them.
    `lists` field lists are asked of every text; `sources` are the layers that a deeper model
    takes over from the one before (None: a new layer that begins as the identity). A `guided`
    stage has the losses of `recipe/guide.py` beside that of the answers. At the end a share
    `before` of the weights is what they were at its beginning: a mean of both takes out noise, as
    falling rates would (Wortsman et al. 2022, arXiv 2109.01903).
    """

    steps: int
    level: int
    rows: int
    lists: int = 1
    peak: float = 1.0
    sources: tuple[int | None, ...] = ()
    stop: int | None = None
    guided: bool = False
    before: float = 0.0


STAGES = (
    Stage(steps=2550, level=1700, rows=20),
    Stage(steps=8000, level=4500, rows=20),
    Stage(steps=200, level=200, rows=32, lists=2, sources=(0, 1, None, 2, None, 3)),
    Stage(steps=1950, level=0, rows=32, lists=2, peak=0.7, stop=800),
    Stage(steps=820, level=0, rows=32, lists=2, peak=0.413),
    Stage(steps=1400, level=0, rows=32, lists=2, peak=0.6, stop=300, guided=True, before=0.5),
)


def guide_of(model: Any) -> Guide:
    """Roles after the fourth layer; places for the heads that already look there."""
    heads = ((3, 0), (5, 2), (5, 4))
    return Guide(model.config.hidden_size, CLASSES, layer=3, heads=heads, weights=Weights())


def keeper(
    model: Any, tokenizer: Any, folder: Path | None, every: int, guide: Guide | None
) -> Report:
    """A report that prints, and writes the model to `folder` every so many steps."""
    show = printer(every=50)

    def report(step: int, loss: Tensor) -> None:
        show(step, loss)
        if guide is not None and step % 50 == 0:
            print("  guide", *(f"{mean:.3f}" for mean in guide.means()), flush=True)
        if folder is not None and step % every == 0:
            save(model, tokenizer, folder / f"step{step}", max_new_tokens=256)

    return report


@torch.no_grad()
def blend(model: Any, others: list[Tensor], share: float) -> None:
    """Makes the weights of `model` a mean of them and `others`, which have that share."""
    for weights, other in zip(model.parameters(), others, strict=True):
        weights.lerp_(other, share)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make rows")
    parser.add_argument("--start", type=Path, help="folder of a model to go on from")
    parser.add_argument("--like", type=Path, help="folder of a model whose tokenizer is taken")
    parser.add_argument("--first", type=int, default=0, help="number of the first stage to run")
    parser.add_argument("--keep", type=Path, help="folder for the model on the way")
    parser.add_argument("--keep-every", type=int, default=500, help="steps")
    one = parser.add_argument_group("one stage instead of all")
    one.add_argument("--steps", type=int)
    one.add_argument("--minutes", type=float, help="at most; the rates then follow the clock")
    one.add_argument("--rows", type=int, default=256)
    one.add_argument("--micro", type=int, default=256, help="rows of a forward pass")
    one.add_argument("--lists", type=int, default=2)
    one.add_argument("--pool", type=int, default=1024, help="rows that are made together")
    one.add_argument("--uses", type=int, default=1, help="how often each row is learned from")
    one.add_argument("--peak", type=float, default=1.0, help="factor on the learning rates")
    one.add_argument("--constant", type=float, default=0.4, help="share before they fall")
    one.add_argument("--guided", action="store_true", help="losses for roles and places, too")
    one.add_argument("--layers", type=int, default=6)
    one.add_argument("--width", type=int, default=256)
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    chosen = options()
    torch.set_num_threads(1)
    single = chosen.steps is not None or chosen.minutes is not None
    if chosen.start:
        tokenizer: Any = AutoTokenizer.from_pretrained(chosen.start)
        model: Any = AutoModelForCausalLM.from_pretrained(chosen.start, dtype=torch.float32)
    else:
        tokenizer = (
            AutoTokenizer.from_pretrained(chosen.like)
            if chosen.like
            else extraction_tokenizer(VOCABULARY, chosen.seed)
        )
        shape = Shape(layers=4, width=160, heads=5, inner=432)
        if single:
            width = chosen.width
            shape = Shape(chosen.layers, width, width // 32, inner=round(width * 2.7 / 16) * 16)
        model = make_copy_friendly(build(shape, len(tokenizer), chosen.seed), chosen.seed)
    if single:
        train_once(model, tokenizer, chosen)
    else:
        model = train_stages(model, tokenizer, chosen)
    save(model, tokenizer, chosen.out, max_new_tokens=256)


def train_once(model: Any, tokenizer: Any, chosen: argparse.Namespace) -> None:
    """One stage of the size that the options give."""
    plan = Plan(
        steps=chosen.steps or 1_000_000,
        rows=chosen.rows,
        muon_rate=0.02 * chosen.peak,
        adam_rate=3e-3 * chosen.peak,
        constant=chosen.constant,
        longest=256 + 128 * (chosen.lists - 1),
        micro=chosen.micro,
        pool=max(chosen.pool, chosen.rows),
        uses=chosen.uses,
        warmup=100,
        seed=chosen.seed,
        device=chosen.device,
        workers=chosen.workers,
        minutes=chosen.minutes,
    )
    rows = ExtractionRows(tokenizer, begun=bool(chosen.start), lists=chosen.lists)
    guide = guide_of(model) if chosen.guided else None
    train(model, rows, plan, keeper(model, tokenizer, chosen.keep, chosen.keep_every, guide), guide)


def train_stages(model: Any, tokenizer: Any, chosen: argparse.Namespace) -> Any:
    """All stages from the first one on."""
    for number, stage in enumerate(STAGES[chosen.first :], chosen.first):
        seed = chosen.seed + number
        if stage.sources:
            model = deepened(model, stage.sources, seed)
        plan = Plan(
            steps=stage.steps,
            rows=stage.rows,
            constant=stage.level / stage.steps,
            muon_rate=0.02 * stage.peak,
            adam_rate=3e-3 * stage.peak,
            longest=256 + 128 * (stage.lists - 1),
            seed=seed,
            device=chosen.device,
            workers=chosen.workers,
            stop=stage.stop,
        )
        rows = ExtractionRows(tokenizer, begun=number > 0, lists=stage.lists)
        guide = guide_of(model) if stage.guided else None
        report = keeper(model, tokenizer, chosen.keep, chosen.keep_every, guide)
        started = [weights.detach().clone() for weights in model.parameters()]
        train(model, rows, plan, report, guide)
        blend(model, started, stage.before)
        model.half().float()
    return model


if __name__ == "__main__":
    main()
