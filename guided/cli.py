"""The command line: guided generate, guided check, guided explain."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from guided.errors import GrammarError, GuidedError, InputError

_SCHEMA = "a JSON Schema in a file, - for standard input"


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
        prog="guided", description="Constrained decoding for Hugging Face language models."
    )
    parser.add_argument("--version", action="version", version=f"guided {version('guided')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands)
    check = commands.add_parser(
        "check", help="compile a schema, and say which JSON files it accepts"
    )
    check.add_argument("schema", help=_SCHEMA)
    check.add_argument("instances", nargs="*", metavar="instance", help="JSON files, or -")
    check.set_defaults(command=_check)
    explain = commands.add_parser("explain", help="list how each keyword of a schema is enforced")
    explain.add_argument("schema", help=_SCHEMA)
    explain.add_argument("--json", action="store_true", help="as JSON instead of a table")
    explain.set_defaults(command=_explain)
    return parser


def _add_generate(commands: Any) -> None:
    parser = commands.add_parser("generate", help="write text that follows a schema or grammar")
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("prompt", help="the prompt, - for standard input")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--schema", metavar="FILE", help=_SCHEMA)
    kinds.add_argument("--regex", metavar="PATTERN", help="a Python regular expression")
    kinds.add_argument("--grammar", metavar="FILE", help="a Lark grammar in a file, or -")
    kinds.add_argument("--choices", metavar="A,B,...", help="one of these (or a JSON list)")
    parser.add_argument("--describe", choices=["fields", "json_schema"], nargs="?", const="fields",
                        help="write the schema into the prompt")  # fmt: skip
    parser.add_argument("--chat", action="store_true", help="use the model's chat template")
    parser.add_argument("--n", type=int, default=1, help="how many outputs")
    parser.add_argument("--temperature", type=float, help="0 is greedy")
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--min-p", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--json", action="store_true", help="print the full result, a line each")
    parser.set_defaults(command=_generate)


def _generate(options: argparse.Namespace) -> int:
    if "-" in (options.schema, options.grammar) and options.prompt == "-":
        raise InputError("standard input cannot be both the prompt and the schema or grammar")
    text = _read(options.prompt) if options.prompt == "-" else options.prompt
    kinds: dict[str, Any] = {
        "schema": None if options.schema is None else _read_json(options.schema),
        "regex": options.regex,
        "grammar": None if options.grammar is None else _read(options.grammar),
        "choices": None if options.choices is None else _choices(options.choices),
    }
    # Heavy, and not needed to refuse a wrong argument.
    from guided.generation import run
    from guided.model import load
    from guided.outputs import output_of

    output_of(**kinds)  # before the model is loaded, which may take minutes
    prompt: Any = [{"role": "user", "content": text}] if options.chat else text
    results = run(
        load(options.model),
        prompt,
        **kinds,
        describe=options.describe,
        n=options.n,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
    )
    for result in results if options.n > 1 else [results]:
        print(_shown(result, as_json=options.json, is_json=kinds["schema"] is not None))
    return 0


def _shown(result: Any, *, as_json: bool, is_json: bool) -> str:
    if as_json:
        fields = dataclasses.asdict(result)
        fields["fields"] = {at: dataclasses.asdict(s) for at, s in result.fields.items()}
        return json.dumps(fields, ensure_ascii=False)
    return json.dumps(result.value, ensure_ascii=False) if is_json else str(result.text)


def _choices(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return text.split(",")
    words = _parsed(text, "--choices")
    if not all(isinstance(word, str) for word in words):
        raise InputError("--choices must be a JSON list of strings")
    return list(words)


def _check(options: argparse.Namespace) -> int:
    if [options.schema, *options.instances].count("-") > 1:
        raise InputError("standard input (-) can be read only once")
    from guided.schema_check import SchemaCheck

    check = SchemaCheck(_read_json(options.schema))
    if not options.instances:
        print(f"{_name(options.schema)}: compiles")
    failures = 0
    for path in options.instances:
        verdict = check(_read_json(path))
        failures += not verdict.is_accepted
        print(f"{_name(path)}: {verdict}")
    return 1 if failures else 0


def _explain(options: argparse.Namespace) -> int:
    from guided.grammars.json_schema import explain

    explanation = explain(_read_json(options.schema))
    if options.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in explanation.entries]))
    else:
        print(explanation)
    return 0


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def _read(path: str) -> str:
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{_name(path)} is not UTF-8 at byte {error.start}") from error


def _read_json(path: str) -> Any:
    return _parsed(_read(path), _name(path))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{where} is not JSON: {error.msg}"
        raise GrammarError(message, text, error.lineno, error.colno) from error
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply") from error
