"""guided generate: text that follows a schema or grammar."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from guided.cli.reading import SCHEMA, parsed, read, read_json
from guided.errors import InputError

#: Names that `align=` takes; `guided.options` has them too, but is slow to import.
ALIGN = ("none", "asap", "cars", "ars", "rejection", "awrs", "smc", "mcmc")


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser("generate", help="write text that follows a schema or grammar")
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("prompt", help="the prompt, - for standard input")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--schema", metavar="FILE", help=SCHEMA)
    kinds.add_argument("--regex", metavar="PATTERN", help="a Python regular expression")
    kinds.add_argument("--grammar", metavar="FILE", help="a Lark or GBNF grammar in a file, or -")
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
    parser.add_argument("--align", choices=ALIGN, default="none", metavar="METHOD",
                        help="draw from the model's own law conditioned on the schema or grammar: "
                        + ", ".join(ALIGN[1:]))  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the full result, a line each")
    parser.set_defaults(command=_generate)


def _generate(options: argparse.Namespace) -> int:
    if "-" in (options.schema, options.grammar) and options.prompt == "-":
        raise InputError("standard input cannot be both the prompt and the schema or grammar")
    text = read(options.prompt) if options.prompt == "-" else options.prompt
    kinds: dict[str, Any] = {
        "schema": None if options.schema is None else read_json(options.schema),
        "regex": options.regex,
        "grammar": None if options.grammar is None else read(options.grammar),
        "choices": None if options.choices is None else _choices(options.choices),
    }
    # Heavy, and not needed to refuse a wrong argument.
    from guided.generation import run
    from guided.loading import load
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
        align=options.align,
    )
    if options.align != "none":
        return _print_draws(results if options.n > 1 else [results], options, kinds)
    for result in results if options.n > 1 else [results]:
        print(_shown(result, as_json=options.json, is_json=kinds["schema"] is not None))
    return 0


def _print_draws(
    results: Sequence[Any], options: argparse.Namespace, kinds: Mapping[str, Any]
) -> int:
    """Prints those draws that there are, and on stderr what is certain about them."""
    from guided.alignment import check_whole, is_missing

    for result in results:
        if not is_missing(result):
            print(_shown(result, as_json=options.json, is_json=kinds["schema"] is not None))
    if results[0].certificate is not None:
        print(results[0].certificate, file=sys.stderr)
    check_whole(results)
    return 130 if any(result.finish_reason == "interrupt" for result in results) else 0


def _shown(result: Any, *, as_json: bool, is_json: bool) -> str:
    if as_json:
        fields = _finite(dataclasses.asdict(result))
        fields["fields"] = {at: dataclasses.asdict(s) for at, s in result.fields.items()}
        return json.dumps(fields, ensure_ascii=False)
    return json.dumps(result.value, ensure_ascii=False) if is_json else str(result.text)


def _finite(value: Any) -> Any:
    """A document without numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _choices(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return text.split(",")
    words = parsed(text, "--choices")
    if not all(isinstance(word, str) for word in words):
        raise InputError("--choices must be a JSON list of strings")
    return list(words)
