"""Packed token masks of a configuration.

What may follow a configuration is what may follow any of its threads. A thread's tokens are found
by a walk of its terminal's automaton over the trie of all tokens; where a token goes on behind the
end of the terminal, the rest is walked from the configuration that comes there. What does not
depend on what comes behind is kept for states from which many bytes lead on (kernels.wide_masks).
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import folded, lean, lean_entry
from guided.kernels.configs import after_group, intern_config, make_step
from guided.kernels.handles import int_block, opened, opened_tokens
from guided.kernels.lexemes import (
    lexeme_distance,
    lexeme_fact,
    lexeme_step,
    n_live,
    only_byte,
)
from guided.kernels.memo_arrays import (
    ACCEPT,
    ACCEPTING,
    BEGIN,
    BODY,
    COUNTED,
    DFA,
    END,
    FARTHEST,
    FIRST,
    LEAST,
    LEXEME,
    MAX_DEPTH,
    MOST,
    OK,
    ONWARD,
    PLAIN,
    REST,
    SURVIVE,
    TAIL,
    UNKNOWN,
    WIDE,
)
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN, child_of
from guided.kernels.wide_masks import (
    HEADER,
    LEVELS,
    N_LONG,
    N_PLACES,
    TOO_MANY,
    take_slices,
)

#: States from which more bytes than this lead on have their tokens kept.
_MANY = 32
# Rows of the memo's `path`.
_STATE, _CURSOR, _LIMIT, _CONFIG, _BEGIN, _END = range(6)


@folded
def _add_token(tokens, token, out):  # type: ignore[no-untyped-def]
    """Sets the bits of a token and of all with the same bytes."""
    while token >= 0:
        out[token >> 5] |= np.int32(1) << (token & 31)
        token = tokens.next_same[token]


@lean
def _add_behind(rules, memo, tokens, config, n_places, out):  # type: ignore[no-untyped-def]
    """Adds the tokens in the first ranges of `path`, above which `config` stands; (status, far)."""
    far = np.int64(0)
    node = tokens.node
    path = memo.path[_CONFIG]
    table = memo.step
    for place in range(n_places):
        at, end = memo.path[_BEGIN, place], memo.path[_END, place]
        path[node[at, DEPTH] - 1] = config
        while at < end:
            depth = node[at, DEPTH]
            before = path[depth - 1]
            target = np.int64(table[before, node[at, BYTE]])
            if target == UNKNOWN:
                target = make_step(rules, memo, before, np.int64(node[at, BYTE]))
                if target < 0:
                    return target, far
            if target <= 0:
                at = np.int64(node[at, SKIP])
                continue
            path[depth] = target
            token = np.int64(node[at, TOKEN])
            if token >= 0:
                far = max(far, np.int64(memo.config[target, REST]))
                _add_token(tokens, token, out)
            at += 1
    return np.int64(OK), far


@lean
def _add_narrow(rules, memo, tokens, group, state, out):  # type: ignore[no-untyped-def]
    """Adds the tokens that may follow `state` of the terminal of `group`; (status, far)."""
    lex = memo.group[group, LEXEME]
    tail = np.int64(memo.group[group, TAIL])
    far = np.int64(0)
    node = tokens.node
    states, cursor, limit = memo.path[_STATE], memo.path[_CURSOR], memo.path[_LIMIT]
    n_places = np.int64(0)
    last = len(tokens.first) - 2
    states[0] = state
    cursor[0] = tokens.first[last]
    limit[0] = tokens.first[last + 1]
    only = only_byte(rules, lex, state)
    if only >= 0:
        at = np.int64(tokens.root[last, only])
        if at < 0:
            return np.int64(OK), far
        cursor[0], limit[0] = at, at + 1
    depth = np.int64(0)
    while depth >= 0:
        at = cursor[depth]
        if at >= limit[depth]:
            depth -= 1
            continue
        after = np.int64(node[at, SKIP])
        cursor[depth] = after
        target = np.int64(lexeme_step(rules, lex, states[depth], node[at, BYTE]))
        if target < 0:
            continue
        token = np.int64(node[at, TOKEN])
        if token >= 0:
            far = max(far, tail + lexeme_distance(rules, lex, target))
            _add_token(tokens, token, out)
        if at + 1 == after:
            continue
        fact = lexeme_fact(rules, lex, target)
        if rules.fact[fact, ACCEPT]:
            memo.path[_BEGIN, n_places], memo.path[_END, n_places] = at + 1, after
            n_places += 1
            if n_places == MAX_DEPTH:
                status, beyond = _add_after(rules, memo, tokens, group, n_places, out)
                if status < 0:
                    return status, far
                far = max(far, beyond)
                n_places = np.int64(0)
        if not rules.fact[fact, ONWARD]:
            continue
        depth += 1
        states[depth] = target
        cursor[depth], limit[depth] = at + 1, after
        only = only_byte(rules, lex, target)
        if only >= 0:
            child = child_of(node, tokens.edge, at, only)
            if child < 0:
                depth -= 1
            else:
                cursor[depth], limit[depth] = child, child + 1
    status, beyond = _add_after(rules, memo, tokens, group, n_places, out)
    return status, max(far, beyond)


@lean
def _add_after(rules, memo, tokens, group, n_places, out):  # type: ignore[no-untyped-def]
    """Adds the tokens in the first ranges of `path`, where the terminal ends; (status, far)."""
    if n_places == 0:
        return np.int64(OK), np.int64(0)
    config = after_group(rules, memo, group)
    if config <= 0:
        return config, np.int64(0)
    return _add_behind(rules, memo, tokens, config, n_places, out)


@lean
def _add_wide(rules, memo, tokens, thread, address, out):  # type: ignore[no-untyped-def]
    """Adds the kept tokens of a thread's state, and what goes on behind them; (status, far)."""
    group = thread >> 32
    lex = memo.group[group, LEXEME]
    count = np.int64(int_block(address, 1)[N_PLACES])
    if count == TOO_MANY:
        return _add_whole(rules, memo, tokens, thread, out)
    first = HEADER + len(out)
    block = int_block(address, first + count)
    for word in range(len(out)):
        out[word] |= block[HEADER + word]
    for i in range(count):
        at = np.int64(block[first + i])
        memo.path[_BEGIN, i], memo.path[_END, i] = at + 1, tokens.node[at, SKIP]
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    status, beyond = _add_after(rules, memo, tokens, group, count, out)
    return status, max(far, beyond)


