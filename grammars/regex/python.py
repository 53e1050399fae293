"""The syntax of Python's `re` for text patterns."""

from __future__ import annotations

import re
import unicodedata

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

_I, _M, _S, _X, _A, _U = (
    int(flag) for flag in (re.IGNORECASE, re.MULTILINE, re.DOTALL, re.VERBOSE, re.ASCII, re.UNICODE)
)
SUPPORTED_FLAGS = _I | _M | _S | _X | _A | _U
_LETTERS = {"i": _I, "m": _M, "s": _S, "x": _X, "a": _A, "u": _U}
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HEX = "0123456789abcdefABCDEF"
_UNSUPPORTED_GROUPS = {
    "?<=": "look-behind",
    "?<!": "negative look-behind",
    "?>": "an atomic group",
    "?(": "a conditional group",
    "?P=": "a back-reference",
    "?P>": "a recursive pattern",
}


def parse_python(pattern: str, flags: int = 0) -> Node:
    """The syntax tree of `pattern` as `re.compile` understands it.

    Raises:
        RegexError: a syntax error, or what no finite automaton can decide (look-around,
            back-references, conditionals, atomic groups, possessive quantifiers).
    """
    scanner = Scanner(pattern)
    if flags & ~SUPPORTED_FLAGS:
        scanner.fail(f"the flags {re.RegexFlag(flags & ~SUPPORTED_FLAGS)!r} are not supported")
    parser = _PythonParser(scanner)
    node = parser.alternatives(parser.leading_flags(flags))
    if scanner.peek():
        scanner.fail("')' without '('")
    _ask_re(pattern, flags, scanner)
    return node


def _ask_re(pattern: str, flags: int, scanner: Scanner) -> None:
    """Refuse what `re` refuses (such as a group name that is used twice)."""
    try:
        re.compile(pattern, flags)
    except re.error as error:
        scanner.fail(error.msg, error.pos or 0)
    except (RecursionError, OverflowError) as error:
        scanner.fail(f"re refuses the pattern: {error}", 0)


