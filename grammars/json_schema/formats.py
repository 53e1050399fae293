"""The languages of the `format`s of the standard.

Sources: RFC 3339 (dates, times, durations), RFC 5321 (email), RFC 1123 and 5890 (host names),
RFC 2673 and 4291 (addresses), RFC 3986 and 3987 (URI, IRI), RFC 6570 (templates), RFC 6901
(pointers), RFC 9562 (UUID), ECMA-262 (regular expressions).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.automata.kept import kept
from guided.grammars.regex import compile_regex

# -- dates and times (RFC 3339) -----------------------------------------------------------
_LEAP = r"[0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00"


def _date(year: str, leap_year: str) -> str:
    return (
        rf"(({year})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
        rf"|02-(0[1-9]|1[0-9]|2[0-8]))|({leap_year})-02-29)"
    )


_ANY_DATE = _date("[0-9]{4}", rf"{_LEAP}|0000")
# The calendar of most programs begins with the year 1: what is written has no year 0.
_DATE = _date("[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000", _LEAP)
_OFFSET = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_FRACTION = r"(\.[0-9]+)?"
_DAY, _ZONE = 24 * 60, 15  # in minutes; clocks differ by quarters of an hour


def _leap_seconds() -> str:
    """The times of leap seconds, which end a day in UTC, by the clocks of all zones."""
    zones: dict[int, list[str]] = {}
    for offset in range(_ZONE - _DAY, _DAY, _ZONE):
        hours, minutes = divmod(abs(offset), 60)
        zone = rf"{'-' if offset < 0 else '[+]'}{hours:02}:{minutes:02}"
        zones.setdefault((offset - 1) % _DAY, []).append(zone)
    zones[_DAY - 1] += ["[Zz]", "-00:00"]
    times = (
        rf"{now // 60:02}:{now % 60:02}:60{_FRACTION}({'|'.join(found)})"
        for now, found in zones.items()
    )
    return "|".join(times)


_PLAIN_TIME = rf"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]{_FRACTION}{_OFFSET}"
_SHORT_TIME = rf"({_PLAIN_TIME}|23:59:60{_FRACTION}([Zz]|[+-]00:00))"
_TIME = rf"({_PLAIN_TIME}|{_leap_seconds()})"
_CLOCK = r"T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)"
_DAYS = r"([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)"
_DURATION = rf"P({_DAYS}({_CLOCK})?|{_CLOCK}|[0-9]+W)"

# -- addresses ----------------------------------------------------------------------------
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"({_H16}:{_H16}|{_IPV4})"
_IPV6 = (
    rf"(({_H16}:){{6}}{_LS32}|::({_H16}:){{5}}{_LS32}|({_H16})?::({_H16}:){{4}}{_LS32}"
    rf"|(({_H16}:)?{_H16})?::({_H16}:){{3}}{_LS32}|(({_H16}:){{0,2}}{_H16})?::({_H16}:){{2}}{_LS32}"
    rf"|(({_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}|(({_H16}:){{0,4}}{_H16})?::{_LS32}"
    rf"|(({_H16}:){{0,5}}{_H16})?::{_H16}|(({_H16}:){{0,6}}{_H16})?::)"
)
_ATOM_TEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_WIDE = r"\u0080-\U0010ffff"
_QUOTED = r'"([ !#-\[\]-~{wide}]|\\[ -~]){0,31}"'


def _local_part(atom: str, wide: str) -> str:
    one, two = rf"{atom}{{1,64}}", rf"{atom}{{1,31}}\.{atom}{{1,32}}"
    three = rf"{atom}{{1,20}}(\.{atom}{{1,20}}){{2}}"
    return rf"({one}|{two}|{three}|{_QUOTED.replace('{wide}', wide)})"


# -- URI (RFC 3986) and IRI (RFC 3987) ----------------------------------------------------
def _uri(wide: str, reference: bool) -> str:
    """A URI, or an IRI where `wide` adds characters; with or without relative references."""
    escape = r"%[0-9A-Fa-f]{2}"
    unreserved, sub = rf"A-Za-z0-9\-._~{wide}", r"!$&'()*+,;="
    pchar = rf"([{unreserved}{sub}:@]|{escape})"
    first = rf"([{unreserved}{sub}@]|{escape})"
    segments = rf"(/{pchar}*)*"
    private = r"\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd" if wide else ""
    query, fragment = rf"(\?({pchar}|[/?{private}])*)?", rf"(#({pchar}|[/?])*)?"
    user = rf"(([{unreserved}{sub}:]|{escape})*@)?"
    future = rf"[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~{sub}:]+"
    host = rf"(\[({_IPV6}|{future})\]|([{unreserved}{sub}]|{escape})*)"
    authority = rf"//{user}{host}(:[0-9]*)?{segments}"
    absolute = rf"/({pchar}+{segments})?"
    full = (
        rf"[A-Za-z][A-Za-z0-9+.\-]*:({authority}|{absolute}|{pchar}+{segments}|){query}{fragment}"
    )
    if not reference:
        return full
    return rf"({full}|({authority}|{absolute}|{first}+{segments}|){query}{fragment})"


_UCS = r"\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U0001fffd\U00020000-\U0002fffd"
_VARIABLE = (
    r"([A-Za-z0-9_]|%[0-9A-Fa-f]{2})(\.?([A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(:[1-9][0-9]{0,3}|\*)?"
)
_TEMPLATE = (
    rf"([!#$&-;=?-\[\]_a-z~{_UCS}]|%[0-9A-Fa-f]{{2}}"
    rf"|\{{[+#./;?&=,!@|]?{_VARIABLE}(,{_VARIABLE})*\}})*"
)

# -- pointers -----------------------------------------------------------------------------
_POINTER = r"(/([^~/]|~[01])*)*"
_RELATIVE_POINTER = rf"(0|[1-9][0-9]*)(#|{_POINTER})"


def _ranges(letters: str) -> str:
    """Ranges of a character class whose ends are among `letters`, which are in order."""
    return "|".join(rf"{low}-[{low}-{letters[-1]}]" for low in letters)


def _regular_expression(depth: int) -> str:
    """Regular expressions, as both ECMA-262 and Python take them, with groups `depth` deep."""
    common = r"[dDwWsSfnrtv]|[.*+?^$(){}|\[\]/\\-]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
    escape = rf"\\([bB]|{common})"
    letter = r"[^\\\[\](){}|.*+?^$\n\r\u2028\u2029]"
    inside = rf"([^\\\]\[\n\r\u2028\u2029-]|\\({common}))"
    ranges = "|".join(map(_ranges, (ascii_lowercase, ascii_uppercase, digits)))
    klass = rf"\[\^?-?({ranges}|{inside})+-?\]"
    quantifier = r"([*+?]|\{[0-9]{1,3},?\})\??"
    atom = rf"({letter}|\.|{escape}|{klass})"
    text = rf"([\^$]|{atom}({quantifier})?)*"
    for _ in range(depth):
        group = rf"\((\?:)?{text}(\|{text})*\)"
        text = rf"([\^$]|({atom}|{group})({quantifier})?)*"
    return rf"{text}(\|{text})*"


_PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "uri": _uri("", False),
    "uri-reference": _uri("", True),
    "iri": _uri(_UCS, False),
    "iri-reference": _uri(_UCS, True),
    "uri-template": _TEMPLATE,
    "json-pointer": _POINTER,
    "relative-json-pointer": _RELATIVE_POINTER,
    "regex": _regular_expression(2),
}
FORMATS = frozenset(_PATTERNS) | {"hostname", "idn-hostname", "email", "idn-email"}
SHORT = 63
"""Host names and mail addresses up to this length break no limit on the length of their parts."""
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
# Letters that IDNA2008 allows anywhere in a label, written from left to right, that no following
# character composes with: small Latin, Greek and Cyrillic ones, kana, Han characters, Hangul.
_LETTERS = (
    r"\u00df-\u00f6\u00f8-\u00ff\u03ac-\u03ce\u0430-\u045f"
    r"\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
# What IDNA takes for a dot.
_DOT = r"[.\u3002\uff0e\uff61]"
_BROADER = {
    "hostname": r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?",
    "idn-hostname": r"[^@ ]+",
    "email": r".+@.+",
    "idn-email": r".+@.+",
    "regex": r"[\s\S]*",
    "time": rf"[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{_FRACTION}{_OFFSET}",
    "date": _ANY_DATE,
    "date-time": rf"{_ANY_DATE}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{_FRACTION}{_OFFSET}",
}
NARROWED = frozenset(_BROADER)
"""Formats of which only a part is written: the rest is not regular, or of no use."""


@lru_cache(maxsize=64)
def format_language(name: str) -> Dfa:
    """The strings of a format in `FORMATS`, as UTF-8; of those in `NARROWED`, a part."""
    return kept_format(f"language {name}", lambda: _made(name))


def kept_format(what: str, make: Callable[[], Dfa]) -> Dfa:
    """What `make` makes of the formats that are defined here, kept on disk under its name."""
    return kept(f"{what}\0{_definitions()}", make)


@cache
def _definitions() -> str:
    """A text that changes with this module."""
    return blake2b(Path(__file__).read_bytes(), digest_size=16).hexdigest()


def _made(name: str) -> Dfa:
    host = _host_name if name in ("hostname", "email") else _international_host_name
    if name in ("hostname", "idn-hostname"):
        return host()
    if name in ("email", "idn-email"):
        literal = compile_regex(rf"\[({_IPV4}|IPv6:{_IPV6})\]", "python")
        at = automata.literal(b"@")
        local = _local_part(_mail_atom(name), "" if name == "email" else _WIDE)
        return compile_regex(local, "python") + at + (host() | literal)
    return compile_regex(_PATTERNS[name], "python")


@lru_cache(maxsize=64)
def broader_language(name: str) -> Dfa:
    """A regular language that holds every string of a format."""
    return compile_regex(_BROADER[name], "python") if name in NARROWED else format_language(name)


@lru_cache(maxsize=8)
def short_language(name: str) -> Dfa | None:
    """What has a format provided that it is at most SHORT long, None where length plays no part.

    Its automaton is small, so that it can be combined with a limit on the length. Of times it has
    leap seconds in UTC only.
    """
    if name in ("time", "date-time"):
        day = "" if name == "time" else rf"{_DATE}[Tt]"
        return compile_regex(rf"{day}{_SHORT_TIME}", "python")
    host = _without_reserved(rf"{_LABEL}(\.{_LABEL})*", r"([^.]*\.)*[^.]{2}--[^.]*(\.[^.]*)*")
    if name in ("hostname", "idn-hostname"):
        return host
    if name in ("email", "idn-email"):
        atom = _mail_atom(name)
        return compile_regex(rf"{atom}+(\.{atom}+)*@", "python") + host
    return None


def _mail_atom(name: str) -> str:
    return _ATOM_TEXT if name == "email" else rf"({_ATOM_TEXT}|[{_WIDE}])"


def _without_reserved(names: str, reserved: str) -> Dfa:
    """Host names without labels that have two hyphens in the third place.

    RFC 5890 reserves them, and which of them decode is not regular.
    """
    return compile_regex(names, "python") - compile_regex(reserved, "python")


@lru_cache(maxsize=1)
def _host_name() -> Dfa:
    """Up to 3 labels of 63 letters or up to 8 of 30, so that the whole has at most 253."""
    return _labels(63, 3) | _labels(30, 8)


@lru_cache(maxsize=1)
def _international_host_name() -> Dfa:
    """Host names in ASCII, and up to 4 labels some of which have other letters.

    A label of up to 11 of these letters has at most 60 as Punycode: 4 for `xn--`, and 5 for each.
    """
    letter = rf"[a-z0-9{_LETTERS}]"
    inner = rf"[a-z0-9{_LETTERS}-]"
    plain = rf"{letter}({inner}{{0,9}}{letter})?"
    label = _label(60) | _without_reserved(plain, rf"{inner}{{2}}--{inner}*")
    dot = compile_regex(_DOT, "python")
    return _host_name() | label + (dot + label).repeat(0, 3)


def _labels(length: int, count: int) -> Dfa:
    label = _label(length)
    return label + (automata.literal(b".") + label).repeat(0, count - 1)


def _label(length: int) -> Dfa:
    inner = rf"[A-Za-z0-9]([A-Za-z0-9-]{{0,{length - 2}}}[A-Za-z0-9])?"
    return _without_reserved(inner, r"[A-Za-z0-9-]{2}--[A-Za-z0-9-]*")