@lean
def _add_counted(rules, memo, tokens, group, count, address, out):  # type: ignore[no-untyped-def]
    """Adds the tokens inside of a counted string, `count` characters after its beginning."""
    lex = memo.group[group, LEXEME]
    least, most = np.int64(rules.lexeme[lex, LEAST]), np.int64(rules.lexeme[lex, MOST])
    left = most - count if most >= 0 else np.int64(1 << 30)
    n_places = np.int64(int_block(address, HEADER)[N_PLACES])
    n_long = np.int64(int_block(address, HEADER)[N_LONG])
    places = HEADER + (LEVELS + 1) * len(out)
    longer = places + 2 * n_places
    block = int_block(address, longer + 2 * n_long)
    begin = HEADER + min(left, np.int64(LEVELS)) * len(out)
    for word in range(len(out)):
        out[word] |= block[begin + word]
    for i in range(longer, len(block), 2):
        if block[i + 1] <= left:
            _add_token(tokens, np.int64(block[i]), out)
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    kept = np.int64(0)
    for i in range(places, longer, 2):
        if count + block[i + 1] < least or block[i + 1] > left:
            continue
        at = np.int64(block[i])
        _add_token(tokens, np.int64(tokens.node[at, TOKEN]), out)
        memo.path[_BEGIN, kept], memo.path[_END, kept] = at + 1, tokens.node[at, SKIP]
        kept += tokens.node[at, SKIP] > at + 1
        if kept == MAX_DEPTH:
            status, beyond = _add_after(rules, memo, tokens, group, kept, out)
            if status < 0:
                return status, far
            far = max(far, beyond)
            kept = np.int64(0)
    status, beyond = _add_after(rules, memo, tokens, group, kept, out)
    return status, max(far, beyond)


@lean
def _add_whole(rules, memo, tokens, thread, out):  # type: ignore[no-untyped-def]
    """Adds the tokens of a thread whose terminal may end nearly everywhere; (status, far)."""
    group = thread >> 32
    lex = memo.group[group, LEXEME]
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    threads = memo.thread_room
    threads[0] = thread
    config = intern_config(rules, memo, threads, np.int64(1), np.int64(0))
    if config < 0:
        return config, far
    fact = lexeme_fact(rules, lex, thread & 0xFFFFFFFF)
    survive, taken = memo.path[_STATE], memo.path[_CURSOR]
    for charset in range(3):
        survive[charset] = rules.fact[fact, SURVIVE + charset]
    taken[0] = 0
    take_slices(tokens, survive, taken, out)
    count = np.int64(0)
    for k in range(len(tokens.first) - 2):
        if not taken[k] and tokens.first[k] < tokens.first[k + 1]:
            memo.path[_BEGIN, count] = tokens.first[k]
            memo.path[_END, count] = tokens.first[k + 1]
            count += 1
    status, beyond = _add_behind(rules, memo, tokens, config, count, out)
    return status, max(far, beyond)


