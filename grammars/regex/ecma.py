"""The syntax of ECMAScript regular expressions, as JSON Schema's `pattern` uses them.

Read as with the flag u (by code points), but with the liberties of Annex B that real schemas take:
a lone ``{``, ``}`` or ``]`` is itself, and so is any escaped character that is no letter or digit.
"""

from __future__ import annotations

import re

from guided.grammars.regex import charsets
from guided.grammars.regex.nodes import (
    Assertion,
    Chars,
    Literal,
    Look,
    Mark,
    Node,
    Ranges,
    Repeat,
    Sequence,
    choice,
    sequence,
)
from guided.grammars.regex.scanner import Scanner

_HEX = "0123456789abcdefABCDEF"
_CONTROLS = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_POSIX_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_ANCHORS = {"^": Assertion.START, "$": Assertion.END}
_CLASSES: dict[str, Ranges] = {
    "d": charsets.DIGITS,
    "D": charsets.negate(charsets.DIGITS),
    "w": charsets.WORDS,
    "W": charsets.negate(charsets.WORDS),
    "s": charsets.ECMA_SPACES,
    "S": charsets.negate(charsets.ECMA_SPACES),
}
_DOT = charsets.negate(charsets.ECMA_LINE_ENDS)
_UNSUPPORTED_GROUPS = {
    "?<=": "look-behind",
    "?<!": "negative look-behind",
    "?>": "an atomic group",
    "?P": "a group extension of Python",
    "?(": "a conditional group",
    "?#": "a comment",
}
_FOREIGN_ESCAPES = {
    "A": "the anchor \\A of other dialects (write ^)",
    "Z": "the anchor \\Z of other dialects (write $)",
    "z": "the anchor \\z of other dialects (write $)",
    "G": "the anchor \\G of other dialects",
    "Q": "quoting by \\Q",
    "h": "the class \\h of other dialects",
    "R": "the class \\R of other dialects",
    "k": "a back-reference",
}


def parse_ecma(pattern: str) -> Node:
    """The syntax tree of `pattern`.

    Raises:
        RegexError: a syntax error, what no finite automaton can decide (look-around,
            back-references), or syntax of other dialects. Only ``(?i)`` at the very start is
            taken over from those.
    """
    scanner = Scanner(pattern)
    parser = _EcmaParser(scanner, ignore_case=scanner.accept("(?i)"))
    node = parser.alternatives()
    if scanner.peek():
        scanner.fail("')' without '('")
    return node


