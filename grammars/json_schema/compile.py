"""The entry: a JSON Schema becomes a grammar."""

from __future__ import annotations

import json
import marshal
from math import inf
from typing import Any, Literal, TypedDict, get_args

from guided.errors import GrammarTooLargeError, InputError, SchemaError
from guided.grammars.collector import collector_paused
from guided.grammars.grammar import Grammar
from guided.grammars.ir import GrammarSpec
from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.context import Style
from guided.grammars.json_schema.document import Document, dialect_of, foreign_dialect
from guided.grammars.json_schema.emit import Emitter
from guided.grammars.json_schema.layout import Whitespace, layout
from guided.grammars.json_schema.report import Report
from guided.grammars.json_schema.translate import Translator
from guided.grammars.kept_grammars import kept

PropertyOrder = Literal["schema", "any"]
OnUnsupported = Literal["error", "warn"]
Numbers = Literal["plain", "any"]
Formats = Literal["assert", "ignore"]
Schema = dict[str, Any] | bool | str
# The form in which equal values are equal bytes, whatever objects they share.
_MARSHAL = 2
_ON_UNSUPPORTED = get_args(OnUnsupported)
_PROPERTY_ORDERS, _NUMBERS, _FORMATS = map(get_args, (PropertyOrder, Numbers, Formats))


def json_schema(
    schema: Schema,
    *,
    whitespace: Whitespace = "flexible",
    property_order: PropertyOrder = "schema",
    on_unsupported: OnUnsupported = "error",
    numbers: Numbers = "plain",
    formats: Formats = "assert",
) -> Grammar:
    """The grammar of the JSON documents that `schema` allows (drafts 7 and 2020-12).

    Every text of the grammar is a valid document. Assertions that cannot be enforced are refused.

    Args:
        schema: a JSON Schema, or its JSON text.
        whitespace: "flexible" (at most one space after `{ [ , :` and before `} ]`), "compact"
            (none), "spaced" (as `json.dumps` writes), "indented" (a line for every member and item)
            or "any" (up to 32 characters).
        property_order: "schema" keeps the order in which the schema names members; "any" does not.
        on_unsupported: "warn" drops what cannot be enforced, with UnsupportedKeywordWarning.
        numbers: "plain" writes integers without a point; "any" also as `1.0`, which the standard
            takes for an integer and many readers do not.
        formats: "ignore" takes `format` for a remark, as the standard does by default.

    Raises:
        SchemaError: the schema is invalid, or refers to what is not there.
        UnsupportedSchemaError: an assertion cannot be enforced; names the keyword and its pointer.
        UnsatisfiableSchemaError: no document is valid.
        GrammarTooLargeError: a limit on size or time was reached.

    Example:
        >>> json_schema({"enum": ["red", "green"]}).accepts(b'"red"')
        True
    """
    if on_unsupported not in _ON_UNSUPPORTED:
        raise InputError(f'on_unsupported must be "error" or "warn", not {on_unsupported!r}')
    report = Report(on_unsupported)
    frozen = _frozen(schema)
    options: _Options = {
        "whitespace": whitespace,
        "property_order": property_order,
        "numbers": numbers,
        "formats": formats,
    }

    def make() -> GrammarSpec:
        # The caller may have changed the schema meanwhile.
        given = schema if frozen is None or isinstance(schema, str) else marshal.loads(frozen)
        return specification(given, report, **options)

    source = schema if isinstance(schema, str) else ""
    with collector_paused():
        if frozen is None:
            return Grammar(make(), source=source)
        is_text = isinstance(schema, str)
        content = ("json schema", is_text, frozen, *sorted(options.items()))
        # A dropped keyword is to be warned of every time.
        return kept(content, make, source=source, is_whole=lambda: not report.entries)


class _Options(TypedDict):
    whitespace: Whitespace
    property_order: PropertyOrder
    numbers: Numbers
    formats: Formats


def _frozen(schema: Schema) -> bytes | None:
    """All of a schema as bytes, equal where schemas are; None: it is not plain JSON."""
    try:
        if isinstance(schema, str):
            return schema.encode("utf-8", "surrogatepass")
        return marshal.dumps(schema, _MARSHAL)
    except ValueError:
        return None


def specification(
    schema: Schema,
    report: Report,
    *,
    whitespace: Whitespace = "flexible",
    property_order: PropertyOrder = "schema",
    numbers: Numbers = "plain",
    formats: Formats = "assert",
) -> GrammarSpec:
    """The rules for `schema`; what became of its keywords goes into `report`."""
    if property_order not in _PROPERTY_ORDERS:
        raise InputError(f'property_order must be "schema" or "any", not {property_order!r}')
    if numbers not in _NUMBERS:
        raise InputError(f'numbers must be "plain" or "any", not {numbers!r}')
    if formats not in _FORMATS:
        raise InputError(f'formats must be "assert" or "ignore", not {formats!r}')
    style = Style(layout(whitespace), property_order == "schema", numbers == "any")
    try:
        parsed = parse(schema) if isinstance(schema, str) else schema
        text = schema if isinstance(schema, str) else None
        _refuse_foreign(parsed, report)
        document = Document(parsed, dialect_of(parsed), text)
        translator = Translator(document, report, Budget(), formats == "assert")
        try:
            return Emitter(translator, style).grammar(translator.term(document.root))
        finally:
            translator.close()
    except RecursionError:
        raise GrammarTooLargeError("the schema is nested too deeply") from None


def _refuse_foreign(schema: Any, report: Report) -> None:
    """Refuses a dialect that is no draft of JSON Schema."""
    uri = foreign_dialect(schema)
    if uri is not None:
        report.refuse(
            "#",
            "$schema",
            f"{uri!r} is no draft of JSON Schema: what its keywords mean is not known, as nothing "
            "is fetched; leave it out to have them read as in draft 2020-12",
        )


def parse(text: str) -> Any:
    """The JSON value that `text` writes; raises SchemaError with line and column."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"the schema is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None


def _finite(text: str) -> float:
    value = float(text)
    if value in (inf, -inf):
        raise SchemaError(f"the schema holds {text}, which is too large a number")
    return value


def _no_constant(name: str) -> Any:
    raise SchemaError(f"the schema holds {name}, which JSON has not")


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
