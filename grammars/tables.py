"""A grammar in the flat arrays that the parser kernels read."""

from __future__ import annotations

import numpy as np

from guided.errors import EmptyGrammarError
from guided.grammars.ir import GrammarSpec
from guided.grammars.lexeme_tables import lexeme_tables
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.memo_arrays import BEGIN, DIST, FAR, START, Rules
from guided.kernels.rule_tables import link_rules


def build_rules(spec: GrammarSpec) -> RuleBuilder:
    """The rule automata of `spec`; raises what RuleBuilder raises."""
    builder = RuleBuilder(spec)
    builder.build()
    return builder


def compile_tables(builder: RuleBuilder, alphabet: frozenset[int] | None = None) -> Rules:
    """The flat form of a grammar, rules that cannot end left out.

    With an `alphabet` only the texts over these bytes are kept.

    Raises:
        EmptyGrammarError: the start rule derives no text.
    """
    lexemes = lexeme_tables(builder.lexemes, alphabet)
    state, edge, rule = link_rules(
        np.frombuffer(builder.source, np.int32),
        np.frombuffer(builder.symbol, np.int32),
        np.frombuffer(builder.target, np.int32),
        builder.n_states,
        np.array(builder.rule_start, np.int32),
        np.array(builder.rule_end, np.int32),
        lexemes["lexeme"],
        lexemes["dfa"],
        lexemes["fact"],
    )
    if state[rule[0, START], DIST] >= FAR:
        start = builder.rule_names[0]
        raise EmptyGrammarError(f"rule {start!r} derives no text: every way on is endless")
    state[list(builder.any_order), BEGIN] = -1
    return Rules(state, edge, rule, **lexemes)
