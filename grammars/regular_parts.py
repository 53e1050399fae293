"""Joins regular parts of a grammar into single terminals, which leaves the parser less to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa, concatenation, union
from guided.grammars.ir import Alt, Expr, GrammarSpec, Lex, Ref, Repeat, Seq
from guided.kernels.memo_arrays import FAR

MOST_STATES = 400  # of the parts that are joined, taken together, and of what they are joined to
# From more bytes than this a state has many tokens. They are kept by what may follow inside of the
# terminal (kernels.wide_masks): a name is worth more alone than joined to what comes behind it.
_MANY = 16
#: Bytes of a character or an escape, any number of which are joined whatever they are.
_CHARACTER = 8


def join_regular_parts(spec: GrammarSpec) -> GrammarSpec:
    """The same language; rules that are regular and small are written out where they are used."""
    joined: dict[str, Expr] = {}
    for name in _uses_first(spec.rules, spec.start):
        joined[name] = _joined(spec.rules[name], joined)
    reachable = _uses_first(joined, spec.start)
    return GrammarSpec({name: joined[name] for name in reversed(reachable)}, spec.start)


def _uses_first(rules: Mapping[str, Expr], start: str) -> list[str]:
    """The rules that `start` reaches; a rule stands after those that it uses, cycles apart."""
    order: list[str] = []
    seen = {start}
    stack = [(start, _references(rules[start]))]
    while stack:
        name, references = stack[-1]
        found = next((reference for reference in references if reference not in seen), None)
        if found is None:
            order.append(name)
            stack.pop()
        else:
            seen.add(found)
            stack.append((found, _references(rules[found])))
    return order


def _references(expr: Expr) -> Iterator[str]:
    match expr:
        case Ref(name):
            yield name
        case Seq(parts) | Alt(parts):
            for part in parts:
                yield from _references(part)
        case Repeat(part):
            yield from _references(part)


def _joined(expr: Expr, done: Mapping[str, Expr]) -> Expr:
    match expr:
        case Ref(name):
            target = done.get(name)
            return target if isinstance(target, Lex) else expr
        case Seq(parts):
            return _sequence([_joined(part, done) for part in parts])
        case Alt(parts):
            return _alternatives([_joined(part, done) for part in parts])
        case Repeat(part, least, most):
            inner = _joined(part, done)
            return _mixed_loop(inner, least, most, done) or _repeated(inner, least, most)
    return expr


def _mixed_loop(part: Expr, least: int, most: int | None, done: Mapping[str, Expr]) -> Expr | None:
    """A loop over characters and other things, with all characters in a row as one terminal.

    (c | x)* is c* (x c*)*. None where `part` is no such choice.
    """
    choice = done.get(part.name) if isinstance(part, Ref) else part
    if most is not None or least > 1 or not isinstance(choice, Alt):
        return None
    characters = [p for p in choice.parts if isinstance(p, Lex)]
    if len(characters) != 1 or characters[0].dfa.accepts_empty() or _is_wide(characters[0].dfa):
        return None
    row = _small(characters, lambda dfas: dfas[0].repeat(1, None))
    if row is None:
        return None
    rest = Alt((row, Seq(())))
    others = [p for p in choice.parts if not isinstance(p, Lex)]
    more = Seq((others[0] if len(others) == 1 else Alt(tuple(others)), rest))
    if least == 0:
        return Seq((rest, Repeat(more)))
    return Alt((Seq((row, Repeat(more))), Repeat(more, 1)))


def _sequence(parts: Sequence[Expr]) -> Expr:
    flat = [inner for p in parts for inner in (p.parts if isinstance(p, Seq) else (p,))]
    result: list[Expr] = []
    for is_regular, run in groupby(flat, lambda part: isinstance(part, Lex)):
        pieces = list(run)
        result += _glued([p for p in pieces if isinstance(p, Lex)]) if is_regular else pieces
    return result[0] if len(result) == 1 else Seq(tuple(result))


def _glued(pieces: Sequence[Lex]) -> list[Lex]:
    """Neighbouring terminals, each joined to the one before where that stays small."""
    result: list[Lex] = []
    for piece in pieces:
        apart = not result or _is_wide(result[-1].dfa)
        joined = None if apart else _small([result[-1], piece], concatenation)
        if joined:
            result[-1] = joined
        else:
            result.append(piece)
    return result


def _alternatives(parts: Sequence[Expr]) -> Expr:
    flat = [inner for p in parts for inner in (p.parts if isinstance(p, Alt) else (p,))]
    regular = [part for part in flat if isinstance(part, Lex)]
    others = [part for part in dict.fromkeys(flat) if not isinstance(part, Lex)]
    joined = _small(regular, union) if len(regular) > 1 else None
    result = [*([joined] if joined else dict.fromkeys(regular)), *others]
    return result[0] if len(result) == 1 else Alt(tuple(result))


def _repeated(part: Expr, least: int, most: int | None) -> Expr:
    if (
        isinstance(part, Lex)
        and part.dfa.n_states * max(least, most or 1) <= MOST_STATES
        and not _is_wide(part.dfa)
    ):
        joined = _small([part], lambda dfas: dfas[0].repeat(least, most))
        return joined or Repeat(part, least, most)
    return Repeat(part, least, most)


def _small(parts: Sequence[Lex], join: Callable[[list[Dfa]], Dfa]) -> Lex | None:
    """The parts joined; None where that is too large."""
    if sum(part.dfa.n_states for part in parts) > MOST_STATES:
        return None
    try:
        dfa = join([part.dfa for part in parts])
    except GrammarTooLargeError:
        return None
    return Lex(dfa) if dfa.n_states <= MOST_STATES else None


def _is_wide(dfa: Dfa) -> bool:
    """Whether words are longer than a character, and many bytes may follow in the middle of one."""
    if (dfa.longest_length() or FAR) <= _CHARACTER:
        return False
    sizes = np.bincount(dfa.classes, minlength=dfa.transitions.shape[1])
    return bool((((dfa.transitions >= 0) @ sizes) > _MANY).any())