class _EcmaParser:
    """Recursive descent over the grammar of ECMA-262, section 22.2.1."""

    def __init__(self, scanner: Scanner, *, ignore_case: bool) -> None:
        self.scanner = scanner
        self.ignore_case = ignore_case

    def alternatives(self) -> Node:
        parts = [self._alternative()]
        while self.scanner.accept("|"):
            parts.append(self._alternative())
        return choice(parts)

    def _alternative(self) -> Node:
        scanner = self.scanner
        items: list[Node] = []
        while (character := scanner.peek()) and character not in "|)":
            if character in "*+?" or (character == "{" and self._bounds() is not None):
                scanner.fail("nothing to repeat")
            item = self._term()
            items.append(item if isinstance(item, Mark | Look) else self._quantified(item))
        return sequence(items)

    def _bounds(self) -> tuple[int, int | None] | None:
        """The bounds in braces that come next, not passed; None where it is no quantifier."""
        scanner = self.scanner
        begin = scanner.at
        scanner.at += 1
        bounds = scanner.quantifier_bounds() if scanner.peek() != "," else None
        scanner.at = begin
        return bounds

    def _quantified(self, item: Node) -> Node:
        scanner = self.scanner
        column = scanner.at
        sign = scanner.peek()
        bounds: tuple[int, int | None] | None = None
        if sign == "{":
            bounds = self._bounds()
        elif sign:
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign)
        if bounds is None:
            return item
        scanner.at = scanner.pattern.index("}", column) + 1 if sign == "{" else column + 1
        if scanner.peek() == "+":
            scanner.fail("a possessive quantifier is not supported", column)
        scanner.accept("?")
        return Repeat(item, *bounds)

    def _term(self) -> Node:
        scanner = self.scanner
        column = scanner.at
        character = scanner.take()
        if character in _ANCHORS:
            return Mark(_ANCHORS[character])
        if character == ".":
            return Chars(_DOT)
        if character == "(":
            return self._group(column)
        if character == "[":
            return self._class(column)
        if character == "\\":
            return self._escape(column)
        return self._literal(character, column)

    def _literal(self, character: str, column: int) -> Node:
        if "\ud800" <= character <= "\udfff":
            self.scanner.fail("a lone surrogate is no character of any text", column)
        if self.ignore_case:
            point = ord(character)
            return Chars(charsets.ecma_ignoring_case(((point, point),)))
        return Literal(character)

    def _chars(self, ranges: Ranges, *, negated: bool = False) -> Chars:
        if self.ignore_case:
            ranges = charsets.ecma_ignoring_case(ranges)
        return Chars(charsets.negate(ranges) if negated else ranges)

    def _group(self, column: int) -> Node:
        scanner = self.scanner
        if scanner.accept("*"):
            scanner.fail("a verb of other dialects is not supported", column)
        for opening, name in _UNSUPPORTED_GROUPS.items():
            if scanner.pattern.startswith(opening, scanner.at):
                scanner.fail(f"{name} is not supported", column)
        look = next((sign for sign in ("?=", "?!") if scanner.accept(sign)), None)
        if look:
            pass
        elif scanner.accept("?<"):
            name = scanner.until(">", "the name of a group")
            if not name.replace("$", "_").isidentifier():
                scanner.fail(f"{name!r} is no name of a group", column + 3)
        elif scanner.accept("?") and not scanner.accept(":"):
            scanner.fail(f"the group extension '?{scanner.peek()}' is not supported", column)
        scanner.enter(column)
        node = self.alternatives()
        scanner.leave()
        if not scanner.accept(")"):
            scanner.fail("'(' is not closed", column)
        return Look(node, look == "?!", column) if look else Sequence([node])

    def _escape(self, column: int) -> Node:
        scanner = self.scanner
        letter = scanner.peek()
        if letter in ("b", "B"):
            scanner.at += 1
            kind = Assertion.WORD_BOUNDARY if letter == "b" else Assertion.NO_WORD_BOUNDARY
            return Mark(kind, charsets.WORDS)
        found = self._class_escape(column)
        if found is not None:
            return self._chars(found)
        return self._literal(self._character_escape(column), column)

    def _class_escape(self, column: int) -> Ranges | None:
        """The set of an escape such as ``\\d`` or ``\\p{L}``; None (not passed) for others."""
        scanner = self.scanner
        letter = scanner.peek()
        if letter in _CLASSES:
            scanner.at += 1
            return _CLASSES[letter]
        if letter not in ("p", "P"):
            return None
        scanner.at += 1
        if not scanner.accept("{"):
            scanner.fail(f"the escape \\{letter} needs a property in braces", column)
        name = scanner.until("}", "the name of a property")
        ranges = charsets.unicode_property(name)
        if ranges is None:
            scanner.fail(f"the Unicode property {name!r} is not supported", column)
        return ranges if letter == "p" else charsets.negate(ranges)

    def _character_escape(self, column: int) -> str:
        scanner = self.scanner
        letter = scanner.take()
        if not letter:
            scanner.fail("the pattern ends with a backslash", column)
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "c" and (control := scanner.peek()).isascii() and control.isalpha():
            scanner.at += 1
            return chr(ord(control) % 32)
        if letter == "0" and not scanner.peek().isdigit():
            return "\0"
        if letter == "x":
            return chr(self._hex(scanner.digits(_HEX, 2), 2, column))
        if letter == "u":
            return self._unicode_escape(column)
        if letter in _FOREIGN_ESCAPES:
            scanner.fail(f"{_FOREIGN_ESCAPES[letter]} is not supported", column)
        if letter.isdigit():
            scanner.fail(f"a back-reference (\\{letter}) is not supported", column)
        if letter.isascii() and letter.isalpha():
            scanner.fail(f"the escape \\{letter} is unknown", column)
        return letter

    def _hex(self, digits: str, size: int, column: int) -> int:
        if not digits or (size and len(digits) != size) or int(digits, 16) > charsets.LAST:
            wanted = f"{size} hexadecimal digits" if size else "a code point in braces"
            self.scanner.fail(f"the escape needs {wanted}", column)
        return int(digits, 16)

    def _unicode_escape(self, column: int) -> str:
        """A code point after ``\\u``; two escaped surrogates are one code point."""
        scanner = self.scanner
        if scanner.accept("{"):
            digits = scanner.digits(_HEX, 12)
            if not scanner.accept("}"):
                digits = ""
            return chr(self._hex(digits, 0, column))
        high = self._hex(scanner.digits(_HEX, 4), 4, column)
        begin = scanner.at
        if 0xD800 <= high < 0xDC00 and scanner.accept("\\u"):
            digits = scanner.digits(_HEX, 4)
            low = int(digits, 16) if len(digits) == 4 else 0
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)
            scanner.at = begin
        return chr(high)

    def _class(self, column: int) -> Node:
        scanner = self.scanner
        negated = scanner.accept("^")
        sets: list[Ranges] = []
        pairs: list[tuple[int, int]] = []
        while True:
            at = scanner.at
            character = scanner.take()
            if not character:
                scanner.fail("'[' is not closed", column)
            if character == "]":
                break
            low = self._class_item(character, at)
            high = low
            if scanner.peek() == "-" and scanner.peek(1) not in ("]", ""):
                scanner.at += 1
                high = self._class_item(scanner.take(), scanner.at - 1)
            if isinstance(low, int) and isinstance(high, int):
                if high < low:
                    text = scanner.pattern[at : scanner.at]
                    scanner.fail(f"the range {text!r} is in reverse", at)
                pairs.append((low, high))
            else:
                # Annex B: beside a class such as \w the hyphen is itself.
                hyphen = ((45, 45),)
                sets += [((x, x),) if isinstance(x, int) else x for x in (low, high)] + [hyphen]
                if low is high:
                    sets.pop()
        explicit = charsets.union([tuple(pairs), *sets])
        if pairs and not explicit and not negated:
            scanner.fail("the class holds nothing but surrogates, which no text has", column)
        return self._chars(explicit, negated=negated)

    def _class_item(self, character: str, column: int) -> int | Ranges:
        """A code point, or the set of a class escape."""
        scanner = self.scanner
        if character == "[" and (posix := _POSIX_CLASS.match(scanner.pattern, column)):
            scanner.fail(f"the POSIX class {posix[0]!r} is not supported", column)
        if character != "\\":
            return ord(character)
        if scanner.peek() == "b":
            scanner.at += 1
            return 8
        found = self._class_escape(column)
        return ord(self._character_escape(column)) if found is None else found
