"""Tokens per second of constrained generation, beside unconstrained generation and peers.

    python benchmarks/end_to_end.py [MODEL …] [--quick] [--json OUT]

One process, one model at a time. Every way of decoding draws from the same model at temperature 1
with the same schemas and the same budget; schemas are compiled beforehand, for all. Unconstrained
is `model.generate` without stop tokens. Without a MODEL: the embedded model where it is there (else
a small one with random weights), and one of 92 million random weights with a 131,072-token
vocabulary.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from harness import data, models
from harness.figures import Figure, Report, Table, number
from harness.processors import PEERS, Arguments

import guided
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema

SCHEMAS = ("flat_person", "nested_order", "tool_call", "survey", "wide_object", "refs_shared")
PROMPT = "Extract the fields of this text as JSON. Ada Lovelace, 36, ordered two of AB-0001.\n"
EMBEDDED = data.ROOT / "examples" / "models" / "tiny-lm"
# Writes one batch: (schema, rows, seed) -> number of tokens.
Way = Callable[[str, int, int], int]


@dataclass(frozen=True)
class Subject:
    """A model to measure with, by name."""

    name: str
    model: guided.Model


def subjects(names: Sequence[str]) -> list[Subject]:
    """The models that were named, or the two default ones."""
    if names:
        return [Subject(name, guided.load(name)) for name in names]
    small = models.small_tokenizer()
    if EMBEDDED.is_dir():
        found = [Subject("tiny-lm", guided.load(str(EMBEDDED)))]
    else:
        network = models.random_llama(small, hidden=256, layers=4)
        found = [Subject("random 256x4", guided.Model(network, small))]
    large = models.tekken_tokenizer()
    network = models.random_llama(large, hidden=512, layers=8)
    return [*found, Subject("random 92M, 131k", guided.Model(network, large))]


def schemas(count: int) -> dict[str, str]:
    """Schemas of our own set, as text, by name."""
    cases = {case.name.removeprefix("Own---"): case for case in data.load(data.OWN_SET)}
    return {name: cases[name].schema for name in SCHEMAS[:count]}


def written(model: guided.Model, rows: int, seed: int, budget: int, extra: Arguments) -> int:
    """Tokens that Hugging Face `generate` writes, the first stop token of a row included."""
    tokenizer = model.tokenizer
    inputs = tokenizer([PROMPT] * rows, return_tensors="pt").to(model.device)
    torch.manual_seed(seed)
    out = model.hf_model.generate(
        **{key: inputs[key] for key in ("input_ids", "attention_mask")},
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=budget,
        pad_token_id=tokenizer.pad_token_id,
        **extra,
    )
    total = 0
    for row in out[:, inputs["input_ids"].shape[1] :].tolist():
        stop = tokenizer.eos_token_id
        total += row.index(stop) + 1 if stop in row else len(row)
    return total


def ways(model: guided.Model, budget: int, report: Report, where: str) -> dict[str, Way]:
    """Every way of decoding that can be had, by name."""

    grammars: dict[str, Grammar] = {}

    def guided_run(schema: str, rows: int, seed: int) -> int:
        results = guided.run(
            model,
            [PROMPT] * rows,
            schema=schema,
            max_new_tokens=budget,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            seed=seed,
        )
        return sum(len(result.tokens) for result in results)

    def guided_processor(schema: str, rows: int, seed: int) -> int:
        if schema not in grammars:
            grammars[schema] = json_schema(schema)
        processor = guided.GuidedLogitsProcessor(grammars[schema], model, max_new_tokens=budget)
        return written(model, rows, seed, budget, {"logits_processor": [processor]})

    def unconstrained(schema: str, rows: int, seed: int) -> int:
        return written(model, rows, seed, budget, {"min_new_tokens": budget})

    found: dict[str, Way] = {
        "unconstrained model.generate": unconstrained,
        "guided.run": guided_run,
        "guided in model.generate": guided_processor,
    }
    for name, build in PEERS.items():
        try:
            arguments = build(model.tokenizer)
        except Exception as error:
            report.notes.append(f"{name} on {where}: not run, {type(error).__name__}: {error}")
            continue
        found[name] = _peer(model, budget, arguments)
    return found


def _peer(model: guided.Model, budget: int, arguments: Callable[[str], Arguments]) -> Way:
    return lambda schema, rows, seed: written(model, rows, seed, budget, arguments(schema))


def speed(way: Way, schema: str, rows: int, times: int) -> float:
    """Tokens per second: the median of some calls, after one that is not counted."""
    way(schema, rows, 0)
    found = []
    for seed in range(1, times + 1):
        start = time.perf_counter()
        tokens = way(schema, rows, seed)
        found.append(tokens / (time.perf_counter() - start))
    return statistics.median(found)


def measure(
    subject: Subject, rows: int, options: argparse.Namespace, report: Report
) -> dict[str, float]:
    """Tokens per second of every way: the geometric mean over the schemas that it can do."""
    found: dict[str, list[float]] = {}
    chosen = schemas(options.schemas)
    for name, way in ways(subject.model, options.budget, report, subject.name).items():
        for title, schema in chosen.items():
            try:
                found.setdefault(name, []).append(speed(way, schema, rows, options.times))
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error)[:160]}"
                report.notes.append(f"{name} on {subject.name}, {title}, batch {rows}: {reason}")
    return {n: statistics.geometric_mean(speeds) for n, speeds in found.items() if speeds}


def run(options: argparse.Namespace) -> Report:
    """Measures every model and batch size, and gathers the report."""
    report = Report("end_to_end", "Tokens per second, end to end")
    columns = ["model, batch", "way", "tokens/s", "of unconstrained", "guided.run / this"]
    table = Table(columns)
    report.tables.append(table)
    for subject in subjects(options.models):
        for rows in options.batch:
            speeds = measure(subject, rows, options, report)
            free, ours = speeds["unconstrained model.generate"], speeds["guided.run"]
            for name, value in speeds.items():
                ratios = [number(value / free), number(ours / value)]
                table.rows.append([f"{subject.name}, {rows}", name, number(value), *ratios])
            label = f"{subject.name} batch {rows}".replace(",", "").replace(" ", "_")
            report.figures.append(Figure(f"speed_of_unconstrained_{label}", ours / free, "x"))
            peers = [value for name, value in speeds.items() if name in PEERS]
            best = ours / max(peers) if peers else None
            report.figures.append(Figure(f"speed_to_best_peer_{label}", best, "x"))
    report.notes.append(
        f"geometric mean over {options.schemas} schemas, median of {options.times} calls each, "
        f"budget {options.budget} tokens, temperature 1, {options.threads} torch thread(s), wall "
        "time; only guided closes every document within the budget"
    )
    return report


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="folders or Hub ids")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--budget", type=int, default=128, help="tokens per output")
    parser.add_argument("--schemas", type=int, default=len(SCHEMAS), help="how many")
    parser.add_argument("--times", type=int, default=3, help="calls per schema")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--quick", action="store_true", help="two schemas, one call, 32 tokens")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    if options.quick:
        options.schemas, options.times, options.budget = 2, 1, 96
    torch.set_num_threads(options.threads)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