class _PythonParser:
    """Recursive descent; every method is given the flags that hold at its place."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self._last_repeat: Node | None = None
        self._boundary_words: Ranges | None = None

    def leading_flags(self, flags: int) -> int:
        """The flags with those that the pattern begins with, such as ``(?i)``."""
        scanner = self.scanner
        while True:
            begin = scanner.at
            if flags & _X:
                self._skip_space()
            found = re.compile(r"\(\?([aiLmsux]+)\)").match(scanner.pattern, scanner.at)
            if not found:
                scanner.at = begin
                return flags
            for letter in found[1]:
                flags |= self._flag(letter, scanner.at + 2)
            scanner.at = found.end()
            if flags & _X and not flags & _X:
                continue

    def _flag(self, letter: str, column: int) -> int:
        if letter == "L":
            self.scanner.fail("the flag L (locale) cannot be used with text patterns", column)
        return _LETTERS[letter]

    def alternatives(self, flags: int) -> Node:
        parts = [self._branch(flags)]
        while self.scanner.accept("|"):
            parts.append(self._branch(flags))
        return choice(parts)

    def _branch(self, flags: int) -> Node:
        scanner = self.scanner
        items: list[Node] = []
        while True:
            if flags & _X:
                self._skip_space()
            character = scanner.peek()
            if not character or character in "|)":
                return sequence(items)
            column = scanner.at
            if character in "*+?" or (character == "{" and self._bounds_follow()):
                items.append(self._repeated(items, column))
            else:
                item = self._atom(flags)
                if item is not None:
                    items.append(item)

    def _skip_space(self) -> None:
        scanner = self.scanner
        while (character := scanner.peek()) and character in " \t\n\r\v\f#":
            if character == "#":
                end = scanner.pattern.find("\n", scanner.at)
                scanner.at = len(scanner.pattern) if end < 0 else end
            else:
                scanner.at += 1

    def _bounds_follow(self) -> bool:
        scanner = self.scanner
        begin = scanner.at
        scanner.at += 1
        found = scanner.quantifier_bounds()
        scanner.at = begin
        return found is not None

    def _repeated(self, items: list[Node], column: int) -> Node:
        scanner = self.scanner
        sign = scanner.take()
        bounds: tuple[int, int | None] | None
        if sign == "{":
            bounds = scanner.quantifier_bounds()
        else:
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        if not items or isinstance(items[-1], Mark) or bounds is None:
            scanner.fail("nothing to repeat", column)
        if isinstance(items[-1], Repeat) and items[-1] is self._last_repeat:
            scanner.fail("multiple repeat", column)
        if scanner.peek() == "+":
            scanner.fail("a possessive quantifier is not supported", column)
        scanner.accept("?")
        self._last_repeat = Repeat(items.pop(), *bounds)
        return self._last_repeat

    def _atom(self, flags: int) -> Node | None:
        scanner = self.scanner
        column = scanner.at
        character = scanner.take()
        if character == "(":
            return self._group(flags, column)
        if character == "[":
            return self._class(flags, column)
        if character == "\\":
            return self._escape(flags, column)
        if character == ".":
            newline: Ranges = () if flags & _S else ((10, 10),)
            return Chars(charsets.negate(newline))
        if character == "^":
            return Mark(Assertion.LINE_START if flags & _M else Assertion.START)
        if character == "$":
            return Mark(Assertion.LINE_END if flags & _M else Assertion.END_OR_LAST_NEWLINE)
        return self._literal(character, flags, column)

    def _literal(self, character: str, flags: int, column: int) -> Node:
        if "\ud800" <= character <= "\udfff":
            self.scanner.fail("a lone surrogate is no character of any text", column)
        if flags & _I:
            point = ord(character)
            ranges = charsets.python_ignoring_case(((point, point),), "", flags & _A)
            if ranges != ((point, point),):
                return Chars(ranges)
        return Literal(character)

    def _group(self, flags: int, column: int) -> Node | None:
        scanner = self.scanner
        if scanner.accept("?#"):
            scanner.until(")", "a comment")
            return None
        for opening, name in _UNSUPPORTED_GROUPS.items():
            if scanner.pattern.startswith(opening, scanner.at):
                scanner.fail(f"{name} is not supported", column)
        look = next((sign for sign in ("?=", "?!") if scanner.accept(sign)), None)
        if look:
            pass
        elif scanner.accept("?P<"):
            name = scanner.until(">", "the name of a group")
            if not name.isidentifier():
                scanner.fail(f"{name!r} is no name of a group", column + 4)
        elif scanner.accept("?"):
            flags = self._group_flags(flags, column)
        scanner.enter(column)
        node = self.alternatives(flags)
        scanner.leave()
        if not scanner.accept(")"):
            scanner.fail("'(' is not closed", column)
        if look:
            return Look(node, look == "?!", column)
        # What may not be repeated bare may be repeated as a group.
        return Sequence([node])

    def _group_flags(self, flags: int, column: int) -> int:
        """The flags inside of ``(?flags-flags:``."""
        scanner = self.scanner
        on = off = 0
        sign = 1
        while True:
            letter = scanner.take()
            if letter == ":":
                return (flags | on) & ~off
            if letter == "-" and sign > 0:
                sign = -1
            elif letter == ")":
                scanner.fail("flags for the whole pattern must stand at its start", column)
            elif letter and letter in "aiLmsux":
                flag = self._flag(letter, scanner.at - 1)
                on, off = (on | flag, off) if sign > 0 else (on, off | flag)
                if flag == _U:
                    off |= _A
            else:
                scanner.fail(f"the group extension '?{letter}' is unknown", column)

    def _escape(self, flags: int, column: int) -> Node:
        scanner = self.scanner
        letter = scanner.peek()
        if letter in ("A", "Z", "z"):
            scanner.at += 1
            return Mark(Assertion.START if letter == "A" else Assertion.END)
        if letter in ("b", "B"):
            scanner.at += 1
            kind = Assertion.WORD_BOUNDARY if letter == "b" else Assertion.NO_WORD_BOUNDARY
            return Mark(kind, self._words(flags, column))
        if letter and letter in "dDsSwW":
            scanner.at += 1
            return Chars(charsets.python_class("\\" + letter, flags & _A))
        if letter and letter in "123456789" and not self._is_octal():
            scanner.fail("a back-reference is not supported", column)
        return self._literal(self._escaped_character(column, in_class=False), flags, column)

    def _words(self, flags: int, column: int) -> Ranges:
        """The word characters, which must be the same for all boundaries of the pattern."""
        words = charsets.python_class("\\w", flags & _A)
        if (self._boundary_words or words) != words:
            self.scanner.fail("boundaries of two kinds of words are not supported", column)
        self._boundary_words = words
        return words

    def _is_octal(self) -> bool:
        """Whether three octal digits follow, which are a character and no back-reference."""
        digits = self.scanner.pattern[self.scanner.at : self.scanner.at + 3]
        return len(digits) == 3 and all(digit in "01234567" for digit in digits)

    def _escaped_character(self, column: int, *, in_class: bool) -> str:
        """The character of an escape whose backslash was passed."""
        scanner = self.scanner
        letter = scanner.take()
        if not letter:
            scanner.fail("the pattern ends with a backslash", column)
        if letter in _CONTROLS and (letter != "b" or in_class):
            return _CONTROLS[letter]
        if letter in "xuU":
            size = {"x": 2, "u": 4, "U": 8}[letter]
            digits = scanner.digits(_HEX, size)
            if len(digits) != size or int(digits, 16) > charsets.LAST:
                scanner.fail(f"the escape \\{letter} needs {size} hexadecimal digits", column)
            return chr(int(digits, 16))
        if letter == "N" and scanner.accept("{"):
            try:
                return unicodedata.lookup(name := scanner.until("}", "a character name"))
            except KeyError:
                scanner.fail(f"there is no character named {name!r}", column)
        if letter in "01234567" and (letter == "0" or in_class or self._octal_after_digit()):
            digits = letter + scanner.digits("01234567", 2)
            if int(digits, 8) > 0o377:
                scanner.fail(f"the octal escape \\{digits} is beyond \\377", column)
            return chr(int(digits, 8))
        if letter.isascii() and letter.isalnum():
            scanner.fail(f"the escape \\{letter} is unknown", column)
        return letter

    def _octal_after_digit(self) -> bool:
        self.scanner.at -= 1
        octal = self._is_octal()
        self.scanner.at += 1
        return octal

    def _class(self, flags: int, column: int) -> Node:
        scanner = self.scanner
        negated = scanner.accept("^")
        first = scanner.at
        ranges: list[tuple[int, int]] = []
        categories = ""
        while True:
            at = scanner.at
            character = scanner.take()
            if not character:
                scanner.fail("'[' is not closed", column)
            if character == "]" and at > first:
                break
            low = self._class_item(character, at)
            if len(low) == 2:
                categories += low
            if scanner.peek() == "-" and scanner.peek(1) not in ("]", ""):
                scanner.at += 1
                to = scanner.at
                high = self._class_item(scanner.take(), to)
                if len(low) == 2 or len(high) == 2 or high < low:
                    text = scanner.pattern[at : scanner.at]
                    scanner.fail(f"{text!r} is no range of characters", at)
                ranges.append((ord(low), ord(high)))
            elif len(low) == 1:
                ranges.append((ord(low), ord(low)))
        return self._class_node(ranges, categories, flags, negated, column)

    def _class_item(self, character: str, column: int) -> str:
        """A single character, or a class escape such as ``\\w``."""
        if character != "\\":
            return character
        if (letter := self.scanner.peek()) and letter in "dDsSwW":
            self.scanner.at += 1
            return "\\" + letter
        return self._escaped_character(column, in_class=True)

    def _class_node(
        self, pairs: list[tuple[int, int]], categories: str, flags: int, negated: bool, column: int
    ) -> Node:
        explicit = charsets.union([tuple(pairs)])
        if pairs and not explicit and not categories:
            self.scanner.fail("the class holds nothing but surrogates, which no text has", column)
        if flags & _I:
            found = charsets.python_ignoring_case(explicit, categories, flags & _A)
        else:
            escapes = [
                charsets.python_class("\\" + letter, flags & _A)
                for letter in sorted(set(categories.replace("\\", "")))
            ]
            found = charsets.union([explicit, *escapes])
        return Chars(charsets.negate(found) if negated else found)
