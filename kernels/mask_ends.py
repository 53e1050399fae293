"""Tokens that go on behind the end of a terminal.

Below the node of the space that most words begin with lies more than half of the trie. What comes
there is put off: it is then added thread by thread, as from the beginning (kernels.masking).
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import lean
from guided.kernels.lexemes import count_bits, n_live
from guided.kernels.memo_arrays import BEGIN, END, LEAST, MAX_DEPTH, OK, PLAIN, REST, UNKNOWN
from guided.kernels.memo_turns import shared_after, shared_step
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN
from guided.kernels.wide_masks import add_token

#: States from which more bytes than this lead on have their tokens kept.
_MANY = 16
#: Rows of the memo's `path` in a walk; the last holds the number of threads put off, and these.
STATE, CURSOR, LIMIT, CONFIG, FROM, TO, PUT_OFF = range(7)


@lean
def add_behind(rules, memo, tokens, wide, config, n_places, out):  # type: ignore[no-untyped-def]
    """Adds the tokens in the first ranges of `path`, above which `config` stands; (status, far)."""
    far = np.int64(0)
    n_bytes = np.int64(0)
    for word in range(4):
        n_bytes += count_bits(memo.live[config, word])
    for place in range(n_places):
        at, end = memo.path[FROM, place], memo.path[TO, place]
        behind_wide = at == wide + 1 and end == tokens.node[wide, SKIP]
        if behind_wide and n_bytes > _MANY and _put_off(memo, config):
            continue
        status, beyond = add_range(rules, memo, tokens, config, at, end, out)
        if status < 0:
            return status, far
        far = max(far, beyond)
    return np.int64(OK), far


@lean
def add_range(rules, memo, tokens, config, at, end, out):  # type: ignore[no-untyped-def]
    """Adds the tokens in a range of nodes above which `config` stands; (status, far)."""
    far = np.int64(0)
    node = tokens.node
    path = memo.path[CONFIG]
    table = memo.step
    path[node[at, DEPTH] - 1] = config
    while at < end:
        depth = node[at, DEPTH]
        before = path[depth - 1]
        target = np.int64(table[before, node[at, BYTE]])
        if target == UNKNOWN:
            target = shared_step(rules, memo, before, np.int64(node[at, BYTE]))
            if target < 0:
                return target, far
        if target <= 0:
            at = np.int64(node[at, SKIP])
            continue
        path[depth] = target
        token = np.int64(node[at, TOKEN])
        if token >= 0:
            far = max(far, np.int64(memo.config[target, REST]))
            add_token(tokens, token, out)
        at += 1
    return np.int64(OK), far


@lean
def _put_off(memo, config):  # type: ignore[no-untyped-def]
    """Puts the threads of a configuration at the wide node off; whether there was room."""
    begin, end = np.int64(memo.config[config, BEGIN]), np.int64(memo.config[config, END])
    if memo.path[PUT_OFF, 0] + end - begin > MAX_DEPTH:
        return False
    for i in range(begin, end):
        put_off_thread(memo, memo.thread[i])
    return True


@lean
def put_off_thread(memo, thread):  # type: ignore[no-untyped-def]
    """Puts a thread at the wide node off, unless that was done before."""
    row = memo.path[PUT_OFF]
    for i in range(1, row[0] + 1):
        if row[i] == thread:
            return
    row[0] += 1
    row[row[0]] = thread


@lean
def is_wide(rules, lex, state):  # type: ignore[no-untyped-def]
    """Whether the tokens that may follow inside of the terminal are kept."""
    return rules.lexeme[lex, LEAST] == PLAIN and n_live(rules, lex, state) > _MANY


@lean
def add_after(rules, memo, tokens, wide, group, n_places, out):  # type: ignore[no-untyped-def]
    """Adds the tokens in the first ranges of `path`, where the terminal ends; (status, far)."""
    if n_places == 0:
        return np.int64(OK), np.int64(0)
    config = shared_after(rules, memo, group)
    if config <= 0:
        return config, np.int64(0)
    return add_behind(rules, memo, tokens, wide, config, n_places, out)
