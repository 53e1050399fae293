"""guided adadec-threshold: from which entropy on AdaDec should look ahead."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from guided.cli.reading import name, read
from guided.errors import InputError


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "adadec-threshold", help="learn AdaDec's entropy threshold from reference solutions"
    )
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument(
        "data", help='JSON lines {"prompt": ..., "solution": ...} in a file, - for standard input'
    )
    parser.add_argument("--seed", type=int, default=42, help="of the split and the balancing")
    parser.add_argument("--json", action="store_true", help="as JSON instead of text")
    parser.set_defaults(command=_learn)


def _learn(options: argparse.Namespace) -> int:
    solutions = _solutions(read(options.data), name(options.data))
    # Heavy, and not needed to refuse wrong data.
    from guided.loading import load
    from guided.search.adadec_threshold import learn_threshold

    found = learn_threshold(load(options.model), solutions, seed=options.seed)
    if options.json:
        print(json.dumps(dataclasses.asdict(found)))
        return 0
    print(f"theta = {found.theta:.6f} nats")
    print(
        f"held-out accuracy {found.accuracy:.1%} on {found.held_out} of {found.positions} tokens "
        f"(always the majority: {found.majority:.1%})"
    )
    print(
        f"the first choice is the reference's on {found.first:.1%} of all tokens; the entropy is "
        f"higher where it is not with probability {found.auc:.2f}"
    )
    print(
        f"P(first) = sigmoid({found.curve.intercept:.3f} {found.curve.slope:+.3f} H), "
        f"cut at {found.cutoff:.2f}"
    )
    return 0


def _solutions(text: str, where: str) -> list[tuple[str, str]]:
    found = []
    # Not splitlines: a prompt may hold line separators that JSON leaves as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}, line {number}: no JSON ({error.msg})") from error
        fields = record if isinstance(record, dict) else {}
        prompt, solution = fields.get("prompt"), fields.get("solution")
        if not (isinstance(prompt, str) and isinstance(solution, str)):
            raise InputError(f'{where}, line {number}: needs the texts "prompt" and "solution"')
        found.append((prompt, solution))
    if not found:
        raise InputError(f"{where} holds no solution")
    return found
