"""Finds names in Lark grammar text, and turns Lark's complaints into located messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import itemgetter

_PIECES = re.compile(
    r"""(?://|\#)[^\n]*                                 # comment
      | "(?:\\"|\\\\|[^"\n])*?"i?                       # string
      | /(?!/)(?:\\/|\\\\|[^/\n])*?/[imslux]*           # regular expression
      | (?P<name>[_A-Za-z][_A-Za-z0-9]*)
    """,
    re.VERBOSE,
)
_BEFORE_DEFINITION = re.compile(r"[ \t]*(?:%override|%extend)?[ \t!?]*\Z")
_AFTER_NAME = re.compile(r"[ \t]*(?:\{[^}\n]*\})?[ \t]*(?:\.[ \t]*[+-]?\d+)?[ \t]*:")

# Where Lark's messages name what they are about.
_NAMED = [
    re.compile(pattern)
    for pattern in (r"in (?:rule |terminal )?(\w+)\)\Z", r"'(\w+)'", r": (\w+)\Z")
]


def _is_definition(text: str, found: re.Match[str]) -> bool:
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
    return bool(_BEFORE_DEFINITION.match(line) and _AFTER_NAME.match(text, found.end()))


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def locate(text: str, name: str, *, use: bool = False, last: bool = False) -> tuple[int, int]:
    """Line and column (from 1) of the first place that defines `name`; (0, 0) if there is none.

    `use` prefers a place that uses it, `last` the last place. A name that stands only in places of
    the other kind is found there.
    """
    found = [m for m in _PIECES.finditer(text) if m["name"] == name]
    preferred = [m for m in found if _is_definition(text, m) != use] or found
    if not preferred:
        return 0, 0
    return _position(text, preferred[-1 if last else 0].start())


def longest_expansion(text: str) -> tuple[str, int]:
    """The terminal that expands to most characters, and their number, counted generously.

    A terminal that uses itself counts as nothing there: Lark names it.
    """
    own: dict[str, int] = {"": 0}
    uses: dict[str, list[str]] = {"": []}
    current = ""
    for piece in _PIECES.finditer(text):
        if piece["name"] and _is_definition(text, piece):
            current = piece["name"] if piece["name"].isupper() else ""
            own.setdefault(current, 0)
            uses.setdefault(current, [])
        elif current:
            own[current] += len(piece[0])
            uses[current] += filter(None, [piece["name"]])
    sizes: dict[str, int] = {}
    for name in own:
        _expand(name, own, uses, sizes)
    return max(((name, sizes[name]) for name in own if name), key=itemgetter(1), default=("", 0))


def _expand(
    start: str, own: Mapping[str, int], uses: Mapping[str, list[str]], sizes: dict[str, int]
) -> None:
    """Fills `sizes` for `start` and all that it uses."""
    if start in sizes:
        return
    opened = {start}
    stack = [(start, iter(uses[start]))]
    while stack:
        name, remaining = stack[-1]
        use = next((use for use in remaining if use in own and use not in sizes), None)
        if use and use not in opened:
            opened.add(use)
            stack.append((use, iter(uses[use])))
        elif not use:
            sizes[name] = own[name] + sum(sizes.get(use, 0) for use in uses[name])
            stack.pop()


def complaint(text: str, error: BaseException) -> tuple[str, str, int, int]:
    """Message, text, line and column for an error that Lark raised without a position."""
    message = str(error).partition("\n")[0]
    if undefined := re.search(r"'(\w+)' used but not defined", message):
        name = undefined[1]
        return (f"{_kind(name)} {name!r} is not defined", text, *locate(text, name, use=True))
    if twice := re.search(r"'(\w+)' defined more than once", message):
        name = twice[1]
        return (f"{_kind(name)} {name!r} is defined twice", text, *locate(text, name, last=True))
    if isinstance(error, OSError):
        return (f"cannot import: {error.strerror}: {error.filename!r}", text, *_import(text))
    if isinstance(error, AssertionError) and not message:
        return ("a terminal uses another that is only declared", text, 0, 0)
    named = next(filter(None, (pattern.search(message) for pattern in _NAMED)), None)
    place = locate(text, named[1]) if named else (0, 0)
    return (message[:1].lower() + message[1:], text, *place)


def _kind(name: str) -> str:
    return "terminal" if name.isupper() else "rule"


def _import(text: str) -> tuple[int, int]:
    found = re.search(r"^[ \t]*(%import)", text, re.MULTILINE)
    return _position(text, found.start(1)) if found else (0, 0)
