"""What the command line is given: texts and JSON from files or from standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from guided.errors import GrammarError, InputError

SCHEMA = "a JSON Schema in a file, - for standard input"


def name(path: str) -> str:
    """How messages call a source."""
    return "standard input" if path == "-" else path


def read(path: str) -> str:
    """The text of a file, or of standard input for "-".

    Raises:
        InputError: it is not UTF-8.
        OSError: it cannot be read.
    """
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name(path)} is not UTF-8 at byte {error.start}") from error


def read_json(path: str) -> Any:
    """The document in a file or in standard input.

    Raises:
        GrammarError: it is no JSON; shows where.
    """
    return parsed(read(path), name(path))


def parsed(text: str, where: str) -> Any:
    """The document that a text spells.

    Raises:
        GrammarError: it is no JSON; shows where.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{where} is not JSON: {error.msg}"
        raise GrammarError(message, text, error.lineno, error.colno) from error
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply") from error
