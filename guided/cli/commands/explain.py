"""guided explain: how each keyword of a schema is enforced."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from guided.cli.reading import SCHEMA, read_json


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser("explain", help="list how each keyword of a schema is enforced")
    parser.add_argument("schema", help=SCHEMA)
    parser.add_argument("--json", action="store_true", help="as JSON instead of a table")
    parser.set_defaults(command=_explain)


def _explain(options: argparse.Namespace) -> int:
    from guided.grammars.json_schema import explain

    explanation = explain(read_json(options.schema))
    if options.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in explanation.entries]))
    else:
        print(explanation)
    return 0
