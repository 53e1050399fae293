"""Benchmarks that are made of parts, any of which may be run alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from .figures import Report

Parts = Mapping[str, Callable[[argparse.Namespace, Report], None]]


def parser_of(text: str | None, parts: Parts) -> argparse.ArgumentParser:
    """A parser of `--only`, `--quick` and `--json`, described by the first line of a text."""
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--json", help="write figures and tables to this file")
    return parser


def measured(
    parts: Parts,
    options: argparse.Namespace,
    name: str,
    title: str,
    whole: str,
    besides: Sequence[str] = (),
) -> Report:
    """Measures the parts in `options.only`; a run of some only makes a section of its own.

    Args:
        name: of the report; `title`: what it is about; `whole`: what all parts together measure.
        besides: what else tells a run of some parts from others.
    """
    named = [*options.only, *besides]
    is_whole = options.only == list(parts)
    what = whole if is_whole else ", ".join(named).replace("_", " ")
    report = Report(name if is_whole else "_".join([name, *named]), f"{title}: {what}")
    for part in options.only:
        print(f"{part} …", file=sys.stderr, flush=True)
        parts[part](options, report)
    return report
