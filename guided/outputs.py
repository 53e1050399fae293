"""Output types: what the user asks for, as a grammar and a parser."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from guided.errors import InputError, SchemaError, ValidationFailedError
from guided.grammars.choices import choices as choices_grammar
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.regex import regex as regex_grammar
from guided.partial_values import partial_value
from guided.type_schemas import TypeJsonSchema

_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, partial)


@dataclass(frozen=True)
class JsonForm:
    """How JSON is written: white space, order of keys, and what to do about the unsupported."""

    whitespace: str = "flexible"
    property_order: str = "schema"
    on_unsupported: str = "error"


@dataclass(frozen=True)
class Output:
    """What one sequence is to be.

    Attributes:
        grammar: what the text must follow; None for free text.
        schema: the JSON Schema, where there is one; `{"enum": …}` for choices.
        parse: the value of a complete text; raises ValidationFailedError.
        partial: the value of the beginning of a text.
    """

    grammar: Grammar | None
    schema: Any
    parse: Callable[[str], Any]
    partial: Callable[[str], Any]


def _identity(text: str) -> str:
    return text


FREE_TEXT = Output(None, None, _identity, _identity)


def output_of(
    *,
    schema: Any = None,
    regex: str | None = None,
    grammar: str | Grammar | None = None,
    choices: Sequence[str] | None = None,
    form: JsonForm | None = None,
) -> Output:
    """The output that one of the arguments describes; free text if all are None.

    Raises:
        InputError: more than one is given, or one that cannot be used (a finer error says why).
    """
    wanted = {"schema": schema, "regex": regex, "grammar": grammar, "choices": choices}
    given = [name for name, value in wanted.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} contradict each other; give one of them")
    if schema is not None:
        return _json_output(schema, form or JsonForm())
    if regex is not None:
        return Output(_compiled_regex(regex), None, _identity, _identity)
    if grammar is not None:
        compiled = grammar if isinstance(grammar, Grammar) else _compiled_text(grammar)
        return Output(compiled, None, _identity, _identity)
    if choices is not None:
        words = _checked_choices(choices)
        return Output(_compiled_choices(words), {"enum": list(words)}, _identity, _identity)
    return FREE_TEXT


def _checked_choices(choices: Sequence[str]) -> tuple[str, ...]:
    if isinstance(choices, str) or not choices or not all(isinstance(c, str) for c in choices):
        raise InputError("choices must be a non-empty list of strings")
    return tuple(choices)


@lru_cache(maxsize=64)
def _compiled_regex(pattern: str) -> Grammar:
    return regex_grammar(pattern)


@lru_cache(maxsize=64)
def _compiled_text(text: str) -> Grammar:
    # Reading grammars takes a parser of its own, which most callers do without.
    from guided.grammars.gbnf import gbnf, looks_like_gbnf
    from guided.grammars.lark import lark

    return gbnf(text) if looks_like_gbnf(text) else lark(text)


@lru_cache(maxsize=64)
def _compiled_choices(words: tuple[str, ...]) -> Grammar:
    return choices_grammar(list(words))


@lru_cache(maxsize=64)
def _compiled_schema(text: str, form: JsonForm) -> Grammar:
    return json_schema(
        json.loads(text),
        whitespace=form.whitespace,  # type: ignore[arg-type]  # checked there
        property_order=form.property_order,  # type: ignore[arg-type]
        on_unsupported=form.on_unsupported,  # type: ignore[arg-type]
    )


@lru_cache(maxsize=64)
def _text_output(schema: str, form: JsonForm) -> Output:
    return _json_output(_parsed_schema(schema), form)


def _json_output(schema: Any, form: JsonForm) -> Output:
    if isinstance(schema, str):
        return _text_output(schema, form)
    if isinstance(schema, Mapping | bool):
        parse, partial_of = _load_json, partial(partial_value, Any)
        document: Any = dict(schema) if isinstance(schema, Mapping) else schema
    else:
        kind = arguments_model(schema) if isinstance(schema, _FUNCTIONS) else schema
        adapter, document = _adapter(kind)
        finish = _arguments if kind is not schema else _identity_value
        parse = partial(_validate, adapter, finish)
        partial_of = partial(_partial, kind, finish)
    return Output(_compiled_schema(_dumped(document), form), document, parse, partial_of)


def _parsed_schema(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the JSON Schema is not valid JSON: {error}") from error


def _dumped(schema: Any) -> str:
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"the JSON Schema is no JSON document: {error}") from error


def _adapter(kind: Any) -> tuple[TypeAdapter[Any], Any]:
    """Pydantic's validator of a type, and the JSON Schema of what it accepts."""
    try:
        return _cached_adapter(kind)
    except TypeError:  # an unhashable type form, such as Annotated with a list
        return _made_adapter(kind)


def _made_adapter(kind: Any) -> tuple[TypeAdapter[Any], Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        return adapter, adapter.json_schema(mode="validation", schema_generator=TypeJsonSchema)
    except PydanticUserError as error:
        raise InputError(f"{kind!r} cannot be an output type: {error}") from error


_cached_adapter = lru_cache(maxsize=128)(_made_adapter)


def arguments_model(function: Callable[..., Any]) -> Any:
    """A pydantic model with one field for every parameter of `function`.

    Raises:
        InputError: parameters that cannot be given by name.
    """
    name = getattr(function, "__name__", "call")
    hints = get_type_hints(getattr(function, "func", function), include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InputError(
                f"{name}: parameter {parameter} cannot be given by name, so no call can be made"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(name, __config__=ConfigDict(arbitrary_types_allowed=False), **fields)


def _arguments(call: Any) -> dict[str, Any]:
    return {name: getattr(call, name) for name in type(call).model_fields}


def _identity_value(value: Any) -> Any:
    return value


def _validate(adapter: TypeAdapter[Any], finish: Callable[[Any], Any], text: str) -> Any:
    try:
        return finish(adapter.validate_json(text))
    except ValidationError as error:
        message = f"a validator refused the output: {error}"
        raise ValidationFailedError(message, text, error) from error


def _partial(kind: Any, finish: Callable[[Any], Any], text: str) -> Any:
    value = partial_value(kind, text)
    return finish(value) if value is not None else None


def _load_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationFailedError(f"the output is no JSON: {error}", text, error) from error
