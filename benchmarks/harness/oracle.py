"""Judging texts by other people's code: jsonschema with exact numbers, re, and lark."""

from __future__ import annotations

import functools
import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jsonschema
import lark
from jsonschema.protocols import Validator


def _is_integer(checker: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def _multiple_of(validator: Any, factor: Any, value: Any, schema: Any) -> Any:
    # jsonschema divides in floating point, by which 19.99 is no multiple of 0.01.
    if validator.is_type(value, "number") and Fraction(value) % Fraction(factor):
        yield jsonschema.ValidationError(f"{value} is not a multiple of {factor}")


@functools.cache
def _exact(kind: type[Validator]) -> type[Validator]:
    """A draft's validator for documents whose numbers are int and Decimal."""
    checker = kind.TYPE_CHECKER.redefine("integer", _is_integer)
    validator: type[Validator] = jsonschema.validators.extend(
        kind, {"multipleOf": _multiple_of}, type_checker=checker
    )
    return validator


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def parse(text: str) -> Any:
    """JSON text with exact numbers; of members with one name the last counts. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_reject_constant)


def repeats_a_name(text: str) -> bool:
    """Whether an object in the JSON text has two members of one name."""
    found = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        members = dict(pairs)
        found = found or len(members) < len(pairs)
        return members

    json.loads(text, object_pairs_hook=look)
    return found


# What ECMAScript's \\s matches and Python's, in ASCII mode, does not.
_MORE_SPACE = r"\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_ESCAPE = re.compile(r"\\(.)|(\[\^?\]?)|(\])|\(\?<(?=[A-Za-z_])", re.DOTALL)


def python_pattern(pattern: str) -> str:
    """An ECMAScript pattern as Python's re reads it: ASCII classes, every space, group names."""
    inside = False

    def replace(match: re.Match[str]) -> str:
        nonlocal inside
        escaped, opened, closed = match.groups()
        if opened and not inside:
            inside = True
            # In ECMAScript [] is empty and [^] is anything; in Python the ] would be a member.
            if opened.endswith("]"):
                inside = False
                return r"[^\s\S]" if opened == "[]" else r"[\s\S]"
            return opened
        if opened:
            return opened.replace("[", "\\[", 1)
        if closed:
            inside = False
            return closed
        if escaped == "s":
            return rf"\s{_MORE_SPACE}" if inside else rf"[\s{_MORE_SPACE}]"
        if escaped is None:
            return "(?P<"
        # ECMAScript lets any other character be escaped; Python refuses unknown letters. What
        # Python lacks (\\p, \\c, \\k) is left for it to refuse.
        known = escaped in "dDwWSbBfnrtvuxcpPk0123456789" or not escaped.isalpha()
        return match.group() if known else escaped

    return f"(?a:{_ESCAPE.sub(replace, pattern)})"


_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")


def _with_python_patterns(schema: Any) -> Any:
    """A schema with its patterns translated."""
    if isinstance(schema, list):
        return [_with_python_patterns(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "pattern" and isinstance(value, str):
            found[key] = python_pattern(value)
        elif key in _MAPS and isinstance(value, dict):
            rename = python_pattern if key == "patternProperties" else str
            found[key] = {rename(k): _with_python_patterns(v) for k, v in value.items()}
        else:
            found[key] = value if key in _DATA else _with_python_patterns(value)
    return found


def compile_patterns(schema: Any) -> None:
    """Raises re.error where Python cannot read one of the (translated) patterns."""
    if isinstance(schema, list):
        for part in schema:
            compile_patterns(part)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "pattern" and isinstance(value, str):
                re.compile(value)
            elif key == "patternProperties" and isinstance(value, dict):
                for pattern in value:
                    re.compile(pattern)
            if key not in _DATA:
                compile_patterns(value)


_LEAP = re.compile(r"(\d\d):(\d\d):60((?:\.\d+)?)(z|([+-])(\d\d):(\d\d))", re.IGNORECASE)


def _with_leap_seconds(check: Any) -> Any:
    """A check of times that takes leap seconds, of which rfc3339-validator knows none."""

    def checked(value: Any) -> Any:
        found = _LEAP.search(value) if isinstance(value, str) else None
        if found is None:
            return check(value)
        hour, minute, fraction, zone, sign, hours, minutes = found.groups()
        offset = 0 if sign is None else int(f"{sign}1") * (60 * int(hours) + int(minutes))
        if (60 * int(hour) + int(minute) - offset) % 1440 != 1439:
            return False
        return check(
            f"{value[: found.start()]}{hour}:{minute}:59{fraction}{zone}{value[found.end() :]}"
        )

    return checked


@functools.cache
def _formats() -> jsonschema.FormatChecker:
    """The format checks of 2020-12."""
    found = jsonschema.FormatChecker(formats=())
    found.checkers = dict(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    for name in ("time", "date-time"):
        check, errors = found.checkers[name]
        found.checkers[name] = _with_leap_seconds(check), errors
    return found


def validator(schema: str) -> Validator:
    """The validator of a schema's draft (2020-12 where it names none), formats checked.

    Every draft is given the format checks of 2020-12: those of older ones leave out dates or uuid.
    """
    parsed = _with_python_patterns(json.loads(schema, parse_float=Decimal))
    kind = jsonschema.validators.validator_for(parsed, default=jsonschema.Draft202012Validator)
    return _exact(kind)(parsed, format_checker=_formats())


def schema_fault(judge: Validator, text: str) -> str | None:
    """Why `text` does not satisfy the schema; None where it does."""
    try:
        document = parse(text)
    except ValueError as error:
        return f"not JSON: {error}"
    error = next(iter(judge.iter_errors(document)), None)
    return None if error is None else f"{error.json_path}: {error.message[:300]}"


def regex_fault(pattern: str, text: str) -> str | None:
    """Why `text` is not a whole match; None where it is."""
    return None if re.fullmatch(pattern, text) else "no whole match"


@functools.lru_cache(maxsize=64)
def earley(grammar: str) -> lark.Lark:
    """The reference parser of a Lark grammar."""
    return lark.Lark(grammar, parser="earley", lexer="dynamic_complete", ambiguity="resolve")


def grammar_fault(grammar: str, text: str) -> str | None:
    """Why lark does not parse `text`; None where it does."""
    try:
        earley(grammar).parse(text)
    except lark.exceptions.LarkError as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None
