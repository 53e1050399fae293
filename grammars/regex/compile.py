"""From a syntax tree to an automaton over UTF-8."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Literal as OneOf

from guided.grammars.automata import Dfa, epsilon, union
from guided.grammars.automata.build import any_code_point, utf8
from guided.grammars.automata.program import Program
from guided.grammars.fork_safe import PARSER, fork_safe
from guided.grammars.regex.context import constraint
from guided.grammars.regex.ecma import parse_ecma
from guided.grammars.regex.emit import emit, has_marks
from guided.grammars.regex.lookahead import language
from guided.grammars.regex.nodes import Assertion, Choice, Mark, Node, Sequence, looks, marks
from guided.grammars.regex.python import parse_python

Dialect = OneOf["python", "ecma"]
CACHE_BYTES = 64 << 20

_ENDS = (Assertion.END, Assertion.END_OR_LAST_NEWLINE, Assertion.LINE_END)
_STARTS = (Assertion.START, Assertion.LINE_START)


def compile_regex(pattern: str, dialect: Dialect = "python", flags: int = 0) -> Dfa:
    """The automaton of a regular expression over UTF-8 bytes.

    `dialect` "python" means what `re.fullmatch(pattern, text, flags)` accepts; "ecma" all texts
    that contain a match of the ECMAScript expression, as `pattern` does in JSON Schema.

    Raises:
        RegexError: syntax errors and unsupported constructs, with the column.
        GrammarTooLargeError: the automaton exceeds the limits of `guided.grammars.automata`.

    >>> compile_regex("[0-9]{4}-[0-9]{2}").accepts(b"2026-01")
    True
    """
    key = (pattern, dialect, int(flags))
    found = _cache.get(key)
    if found is None:
        if dialect == "python":
            found = _whole_match(parse_python(pattern, int(flags)), pattern)
        elif dialect == "ecma" and not flags:
            found = _search(parse_ecma(pattern), pattern)
        else:
            raise ValueError(f"unknown dialect {dialect!r}, or flags with the dialect 'ecma'")
        _cache.put(key, found)
    return found


class _Cache:
    """Automata by their source, the least recently used dropped beyond CACHE_BYTES."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, int], Dfa] = OrderedDict()
        self._bytes = 0
        self._lock = fork_safe(Lock(), PARSER)

    def get(self, key: tuple[str, str, int]) -> Dfa | None:
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: tuple[str, str, int], dfa: Dfa) -> None:
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = dfa
            self._bytes += _weight(key, dfa)
            while self._bytes > CACHE_BYTES:
                self._bytes -= _weight(*self._entries.popitem(last=False))


def _weight(key: tuple[str, str, int], dfa: Dfa) -> int:
    return 1000 + len(key[0]) + dfa.transitions.nbytes + 5 * dfa.n_states


_cache = _Cache()


def _whole_match(node: Node, pattern: str) -> Dfa:
    """The texts that the expression matches from end to end."""
    if next(looks(node), None):
        return language(node, epsilon(), pattern, at_start=True)
    core = Choice([_without_outer_anchors(part)[0] for part in _alternatives(node)])
    program = Program()
    emit(core, program)
    return _finish(program, core, python=True)


def _search(node: Node, pattern: str) -> Dfa:
    """The texts that contain a match."""
    if next(looks(node), None):
        return _search_with_lookahead(node, pattern)
    cores = [_without_outer_anchors(part) for part in _alternatives(node)]
    program = Program()
    if any(has_marks(core) for core, _, _ in cores):
        program.atom(utf8())
        emit(node, program)
        program.concat(2)
        program.tail(any_code_point())
        return _finish(program, node, python=False)
    open_end = _emit_side(cores, program, anchored_end=False)
    if open_end:
        program.tail(any_code_point())
    program.choice(open_end + _emit_side(cores, program, anchored_end=True))
    return _finish(program, node, python=False)


def _search_with_lookahead(node: Node, pattern: str) -> Dfa:
    found = []
    for part in _alternatives(node):
        _, at_start, _ = _without_outer_anchors(part)
        if next(looks(part), None) is None:
            found.append(_search(part, pattern))
        else:
            suffixes = language(part, utf8(), pattern, at_start=at_start)
            found.append(suffixes if at_start else utf8() + suffixes)
    return union(found)


def _emit_side(cores: list[tuple[Node, bool, bool]], program: Program, anchored_end: bool) -> int:
    """Emit the alternatives that are (or are not) anchored at their end; 1 where there are any."""
    count = 0
    for anchored_start in (False, True):
        chosen = [c for c, start, end in cores if (start, end) == (anchored_start, anchored_end)]
        if not chosen:
            continue
        if not anchored_start:
            program.atom(utf8())
        emit(chosen[0] if len(chosen) == 1 else Choice(chosen), program)
        if not anchored_start:
            program.concat(2)
        count += 1
    if count == 2:
        program.choice(2)
    return min(count, 1)


def _alternatives(node: Node) -> list[Node]:
    """The choices that `node` is made of, at the top."""
    if isinstance(node, Choice):
        return [leaf for part in node.parts for leaf in _alternatives(part)]
    if isinstance(node, Sequence) and len(node.parts) == 1:
        return _alternatives(node.parts[0])
    return [node]


def _without_outer_anchors(node: Node) -> tuple[Node, bool, bool]:
    """`node` without assertions at its ends that hold at the ends of the text; which there were."""
    parts = list(node.parts) if isinstance(node, Sequence) else [node]
    start = end = False
    while parts and isinstance(parts[0], Mark) and parts[0].assertion in _STARTS:
        del parts[0]
        start = True
    while parts and isinstance(parts[-1], Mark) and parts[-1].assertion in _ENDS:
        del parts[-1]
        end = True
    return (parts[0] if len(parts) == 1 else Sequence(parts)), start, end


def _finish(program: Program, node: Node, *, python: bool) -> Dfa:
    """Compile the program, under the automaton of the assertions where it has any."""
    context = None
    if program.has_marks:
        words = next((mark.words for mark in marks(node) if mark.words), ())
        context = constraint(words, python=python)
    return Dfa(*program.determinise("regular expression", context))
