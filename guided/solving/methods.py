"""Searches by name, with settings as text: best-of-n:n=16."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

import guided.search
from guided.errors import InputError
from guided.search.search import Search

#: Names whose parts are no words.
_WHOLE = {"ASAp": "asap", "AStar": "astar", "AdaDec": "adadec", "DeAL": "deal"}
#: Names that the literature uses besides those of the classes.
_ALSO = {"bon": "BestOfN", "self-consistency": "Majority", "particles": "ParticleFilter"}


def _classes() -> dict[str, type[Search]]:
    """Every search that `guided.search` offers, by the name of its class."""
    found = ((name, getattr(guided.search, name)) for name in guided.search.__all__)
    return {
        name: each
        for name, each in found
        if inspect.isclass(each) and issubclass(each, Search) and not inspect.isabstract(each)
    }


def method_names() -> list[str]:
    """The names of all searches, as the command line calls them."""
    return sorted(map(_spelled, _classes()))


def _spelled(name: str) -> str:
    """BestOfN as best-of-n, PowerSMC as power-smc, AStar as astar."""
    if name in _WHOLE:
        return _WHOLE[name]
    words = ""
    for at, letter in enumerate(name):
        before, after = name[at - 1 : at], name[at + 1 : at + 2]
        starts = letter.isupper() and (before.islower() or (before and after.islower()))
        words += f"-{letter.lower()}" if starts else letter.lower()
    return words


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace("*", "star")


def make_method(spec: str, settings: Sequence[str] = ()) -> Search:
    """The search that a text like "best-of-n" or "best-of-n:n=16" names.

    Args:
        settings: further ones, `name=value` each.

    Raises:
        InputError: no such search, no such setting, or a value that does not fit.
    """
    name, _, inside = spec.partition(":")
    classes = _classes()
    known = {_bare(each): each for each in classes}
    known |= {_bare(also): each for also, each in _ALSO.items() if each in classes}
    if _bare(name) not in known:
        near = get_close_matches(_bare(name), known, 1)
        hint = f" Did you mean {_spelled(known[near[0]])}?" if near else ""
        raise InputError(
            f"there is no method {name!r}.{hint} The methods are {', '.join(method_names())}"
        )
    method = classes[known[_bare(name)]]
    given = [*(part for part in inside.split(",") if part), *settings]
    return method(**_values(method, given))


def _values(method: type[Search], settings: Sequence[str]) -> dict[str, Any]:
    hints = get_type_hints(method)
    fields = {field.name: hints[field.name] for field in _fields(method)}
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InputError(f"{setting!r} is no setting; write name=value")
        if name not in fields:
            raise InputError(f"{method.__name__} has no setting {name!r}; it has {_listed(fields)}")
        values[name] = _value(method, name, fields[name], text.strip())
    return values


def _fields(method: type[Search]) -> Sequence[dataclasses.Field[Any]]:
    return [each for each in dataclasses.fields(method) if each.init]  # type: ignore[arg-type]


def _listed(fields: Mapping[str, Any]) -> str:
    return ", ".join(sorted(fields)) or "none"


def _value(method: type[Search], name: str, hint: Any, text: str) -> Any:
    try:
        value = ast.literal_eval(text.capitalize() if text in ("true", "false", "none") else text)
    except (ValueError, SyntaxError):
        value = text
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        # Strict for truth values, which would else pass for numbers.
        return adapter.validate_python(value, strict=isinstance(value, bool))
    except ValidationError as error:
        why = error.errors()[0]["msg"]
    except PydanticUserError:
        why = "it cannot be given as text"
    raise InputError(f"{method.__name__}: {name}={text} does not fit: {why}")


def described(method: Search) -> str:
    """A search with its first number and the settings that are not its defaults: best-of-n n=16."""
    told = []
    for number, each in enumerate(_fields(type(method))):
        value, default = getattr(method, each.name), each.default
        if default is dataclasses.MISSING and each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        if value != default or (number == 0 and type(value) is int):
            told.append(f"{each.name}={value}")
    return " ".join([_spelled(type(method).__name__), *told])


__all__ = ["described", "make_method", "method_names"]
