"""Reads GBNF text into rules, by recursive descent.

What is read how was checked against llama.cpp's own reader: a line ends a rule except after `::=`,
after `|` and inside of parentheses; a suffix repeats the whole literal before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa, code_points, literal
from guided.grammars.gbnf.scanner import MOST, Scanner
from guided.grammars.ir import Alt, Expr, Lex, Ref, Repeat, Seq, special_bytes

DEEPEST = 100  # parentheses inside of each other

_EVERYTHING = ((0, 0x10FFFF),)
_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
Counts = tuple[int, int | None]


def read(scanner: Scanner, start: str, special_tokens: Mapping[int, str]) -> dict[str, Expr]:
    """The rules of the text.

    Raises GrammarError for what is not GBNF, GrammarTooLargeError for what is nested too deeply.
    """
    return _Reader(scanner, special_tokens).run(start)


class _Reader:
    def __init__(self, scanner: Scanner, special_tokens: Mapping[int, str]) -> None:
        self.scanner = scanner
        self.special_tokens = special_tokens
        self.rules: dict[str, Expr] = {}
        self.uses: dict[str, int] = {}  # where each name is used first

    def run(self, start: str) -> dict[str, Expr]:
        scanner = self.scanner
        scanner.skip_space(lines=True)
        while scanner.peek():
            self._rule()
            scanner.skip_space(lines=True)
        if start not in self.rules:
            known = ", ".join(sorted(self.rules)[:8]) or "none"
            raise scanner.error(
                f"the grammar has no rule {start!r} to start from (its rules: {known})", 0
            )
        for name, at in self.uses.items():
            if name not in self.rules:
                raise scanner.error(f"rule {name!r} is not defined", at)
        return self.rules

    def _rule(self) -> None:
        scanner, begin = self.scanner, self.scanner.at
        name = scanner.name()
        if not name:
            hint = ": a rule ends with its line, except after '|' and inside of parentheses"
            raise scanner.error(
                f"expected the name of a rule, not {scanner.found()}{hint * (begin > 0)}"
            )
        if name in self.rules:
            raise scanner.error(f"rule {name!r} is defined twice", begin)
        scanner.skip_space(lines=False)
        if not scanner.take("::="):
            raise scanner.error(f"expected '::=' after the name {name!r}, not {scanner.found()}")
        scanner.skip_space(lines=True)
        self.rules[name] = self._alternatives(0)
        if scanner.peek() not in ("", "\r", "\n"):
            raise self._unexpected()

    def _unexpected(self) -> Exception:
        scanner = self.scanner
        if scanner.peek(3) == "::=":
            return scanner.error(
                "a rule begins here before the last one is complete: every rule begins a line of "
                "its own, and an empty alternative at the end is written ()"
            )
        if scanner.peek() == ")":
            return scanner.error("')' closes nothing")
        return scanner.error(f"unexpected {scanner.found()}")

    def _alternatives(self, depth: int) -> Expr:
        parts = [self._sequence(depth)]
        while self.scanner.take("|"):
            self.scanner.skip_space(lines=True)
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def _sequence(self, depth: int) -> Expr:
        parts: list[Expr] = []
        while (part := self._item(depth)) is not None:
            parts.append(part)
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def _item(self, depth: int) -> Expr | None:
        """The next symbol with its suffixes; None where the sequence ends."""
        scanner = self.scanner
        character = scanner.peek()
        if character in ("*", "+", "?", "{"):
            raise scanner.error(f"there is nothing that {character!r} could repeat")
        if character == "!":
            expr: Expr = self._other_tokens(depth)
        elif character == "(":
            expr = self._group(depth)
        elif character in ('"', "[", ".", "<"):
            expr = self._terminal(character)
        elif name := self._reference():
            expr = Ref(name)
        else:
            return None
        while counts := self._counts(depth):
            expr = Repeat(expr, *counts)
        return expr

    def _reference(self) -> str:
        begin = self.scanner.at
        name = self.scanner.name()
        if name:
            self.uses.setdefault(name, begin)
        return name

    def _group(self, depth: int) -> Expr:
        scanner, begin = self.scanner, self.scanner.at
        if depth >= DEEPEST:
            raise GrammarTooLargeError(
                str(scanner.error(f"more than {DEEPEST} parentheses inside of each other"))
            )
        scanner.at += 1
        scanner.skip_space(lines=True)
        expr = self._alternatives(depth + 1)
        if not scanner.take(")"):
            raise self._unexpected() if scanner.peek() else scanner.error("'(' not closed", begin)
        return expr

    def _terminal(self, character: str) -> Expr:
        if character == '"':
            return self._literal()
        if character == "[":
            return Lex(self._class())
        if character == "<":
            return Lex(literal(special_bytes(self._token())))
        self.scanner.at += 1
        return Lex(code_points(_EVERYTHING))

    def _literal(self) -> Expr:
        scanner, begin = self.scanner, self.scanner.at
        scanner.at += 1
        characters: list[str] = []
        while not scanner.take('"'):
            characters.append(chr(scanner.code_point(begin)))
        if not characters:
            return Seq(())
        try:
            return Lex(literal("".join(characters).encode()))
        except UnicodeEncodeError:
            raise scanner.error("a lone surrogate, which no text can contain", begin) from None

    def _class(self) -> Dfa:
        scanner, begin = self.scanner, self.scanner.at
        scanner.at += 1
        negated = scanner.take("^")
        ranges: list[tuple[int, int]] = []
        while not scanner.take("]"):
            ranges.append(self._range(begin))
        members = code_points(ranges)
        if negated and ranges:
            members = code_points(_EVERYTHING) - members
        if members.is_empty():
            raise scanner.error("no character belongs to this class", begin)
        return members

    def _range(self, opened: int) -> tuple[int, int]:
        scanner, begin = self.scanner, self.scanner.at
        first = scanner.code_point(opened)
        if scanner.peek() != "-" or scanner.peek(2) == "-]":
            return first, first
        scanner.at += 1
        last = scanner.code_point(opened)
        if last < first:
            shown = scanner.text[begin : scanner.at]
            raise scanner.error(f"the range {shown} is the wrong way round", begin)
        return first, last

    def _token(self) -> str:
        """The text of the special token that `<name>` or `<[id]>` means."""
        scanner, begin = self.scanner, self.scanner.at
        scanner.at += 1
        if scanner.take("["):
            number = scanner.number()
            if number is None or not scanner.take("]>"):
                raise scanner.error("expected <[id]> with a token's number", begin)
            if number not in self.special_tokens:
                raise scanner.error(
                    f"token ids mean nothing without a tokenizer: write the special token's text, "
                    f"like <think>, or say in `special_tokens` which one {number} is",
                    begin,
                )
            return self.special_tokens[number]
        end = scanner.text.find(">", scanner.at)
        name = scanner.text[scanner.at : end]
        if end < 0 or not name or "\n" in name:
            raise scanner.error("expected a special token like <think>", begin)
        scanner.at = end + 1
        return f"<{name}>"

    def _other_tokens(self, depth: int) -> Expr:
        """`!<token>` with `*` or `+`: any text, for special tokens are no part of text."""
        scanner, begin = self.scanner, self.scanner.at
        scanner.at += 1
        if scanner.peek() != "<":
            raise scanner.error("expected a special token after '!', like !<think>")
        self._token()
        counts = self._counts(depth)
        if counts is None or counts not in ((0, None), (1, None)):
            shown = scanner.text[begin : scanner.at].strip()
            raise scanner.error(
                f"how many tokens a text has depends on the tokenizer: of {shown} only the forms "
                "with * and + can be enforced",
                begin,
            )
        return Lex(code_points(_EVERYTHING).repeat(*counts))

    def _counts(self, depth: int) -> Counts | None:
        """(least, most) of a suffix, None where there is none; passes space before and after."""
        scanner, lines = self.scanner, depth > 0
        scanner.skip_space(lines=lines)
        begin = scanner.at
        counts = _COUNTS.get(scanner.peek())
        if counts:
            scanner.at += 1
        elif scanner.take("{"):
            counts = self._braces(begin, lines)
        else:
            return None
        scanner.skip_space(lines=lines)
        return counts

    def _braces(self, begin: int, lines: bool) -> Counts:
        scanner = self.scanner
        scanner.skip_space(lines=lines)
        least = most = scanner.number()
        scanner.skip_space(lines=lines)
        if scanner.take(","):
            scanner.skip_space(lines=lines)
            most = scanner.number()
            scanner.skip_space(lines=lines)
        if least is None or not scanner.take("}"):
            raise scanner.error("expected {m}, {m,} or {m,n}", begin)
        if most is not None and most < least:
            raise scanner.error(f"cannot repeat {least} to {most} times", begin)
        if max(least, most or 0) >= MOST:
            raise GrammarTooLargeError(str(scanner.error("too many repetitions", begin)))
        return least, most