@lean
def _add_thread(rules, memo, tokens, kept, longest, thread, out):  # type: ignore[no-untyped-def]
    """Adds the tokens that may follow a thread; (status, far)."""
    group = thread >> 32
    state = thread & 0xFFFFFFFF
    lex = memo.group[group, LEXEME]
    least = np.int64(rules.lexeme[lex, LEAST])
    memo.scratch[1] = lex
    fact = lexeme_fact(rules, lex, state)
    if least != PLAIN:
        dfa = rules.lexeme[lex, DFA]
        states = rules.dfa[dfa + 1, FIRST] - rules.dfa[dfa, FIRST]
        count = state // states
        if state - count * states != BODY:
            return _add_narrow(rules, memo, tokens, group, state, out)
        most = np.int64(rules.lexeme[lex, MOST])
        if count < least or (most >= 0 and most - count < longest):
            if kept[0] == 0:
                return np.int64(COUNTED), np.int64(0)
            return _add_counted(rules, memo, tokens, group, count, kept[0], out)
        state = np.int64(BODY)
    elif n_live(rules, lex, state) <= _MANY:
        return _add_narrow(rules, memo, tokens, group, state, out)
    if kept[1 + fact] == 0:
        memo.scratch[0] = state
        return np.int64(WIDE), np.int64(0)
    return _add_wide(rules, memo, tokens, thread, kept[1 + fact], out)


@folded
def _hash(words):  # type: ignore[no-untyped-def]
    """A hash of the words, 63 bits."""
    # A sum of products waits for no product before (Carter and Wegman, 1979).
    total = np.uint64(len(words))
    for i in range(len(words)):
        key = np.uint64(np.uint32(i) * np.uint32(0x9E3779B1) + np.uint32(0x7F4A7C15))
        total += np.uint64(np.uint32(words[i])) * key
    return np.int64((total ^ (total >> np.uint64(29))) >> np.uint64(1))


@lean_entry
def compute_mask(handle, trie, kept, config, longest, out):  # type: ignore[no-untyped-def]
    """Writes the packed mask of `config`.

    Args:
        trie: the handle of the vocabulary's tries; `longest`: bytes of its longest token.
        kept: int64[1 + S], addresses of what kernels.wide_masks made: for counted strings, and
            for each automaton state; 0 where it has not been asked for.

    Returns:
        status, an upper bound of the byte distance after it, a hash of the mask.
    """
    rules, memo = opened(handle)
    tokens = opened_tokens(trie, len(out))
    for word in range(len(out)):
        out[word] = 0
    far = np.int64(0)
    for i in range(memo.config[config, BEGIN], memo.config[config, END]):
        status, bound = _add_thread(rules, memo, tokens, kept, longest, memo.thread[i], out)
        if status < 0:
            return status, far, np.int64(0)
        far = max(far, bound)
    if memo.config[config, ACCEPTING]:
        for i in range(len(tokens.stop_ids)):
            token = tokens.stop_ids[i]
            out[token >> 5] |= np.int32(1) << (token & 31)
    return np.int64(OK), far, _hash(out)


@lean_entry
def same_words(one, other):  # type: ignore[no-untyped-def]
    """Whether two masks are equal."""
    same = True
    for word in range(len(one)):
        same &= one[word] == other[word]
    return same


@lean_entry
def list_tokens(handle, trie, config, tokens, targets):  # type: ignore[no-untyped-def]
    """(status, count): every allowed token but stop ids, and the configuration after it."""
    rules, memo = opened(handle)
    all_tokens = opened_tokens(trie, np.int64(1))
    count = np.int64(0)
    path = memo.path[_CONFIG]
    path[0] = config
    table = memo.step
    node = all_tokens.node
    last = len(all_tokens.first) - 2
    at = np.int64(all_tokens.first[last])
    end = np.int64(all_tokens.first[last + 1])
    while at < end:
        depth = node[at, DEPTH]
        before = path[depth - 1]
        target = np.int64(table[before, node[at, BYTE]])
        if target == UNKNOWN:
            target = make_step(rules, memo, before, np.int64(node[at, BYTE]))
            if target < 0:
                return target, count
        if target <= 0:
            at = np.int64(node[at, SKIP])
            continue
        path[depth] = target
        token = node[at, TOKEN]
        while token >= 0:
            tokens[count] = token
            targets[count] = target
            count += 1
            token = all_tokens.next_same[token]
        at += 1
    return np.int64(OK), count
