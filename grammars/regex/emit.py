"""From a syntax tree without look-ahead to the operations of a program."""

from __future__ import annotations

from guided.grammars.automata import code_points, literals
from guided.grammars.automata.program import Program
from guided.grammars.regex.nodes import (
    Chars,
    Choice,
    Literal,
    Mark,
    Node,
    Repeat,
    Sequence,
    marks,
)


def has_marks(node: Node) -> bool:
    return next(marks(node), None) is not None


def emit(node: Node, program: Program) -> None:
    """Append the operations of `node`."""
    match node:
        case Literal(text):
            program.literal(text.encode())
        case Chars(ranges):
            if ranges:
                program.atom(code_points(ranges))
            else:
                program.never()
        case Sequence(parts):
            for part in parts:
                emit(part, program)
            program.concat(len(parts))
        case Choice(parts):
            _emit_choice(parts, program)
        case Repeat(part, least, most):
            emit(part, program)
            program.repeat(least, most)
        case Mark(assertion):
            program.mark(assertion)


def _emit_choice(parts: list[Node], program: Program) -> None:
    """Emit a choice, its literals as one minimal automaton."""
    texts = [part.text for part in parts if isinstance(part, Literal)]
    others = [part for part in parts if not isinstance(part, Literal)]
    if len(texts) > 8:
        program.atom(literals(text.encode() for text in texts))
        others_count = len(others) + 1
    else:
        others, others_count = parts, len(parts)
    for part in others:
        emit(part, program)
    program.choice(others_count)
