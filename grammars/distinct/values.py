"""JSON values as the standard compares them, and texts that may still become equal to one."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

_DIGITS = re.compile(rb"[-+0-9.eE]*")
_EXPONENT = re.compile(rb"[eE]")
_LITERALS = {True: b"true", False: b"false", None: b"null"}
_SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_QUOTE = ord('"')
_SPACES = frozenset(b" \t\r\n")
#: What may stand behind a number.
_BEHIND = _SPACES | frozenset(b",]}")


class Number(NamedTuple):
    """A number in one form, however it was written: its digits, without zeros at either end."""

    negative: bool
    digits: str
    exponent: int

    @classmethod
    def of(cls, text: str) -> Number:
        """The number that a JSON text writes."""
        mantissa, _, exponent = text.lower().partition("e")
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        digits = (whole + fraction).lstrip("0")
        kept = digits.rstrip("0")
        if not kept:
            return cls(False, "", 0)
        power = int(exponent or "0") - len(fraction) + len(digits) - len(kept)
        return cls(text.startswith("-"), kept, power)


def value_of(text: bytes) -> Any:
    """The value of a JSON text: equal ones are equal in Python. Of equal names the last counts."""
    return json.loads(text, parse_int=Number.of, parse_float=Number.of)


class Match(NamedTuple):
    """A text that has written a value up to `end`, or (`end` < 0) that still may.

    `following`: the bytes that may come next on the way to it.
    """

    end: int
    following: frozenset[int] = frozenset()


def before(value: Any) -> Match:
    """The match of no text: what a text of `value` begins with."""
    if isinstance(value, Number):
        first = value.digits[:1].encode() + b"0" + b"-" * (value.negative or not value.digits)
    elif isinstance(value, str):
        first = b'"'
    elif isinstance(value, list | dict):
        first = b"[" if isinstance(value, list) else b"{"
    else:
        first = _LITERALS[value][:1]
    return Match(-1, _SPACES.union(first))


def match(text: bytes, at: int, value: Any) -> Match | None:
    """How `text`, which holds no white space, writes `value` from `at` on; None where it does not.

    The text may end anywhere.
    """
    if at == len(text):
        return before(value)
    first = text[at]
    if first == _QUOTE:
        return _string(text, at, value) if isinstance(value, str) else None
    if first == ord("["):
        return _array(text, at + 1, value) if type(value) is list else None
    if first == ord("{"):
        return _object(text, at + 1, value) if isinstance(value, dict) else None
    if first in b"-0123456789":
        return _number(text, at, value) if isinstance(value, Number) else None
    if value is not True and value is not False and value is not None:
        return None
    return _word(text, at, _LITERALS[value])


def _word(text: bytes, at: int, word: bytes) -> Match | None:
    given = text[at : at + len(word)]
    if given == word:
        return Match(at + len(word))
    return Match(-1, frozenset(word[len(given) :][:1])) if word.startswith(given) else None


def _number(text: bytes, at: int, value: Number) -> Match | None:
    found = _DIGITS.match(text, at)
    end = at if found is None else found.end()
    written = text[at:end]
    if end < len(text):
        return Match(end) if Number.of(written.decode()) == value else None
    if not _may_become(written, value):
        return None
    more = (byte for byte in b"0123456789.eE+-" if _may_become(written + bytes((byte,)), value))
    is_equal = written[-1:].isdigit() and Number.of(written.decode()) == value
    return Match(-1, frozenset(more) | (_BEHIND if is_equal else frozenset()))


def _may_become(written: bytes, value: Number) -> bool:
    """Whether a number that begins so may be `value`: the digits that count stay."""
    mantissa = _EXPONENT.split(written)[0].decode()
    digits = mantissa.lstrip("-").replace(".", "").lstrip("0")
    if digits and mantissa.startswith("-") is not value.negative:
        return False
    kept = digits.rstrip("0")
    return kept == value.digits if len(mantissa) < len(written) else value.digits.startswith(kept)


@lru_cache(maxsize=4096)
def _usual(value: str) -> bytes:
    return encode_basestring(value).encode("utf-8", "surrogatepass")


def _string(text: bytes, at: int, value: str) -> Match | None:
    usual = _usual(value)
    given = text[at : at + len(usual)]
    if given == usual:
        return Match(at + len(usual))
    if b"\\" in text[at:]:
        return _spelled(text, at + 1, value)
    if not usual.startswith(given):
        return None
    following = usual[len(given)]
    inside = 0x80 <= following < 0xC0 or len(given) == len(usual) - 1
    return Match(-1, frozenset((following,) if inside else (following, ord("\\"))))


def _spelled(text: bytes, at: int, value: str) -> Match | None:
    """The same, character by character: each may be written in several ways."""
    for character in value:
        following: set[int] = set()
        for way in _ways(character):
            given = text[at : at + len(way)]
            if given == way or (way[:2] == b"\\u" and given.lower() == way and given[1:2] == b"u"):
                at += len(way)
                break
            if len(given) < len(way) and way.startswith(given.lower() if b"u" in given else given):
                following.update(bytes(way[len(given) :][:1]))
                following.update(bytes(way[len(given) :][:1]).upper())
        else:
            return Match(-1, frozenset(following)) if following else None
    if at == len(text):
        return Match(-1, frozenset(b'"'))
    return Match(at + 1) if text[at] == _QUOTE else None


def _ways(character: str) -> list[bytes]:
    """The ways to write a character inside of a string."""
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2].hex() for i in range(0, len(units), 2))
    ways = ["".join(rf"\u{pair}" for pair in pairs).encode()]
    if character in _SHORT:
        ways.append(f"\\{_SHORT[character]}".encode())
    if character >= " " and character not in '"\\':
        ways.append(character.encode("utf-8", "surrogatepass"))
    return ways


def _array(text: bytes, at: int, value: list[Any]) -> Match | None:
    for index, item in enumerate(value):
        if index:
            if at == len(text):
                return _expecting(b",")
            if text[at] != ord(","):
                return None
            at += 1
        found = match(text, at, item)
        if found is None or found.end < 0:
            return found
        at = found.end
    if at == len(text):
        return _expecting(b"]")
    return Match(at + 1) if text[at] == ord("]") else None


def _expecting(byte: bytes) -> Match:
    return Match(-1, _SPACES.union(byte))


def _object(text: bytes, at: int, value: dict[str, Any]) -> Match | None:
    """Members in any order; of equal names the last one counts."""
    wrong: set[str] = set()
    there: set[str] = set()
    while at < len(text) and text[at] != ord("}"):
        at += bool(there)  # the comma
        if at == len(text):
            # Another member makes another object, but for a name that is there already.
            return _expecting(b'"') if len(there) < len(value) and not wrong else None
        key = _key(text, at, value)
        if key is None or isinstance(key, Match):
            return None if wrong else key
        name, at = key
        there.add(name)
        wrong.discard(name)
        if at == len(text):
            return None if wrong else _expecting(b":")
        found = match(text, at + 1, value[name])
        if found is None:
            wrong.add(name)
            at = _end_of_value(text, at + 1)
        elif found.end < 0:
            return None if wrong else found
        else:
            at = found.end
        if at < 0:
            return None
    if wrong:
        return None
    if at < len(text):
        return Match(at + 1) if len(there) == len(value) else None
    if not there and value:
        return _expecting(b'"')
    return _expecting(b"}" if len(there) == len(value) else b",")


def _key(text: bytes, at: int, value: dict[str, Any]) -> tuple[str, int] | Match | None:
    """The name that stands there and where it ends; how it goes on; None where it is another."""
    following: set[int] = set()
    for name in value:
        found = _string(text, at, name)
        if found is not None and found.end >= 0:
            return name, found.end
        if found is not None:
            following |= found.following
    return Match(-1, frozenset(following)) if following else None


def _end_of_value(text: bytes, at: int) -> int:
    """Where the value that begins at `at` ends, -1 where the text ends before."""
    depth, quoted = 0, False
    while at < len(text):
        byte = text[at]
        if quoted:
            at += byte == ord("\\")
            quoted = byte != _QUOTE
        elif byte == _QUOTE:
            quoted = True
        elif byte in b"[{":
            depth += 1
        elif byte in b"]}" or byte == ord(","):
            if not depth:
                return at
            depth -= byte != ord(",")
        at += 1
    return -1
