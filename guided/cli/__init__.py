"""The command line: one file for each command, in `commands/`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pkgutil import iter_modules
from typing import Any

from guided.cli import commands
from guided.errors import GuidedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status: 0, 1 for a failure (told on stderr), 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except GuidedError as error:
        return _fail(error)
    except OSError as error:
        # A reader that has gone (guided ... | head) is no failure worth words.
        return 1 if isinstance(error, BrokenPipeError) else _fail(error)
    except KeyboardInterrupt:
        return 130


def _fail(error: Exception) -> int:
    print(f"guided: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guided",
        description="Constrained and reward-guided decoding for Hugging Face language models.",
    )
    parser.add_argument("--version", action="version", version=f"guided {version('guided')}")
    added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _commands():
        command.add(added)
    return parser


def _commands() -> Iterator[Any]:
    """The modules of all commands, by name."""
    for found in iter_modules(commands.__path__):
        yield import_module(f"{commands.__name__}.{found.name}")
