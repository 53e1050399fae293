"""Best-of-N and particle filtering as they are written on plain `generate`, for comparison.

As inference-scaling libraries do it: one problem at a time, whole sequences encoded again for
every step, the reward model called on whole texts.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence

import torch

from guided.rewards import Continuation
from guided.search import BestOfN, ParticleFilter

from ..figures import Figure, Report, Table, number
from .accuracy import solve
from .outcome import Outcome, difference
from .setting import LONGEST, Setting

Score = Callable[[str, Sequence[str]], list[float]]


def measure(setting: Setting, size: int, seed: int, report: Report) -> None:
    """Accuracy and time of both methods, both ways."""
    ways = {
        "best-of-N": (BestOfN(size), _best_of_n),
        "particle filter": (ParticleFilter(size), _particle_filter),
    }
    table = Table(["method", "plain generate, %", "guided, %", "plain generate, s", "guided, s"])
    for name, (search, peer) in ways.items():
        ours = solve(setting, search, seed)
        theirs = _solve(setting, peer, size, seed)
        table.rows.append(
            [
                f"{name}, {size}",
                f"{theirs.accuracy:.1f}",
                f"{ours.accuracy:.1f}",
                number(theirs.seconds),
                number(ours.seconds),
            ]
        )
        label = name.replace("-", "_").replace(" ", "_").lower()
        report.figures.append(
            Figure(f"plain_generate_to_guided_{label}", theirs.seconds / ours.seconds, "x", ">= 1")
        )
        gap, low, high = difference(ours, theirs)
        report.notes.append(
            f"{name}: guided minus plain {gap:+.1f} points [{low:+.1f}, {high:+.1f}]"
        )
    table.title = f"beside plain generate; {len(setting.questions)} problems"
    report.tables.append(table)


def _solve(
    setting: Setting,
    method: Callable[[Setting, str, int, random.Random, Score], str],
    size: int,
    seed: int,
) -> Outcome:
    scorer = setting.scorer()

    def score(prompt: str, texts: Sequence[str]) -> list[float]:
        # Whole texts each time: nothing is remembered between calls.
        made = scorer.reward.score([prompt] * len(texts), [Continuation(text) for text in texts])
        return [math.prod(float(step) for step in steps) for steps in made]  # type: ignore[union-attr]

    torch.manual_seed(seed)
    rng, began = random.Random(seed), time.process_time()
    texts = [method(setting, prompt, size, rng, score) for prompt in setting.prompts]
    seconds = time.process_time() - began
    right = [float(one) for one in setting.right(texts)]
    nothing = [0.0] * len(right)
    return Outcome(right, nothing, nothing, nothing, seconds)


def _sample(setting: Setting, texts: Sequence[str], stop: str | None, tokens: int) -> list[str]:
    """One continuation of every text by `generate`."""
    tokenizer = setting.model.tokenizer
    tokenizer.padding_side = "left"
    inputs = tokenizer(list(texts), return_tensors="pt", padding=True)
    made = setting.model.hf_model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=True,
        temperature=1.0,
        top_k=0,
        max_new_tokens=tokens,
        stop_strings=stop,
        tokenizer=tokenizer if stop else None,
        pad_token_id=tokenizer.pad_token_id,
    )
    new = made[:, inputs["input_ids"].shape[1] :]
    return tokenizer.batch_decode(new, skip_special_tokens=True)


def _best_of_n(setting: Setting, prompt: str, size: int, rng: random.Random, score: Score) -> str:
    texts = _sample(setting, [prompt] * size, None, LONGEST)
    scores = score(prompt, texts)
    return texts[max(range(size), key=scores.__getitem__)]


def _particle_filter(
    setting: Setting, prompt: str, size: int, rng: random.Random, score: Score
) -> str:
    texts, done = [""] * size, [False] * size
    values = [0.5] * size
    for _ in range(40):
        going = [i for i in range(size) if not done[i]]
        if not going:
            break
        added = _sample(setting, [prompt + texts[i] for i in going], "\n", 40)
        for i, more in zip(going, added, strict=True):
            texts[i] += more
            done[i] = not more.endswith("\n")
        for i, value in zip(going, score(prompt, [texts[i] for i in going]), strict=True):
            values[i] = min(1 - 1e-7, max(1e-7, value))
        chosen = rng.choices(range(size), [v / (1 - v) for v in values], k=size)
        texts, done = [texts[i] for i in chosen], [done[i] for i in chosen]
        values = [values[i] for i in chosen]
    return texts[max(range(size), key=values.__getitem__)]
