"""Removing what cannot be completed: rules without a word, and rules that nothing reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_

from guided.errors import UnsatisfiableSchemaError
from guided.grammars.ir import Alt, Expr, GrammarSpec, Lex, Member, Members, Ref, Repeat, Seq

NEVER = Alt(())
_MOST_ROUNDS = 4


def prune(spec: GrammarSpec) -> GrammarSpec:
    """The same language without dead ends; raises UnsatisfiableSchemaError where it is empty."""
    words = _Words()
    if words.are_everywhere(spec.rules):
        return spec
    productive = _productive(spec, words.productive)
    if spec.start not in productive:
        raise UnsatisfiableSchemaError("no JSON document satisfies the schema")
    rules: dict[str, Expr] = {}
    queue = [spec.start]
    for name in queue:
        if name not in rules:
            rules[name] = _alive(spec.rules[name], productive) or NEVER
            queue.extend(references(rules[name]))
    return GrammarSpec(rules, spec.start)


class _Words:
    """Which rules are known to have a word, and whether something is dead for sure."""

    def __init__(self) -> None:
        #: The rules of which a word is known.
        self.productive: set[str] = set()
        self._dead = False

    def are_everywhere(self, rules: Mapping[str, Expr]) -> bool:
        """Whether nothing is dead in any rule; False also where a few rounds do not tell."""
        # What a rule uses mostly comes after it.
        waiting = list(rules)[::-1]
        for _ in range(_MOST_ROUNDS):
            waiting = [name for name in waiting if not self._found(name, rules[name])]
            if self._dead or not waiting:
                return not self._dead
        return False

    def _found(self, name: str, expr: Expr) -> bool:
        found = self._has_word(expr)
        if found:
            self.productive.add(name)
        return found

    def _has_word(self, expr: Expr) -> bool:
        """Whether a word of `expr` is known; every part is looked at."""
        kind = type(expr)
        if kind is Seq:
            return self._has_whole(expr.parts)  # type: ignore[attr-defined]
        if isinstance(expr, Lex):
            empty = expr.dfa.is_empty()
            self._dead = self._dead or empty
            return not empty
        if isinstance(expr, Ref):
            return expr.name in self.productive
        if isinstance(expr, Alt):
            self._dead = self._dead or not expr.parts
            found = False
            for part in expr.parts:
                found = self._has_word(part) or found
            return found
        if isinstance(expr, Members):
            return self._has_members(expr)
        if isinstance(expr, Repeat):
            return self._has_word(expr.part) or expr.least == 0
        return True

    def _has_whole(self, parts: tuple[Expr, ...]) -> bool:
        found = True
        for part in parts:
            # Most parts are keys, punctuation and values in rules of their own.
            kind = type(part)
            if kind is Lex:
                if part.dfa.is_empty():  # type: ignore[attr-defined]
                    self._dead, found = True, False
            elif kind is Ref:
                found = part.name in self.productive and found  # type: ignore[attr-defined]
            else:
                found = self._has_word(part) and found
        return found

    def _has_members(self, expr: Members) -> bool:
        n_alive, n_required, found = 0, 0, True
        for member in expr.members:
            alive = self._has_word(member.expr)
            n_alive += alive
            if member.required:
                n_required += 1
                found = found and alive
        more = expr.extra is not None and self._has_word(expr.extra)
        if expr.most is not None and n_required > expr.most:
            self._dead = True
        if expr.extra is None and len(expr.members) < expr.least:
            self._dead = True
        return found and (more or n_alive >= expr.least)


def references(expr: Expr) -> list[str]:
    """The rules that `expr` uses."""
    found: list[str] = []
    stack = [expr]
    while stack:
        one = stack.pop()
        if isinstance(one, Ref):
            found.append(one.name)
        else:
            stack.extend(_children(one))
    return found


def _children(expr: Expr) -> list[Expr]:
    if isinstance(expr, (Seq, Alt)):
        return list(expr.parts)
    if isinstance(expr, Repeat):
        return [expr.part]
    if isinstance(expr, Members):
        extra = [] if expr.extra is None else [expr.extra]
        return [*(member.expr for member in expr.members), *extra, expr.separator]
    return []


def _productive(spec: GrammarSpec, known: set[str]) -> set[str]:
    """The rules that have a word, as the least fixed point; `known` are some of them."""
    found = set(known)
    queue = [name for name in spec.rules if name not in found]
    users: dict[str, list[str]] = {}
    for name in queue:
        for used in set(references(spec.rules[name])):
            users.setdefault(used, []).append(name)
    while queue:
        name = queue.pop()
        if name not in found and _has_word(spec.rules[name], found):
            found.add(name)
            queue.extend(users.get(name, ()))
    return found


def _has_word(expr: Expr, productive: set[str]) -> bool:
    if isinstance(expr, Ref):
        return expr.name in productive
    if isinstance(expr, Lex):
        return not expr.dfa.is_empty()
    if isinstance(expr, Seq):
        return all(_has_word(part, productive) for part in expr.parts)
    if isinstance(expr, Alt):
        return any(_has_word(part, productive) for part in expr.parts)
    if isinstance(expr, Repeat):
        return expr.least == 0 or _has_word(expr.part, productive)
    if isinstance(expr, Members):
        return _members_have_word(expr, productive)
    return True


def _members_have_word(expr: Members, productive: set[str]) -> bool:
    alive = [_has_word(member.expr, productive) for member in expr.members]
    required = [ok for ok, member in zip(alive, expr.members, strict=True) if member.required]
    if not all(required) or (expr.most is not None and len(required) > expr.most):
        return False
    if expr.extra is not None and _has_word(expr.extra, productive):
        return True
    return sum(alive) >= expr.least


def _alive(expr: Expr, productive: set[str]) -> Expr | None:
    """`expr` without its dead alternatives; None where nothing is left."""
    if isinstance(expr, Ref):
        return expr if expr.name in productive else None
    if isinstance(expr, Lex):
        return None if expr.dfa.is_empty() else expr
    if isinstance(expr, Seq):
        parts = [_alive(part, productive) for part in expr.parts]
        if all(map(is_, parts, expr.parts)):
            return expr
        whole = [part for part in parts if part is not None]
        return Seq(tuple(whole)) if len(whole) == len(parts) else None
    if isinstance(expr, Alt):
        found = [_alive(part, productive) for part in expr.parts]
        kept = [part for part in found if part is not None]
        return Alt(tuple(kept)) if len(kept) > 1 else kept[0] if kept else None
    if isinstance(expr, Repeat):
        repeated = _alive(expr.part, productive)
        if repeated is None:
            return None if expr.least else Seq(())
        return replace(expr, part=repeated)
    return _alive_members(expr, productive) if isinstance(expr, Members) else expr


def _alive_members(expr: Members, productive: set[str]) -> Expr | None:
    members = []
    for member in expr.members:
        inner = _alive(member.expr, productive)
        if inner is not None:
            members.append(member if inner is member.expr else Member(inner, member.required))
        elif member.required:
            return None
    extra = None if expr.extra is None else _alive(expr.extra, productive)
    if extra is None and len(members) < expr.least:
        return None
    if expr.most is not None and sum(member.required for member in members) > expr.most:
        return None
    if not members and extra is None:
        return Seq(())
    return replace(expr, members=tuple(members), extra=extra)
