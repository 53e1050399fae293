"""The value of a JSON text that is still being written, as far as it is there."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import is_typeddict


def partial_value(kind: Any, text: str) -> Any:
    """What `text`, the beginning of a JSON document, says so far; None if nothing yet.

    Fields of pydantic models that are not there yet have their default, or None. A value that its
    type does not accept yet (half a date, say) is left out.
    """
    try:
        data = from_json(text.strip(), allow_partial="trailing-strings")
    except ValueError:
        return None
    return _built(kind, data)


def _built(kind: Any, data: Any) -> Any:
    """`data` as a `kind`, with what is missing or not acceptable left out."""
    if kind is Any:
        return data
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError:
        pass
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(data, Mapping):
        return _model(kind, data)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(data, Mapping):
        return _dataclass(kind, data)
    if is_typeddict(kind) and isinstance(data, Mapping):
        return _typed_dict(kind, data)
    if origin is Annotated:
        return _built(arguments[0], data)
    if origin in (Union, types.UnionType):
        tried = (_built(argument, data) for argument in arguments)
        return next((value for value in tried if value is not None), None)
    if origin in (list, tuple, set, frozenset) and arguments and isinstance(data, list):
        return [value for item in data if (value := _built(arguments[0], item)) is not None]
    if origin is dict and len(arguments) == 2 and isinstance(data, Mapping):
        pairs = ((key, _built(arguments[1], item)) for key, item in data.items())
        return {key: value for key, value in pairs if value is not None}
    return None


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return _cached_adapter(kind)
    except TypeError:  # not hashable
        return TypeAdapter(kind)


@lru_cache(maxsize=128)
def _cached_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _model(kind: type[BaseModel], data: Mapping[str, Any]) -> BaseModel:
    values: dict[str, Any] = {}
    for name, info in kind.model_fields.items():
        key = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        value = data.get(key if key is not None else name)
        built = None if value is None else _built(info.annotation, value)
        if built is not None:
            values[name] = built
        elif info.is_required():
            values[name] = None
    return kind.model_construct(_fields_set={k for k in values if values[k] is not None}, **values)


def _typed_dict(kind: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    pairs = ((name, _built(hints[name], data[name])) for name in hints if name in data)
    return {name: value for name, value in pairs if value is not None}


def _dataclass(kind: type, data: Mapping[str, Any]) -> Any:
    """The dataclass made without its checks, what is missing being its default or None."""
    made: Any = object.__new__(kind)
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        value = data.get(field.name)
        default = None if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        built = None if value is None else _built(hints[field.name], value)
        object.__setattr__(made, field.name, default if built is None else built)
    return made
