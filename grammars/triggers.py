"""Free text that turns into structured text at a trigger: thinking then JSON, tool-call tags."""

from __future__ import annotations

from guided.errors import GrammarError
from guided.grammars.automata import Dfa, epsilon, literal, utf8
from guided.grammars.grammar import Grammar
from guided.grammars.ir import (
    FREE_TEXT,
    Alt,
    Expr,
    GrammarSpec,
    Lex,
    Ref,
    Repeat,
    Seq,
    special_bytes,
)


def after(trigger: str, grammar: Grammar, *, special: bool = False) -> Grammar:
    """Free text up to and including the first `trigger`, then a text of `grammar`.

    With `special` the trigger is a special token of the vocabulary instead of text.

    Raises GrammarError for an empty trigger.

    Example:
        >>> from guided.grammars.lark import lark
        >>> answer = after("</think>", lark('start: "yes" | "no"'))
        >>> answer.accepts(b"well, is it? </think>yes")
        True
        >>> answer.accepts(b"maybe")
        False
    """
    expr = Seq((_up_to(trigger, special), Ref(grammar.spec.start)))
    return _extended(grammar, expr, f"after {trigger!r}")


def between(
    start: str,
    end: str,
    grammar: Grammar,
    *,
    special: bool = False,
    required: bool = False,
    once: bool = False,
) -> Grammar:
    """Free text in which every `start` is followed by a text of `grammar` and `end`.

    Whatever follows `end` is free text again, in which the next `start` is looked for; nothing is
    looked for inside a region.

    Args:
        special: `start` and `end` are special tokens of the vocabulary instead of text.
        required: there is at least one region.
        once: the text ends with its first region.

    Raises GrammarError for an empty `start` or `end`.
    """
    if not end:
        raise GrammarError("the end of a region is empty")
    closing = literal(special_bytes(end) if special else end.encode())
    region = Seq((_up_to(start, special), Ref(grammar.spec.start), Lex(closing)))
    free = Lex(utf8() if special else utf8() - _containing(start), FREE_TEXT)
    if once:
        expr: Expr = region if required else Alt((region, free))
    else:
        expr = Seq((Repeat(region, int(required)), free))
    return _extended(grammar, expr, f"between {start!r} and {end!r}")


def _containing(text: str) -> Dfa:
    return utf8() + literal(text.encode()) + utf8()


def _up_to(trigger: str, special: bool) -> Lex:
    """Text up to and including the first `trigger`."""
    if not trigger:
        raise GrammarError("the trigger is empty")
    if special:
        return Lex(utf8() + literal(special_bytes(trigger)), FREE_TEXT)
    ended = utf8() + literal(trigger.encode())
    # UTF-8 cannot occur in the middle of a character: all that follows is text again.
    return Lex(ended - (ended + (utf8() - epsilon())), FREE_TEXT)


def _extended(grammar: Grammar, expr: Expr, source: str) -> Grammar:
    """`grammar` with a new start rule, whose name no rule has yet."""
    start = "text"
    while start in grammar.spec.rules:
        start += "'"
    rules = {**grammar.spec.rules, start: expr}
    return Grammar(GrammarSpec(rules, start), source=f"{source}: {grammar.source}")
