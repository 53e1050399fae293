"""Sets of code points: those of Python's `re`, of ECMAScript, and of Unicode categories."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

from guided.grammars.automata.build import normal_ranges
from guided.grammars.regex.nodes import Ranges

LAST = 0x10FFFF
EVERYTHING: Ranges = ((0, 0xD7FF), (0xE000, LAST))


def ranges_of(characters: Iterable[str]) -> Ranges:
    """The ranges that hold exactly the given characters."""
    return tuple(normal_ranges((ord(c), ord(c)) for c in characters))


def union(parts: Iterable[Ranges]) -> Ranges:
    return tuple(normal_ranges(pair for part in parts for pair in part))


def negate(ranges: Ranges) -> Ranges:
    """All code points that are not in `ranges`."""
    gaps: list[tuple[int, int]] = []
    begin = 0
    for low, high in ranges:
        if low > begin:
            gaps.append((begin, low - 1))
        begin = high + 1
    if begin <= LAST:
        gaps.append((begin, LAST))
    return tuple(normal_ranges(gaps))


def without(ranges: Ranges, removed: Ranges) -> Ranges:
    return negate(union([negate(ranges), removed]))


DIGITS: Ranges = ((0x30, 0x39),)
WORDS: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
ECMA_SPACES = union(
    [ranges_of("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"), ((0x2000, 0x200A),)]
)
ECMA_LINE_ENDS = ranges_of("\n\r\u2028\u2029")


@lru_cache(1)
def _all_characters() -> str:
    return "".join(map(chr, [*range(0xD800), *range(0xE000, LAST + 1)]))


@lru_cache(64)
def python_class(expression: str, flags: int) -> Ranges:
    """The characters that a one-character expression of `re` matches, found by asking `re`."""
    runs = re.finditer(f"(?:{expression})+", _all_characters(), flags)
    # Positions skip the surrogates.
    shift = 0x800
    pairs = []
    for run in runs:
        low, high = run.start(), run.end() - 1
        if low < 0xD800 <= high:
            pairs.append((low, 0xD7FF))
            low = 0xD800
        offset = shift if low >= 0xD800 else 0
        pairs.append((low + offset, high + offset))
    return tuple(normal_ranges(pairs))


def _case_forms(text: str) -> set[str]:
    return {text, text.lower(), text.upper(), text.title(), text.casefold(), text.swapcase()}


@lru_cache(1)
def _cased_characters() -> str:
    """Every character that some case mapping changes or yields, in order."""
    cased: set[str] = set()
    characters = _all_characters()
    for begin in range(0, len(characters), 256):
        block = characters[begin : begin + 256]
        if len(_case_forms(block)) == 1:
            continue
        for character in block:
            forms = _case_forms(character)
            if len(forms) > 1:
                cased.update(form for form in forms if len(form) == 1)
    return "".join(sorted(cased))


@lru_cache(1)
def _cased_ranges() -> Ranges:
    return ranges_of(_cased_characters())


@lru_cache(1024)
def python_ignoring_case(explicit: Ranges, categories: str, flags: int) -> Ranges:
    """What `re` matches under IGNORECASE for a class of `explicit` ranges and `categories`.

    `categories` are class escapes such as ``\\w``; `re` does not extend them by case pairs. The
    case pairs of the others are found by asking `re` about every cased character.
    """
    written = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in explicit) + categories
    if not written:
        return ()
    parts = [explicit]
    if categories:
        parts.append(python_class(f"[{categories}]", flags))
    matched = re.findall(f"[{written}]", _cased_characters(), flags | re.IGNORECASE)
    return union([without(union(parts), _cased_ranges()), ranges_of(matched)])


@lru_cache(1)
def _fold_classes() -> dict[str, list[str]]:
    """Cased characters by their simple case folding."""
    classes: dict[str, list[str]] = {}
    for character in _cased_characters():
        classes.setdefault(_simple_fold(character), []).append(character)
    return classes


def _simple_fold(character: str) -> str:
    """The simple case folding: the full one where it is one character, else the lower case."""
    for form in (character.casefold(), character.lower()):
        if len(form) == 1:
            return form
    return character


@lru_cache(1024)
def ecma_ignoring_case(ranges: Ranges) -> Ranges:
    """`ranges` and all characters of the same simple case folding."""
    cased = [
        character for low, high in ranges for character in _between(_cased_characters(), low, high)
    ]
    folded = [other for c in cased for other in _fold_classes()[_simple_fold(c)]]
    return union([ranges, ranges_of(folded)])


def _between(characters: str, low: int, high: int) -> Iterator[str]:
    return (c for c in characters if low <= ord(c) <= high)


@lru_cache(1)
def _by_category() -> dict[str, Ranges]:
    """The code points of every two-letter general category, surrogates (Cs) left out."""
    points: dict[str, list[tuple[int, int]]] = {}
    for low, high in EVERYTHING:
        runs = groupby(range(low, high + 1), key=lambda point: unicodedata.category(chr(point)))
        for category, run in runs:
            run_list = list(run)
            points.setdefault(category, []).append((run_list[0], run_list[-1]))
    return {category: tuple(pairs) for category, pairs in points.items()}


_LONG_NAMES = {
    "Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll",
    "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M",
    "Combining_Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me",
    "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
    "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc",
    "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe",
    "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
    "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk",
    "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
    "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf",
    "Surrogate": "Cs", "Private_Use": "Co", "Unassigned": "Cn",
}  # fmt: skip


@lru_cache(256)
def unicode_property(name: str) -> Ranges | None:
    """The code points of ``\\p{name}``; None where the property is not known.

    Known are the general categories, short and long, with or without ``gc=``, and Any, ASCII,
    Assigned and ASCII_Hex_Digit. Their contents are those of Python's `unicodedata`.
    """
    prefix, equals, value = name.partition("=")
    if equals and prefix not in ("gc", "General_Category"):
        return None
    if not equals and name in ("Any", "ASCII", "Assigned", "ASCII_Hex_Digit"):
        return _named_set(name)
    short = value if equals else name
    return _category(_LONG_NAMES.get(short, short))


def _named_set(name: str) -> Ranges:
    if name == "Assigned":
        return negate(_by_category()["Cn"])
    if name == "ASCII_Hex_Digit":
        return ranges_of("0123456789abcdefABCDEF")
    return EVERYTHING if name == "Any" else ((0, 0x7F),)


def _category(short: str) -> Ranges | None:
    if short == "Cs":
        return ()
    if short == "LC":
        return union([_by_category()[part] for part in ("Lu", "Ll", "Lt")])
    chosen = [pairs for name, pairs in _by_category().items() if name.startswith(short)]
    if not chosen or len(short) not in (1, 2):
        return None
    return union(chosen)
