"""guided check: whether a schema compiles, and which documents it accepts."""

from __future__ import annotations

import argparse
from typing import Any

from guided.cli.reading import SCHEMA, name, read_json
from guided.errors import InputError


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check", help="compile a schema, and say which JSON files it accepts"
    )
    parser.add_argument("schema", help=SCHEMA)
    parser.add_argument("instances", nargs="*", metavar="instance", help="JSON files, or -")
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    if [options.schema, *options.instances].count("-") > 1:
        raise InputError("standard input (-) can be read only once")
    from guided.schema_check import SchemaCheck

    check = SchemaCheck(read_json(options.schema))
    if not options.instances:
        print(f"{name(options.schema)}: compiles")
    failures = 0
    for path in options.instances:
        verdict = check(read_json(path))
        failures += not verdict.is_accepted
        print(f"{name(path)}: {verdict}")
    return 1 if failures else 0
