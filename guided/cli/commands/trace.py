"""guided trace: the page of a trace file."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "trace", help="show a trace of a search as one HTML page, which needs nothing else"
    )
    parser.add_argument(
        "trace", metavar="FILE", help="what Trace(FILE) or solve --trace has written"
    )
    parser.add_argument(
        "-o", "--output", metavar="PAGE", help="where the page goes; FILE with the ending .html"
    )
    parser.set_defaults(command=_trace)


def _trace(options: argparse.Namespace) -> int:
    from guided.trace_page import trace_page

    print(trace_page(options.trace, options.output))
    return 0
