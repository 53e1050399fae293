"""Packed token masks of a configuration.

What may follow a configuration is what may follow any of its threads. A thread's tokens are found
by a walk of its terminal's automaton over the trie of all tokens; where a token goes on behind the
end of the terminal, the rest is walked from the configuration that comes there. What does not
depend on what comes behind is kept for states from which many bytes lead on (kernels.wide_masks).
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import folded, lean, lean_entry
from guided.kernels.configs import make_step
from guided.kernels.handles import int_block, opened, opened_tokens
from guided.kernels.known_blocks import find_block
from guided.kernels.lexemes import (
    lexeme_distance,
    lexeme_fact,
    lexeme_step,
    only_byte,
)
from guided.kernels.mask_ends import (
    CONFIG,
    CURSOR,
    FROM,
    LIMIT,
    PUT_OFF,
    STATE,
    TO,
    add_after,
    add_behind,
    add_range,
    is_wide,
    put_off_thread,
)
from guided.kernels.memo_arrays import (
    ACCEPT,
    BODY,
    COUNTED,
    DFA,
    FARTHEST,
    FIRST,
    LEAST,
    LEXEME,
    MAX_DEPTH,
    MOST,
    OK,
    ONWARD,
    PLAIN,
    SURVIVE,
    TAIL,
    UNKNOWN,
    WIDE,
)
from guided.kernels.memo_turns import shared_after, shared_config
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN, child_of
from guided.kernels.wide_masks import (
    HEADER,
    LEVELS,
    N_LONG,
    N_PLACES,
    OFTEN,
    TOO_MANY,
    add_token,
    take_slices,
)


@lean
def _add_narrow(rules, memo, tokens, wide, group, state, root, out):  # type: ignore[no-untyped-def]
    """Adds the tokens that may follow `state` of the terminal of `group`; (status, far).

    `root`: the node that `state` stands at, -1 before the first byte.
    """
    lex = memo.group[group, LEXEME]
    tail = np.int64(memo.group[group, TAIL])
    far = np.int64(0)
    node = tokens.node
    states, cursor, limit = memo.path[STATE], memo.path[CURSOR], memo.path[LIMIT]
    n_places = np.int64(0)
    last = len(tokens.first) - 2
    states[0] = state
    only = only_byte(rules, lex, state)
    if root >= 0:
        cursor[0], limit[0] = root + 1, node[root, SKIP]
        at = np.int64(-1) if only < 0 else child_of(node, tokens.edge, root, only)
    else:
        cursor[0], limit[0] = tokens.first[last], tokens.first[last + 1]
        at = np.int64(-1) if only < 0 else np.int64(tokens.root[last, only])
    if only >= 0:
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
            add_token(tokens, token, out)
        if at + 1 == after:
            continue
        fact = lexeme_fact(rules, lex, target)
        if rules.fact[fact, ACCEPT]:
            memo.path[FROM, n_places], memo.path[TO, n_places] = at + 1, after
            n_places += 1
            if n_places == MAX_DEPTH:
                status, beyond = add_after(rules, memo, tokens, wide, group, n_places, out)
                if status < 0:
                    return status, far
                far = max(far, beyond)
                n_places = np.int64(0)
        if not rules.fact[fact, ONWARD]:
            continue
        if at == wide and memo.path[PUT_OFF, 0] < MAX_DEPTH and is_wide(rules, lex, target):
            put_off_thread(memo, np.int64(group) << 32 | target)
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
    status, beyond = add_after(rules, memo, tokens, wide, group, n_places, out)
    return status, max(far, beyond)


@lean
def _add_wide(rules, memo, tokens, wide, thread, root, address, out):  # type: ignore[no-untyped-def]
    """Adds the kept tokens of a thread's state, and what goes on behind them; (status, far)."""
    group = thread >> 32
    lex = memo.group[group, LEXEME]
    count = np.int64(int_block(address, 1)[N_PLACES])
    if count == TOO_MANY:
        return _add_whole(rules, memo, tokens, wide, thread, root, out)
    often = HEADER + len(out)
    first = often + OFTEN
    block = int_block(address, first + count)
    for word in range(len(out)):
        out[word] |= block[HEADER + word]
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    may_end = count > 0
    for word in range(often, first):
        may_end |= block[word] != 0
    if not may_end:
        return np.int64(OK), far
    config = shared_after(rules, memo, group)
    if config <= 0:
        return config, far
    for word in range(4):
        both = np.uint64(np.uint32(block[often + 2 * word]))
        both |= np.uint64(np.uint32(block[often + 2 * word + 1])) << np.uint64(32)
        if both & memo.live[config, word] != 0:
            return _add_whole(rules, memo, tokens, wide, thread, root, out)
    kept = np.int64(0)
    for i in range(count):
        at = np.int64(block[first + i])
        child = -1 - at
        if at < 0 and not _is_live(memo, config, tokens.node[child, BYTE]):
            continue
        memo.path[FROM, kept] = at + 1 if at >= 0 else child
        memo.path[TO, kept] = tokens.node[at if at >= 0 else child, SKIP]
        kept += 1
    status, beyond = add_behind(rules, memo, tokens, wide, config, kept, out)
    return status, max(far, beyond)


@folded
def _is_live(memo, config, byte):  # type: ignore[no-untyped-def]
    return (memo.live[config, byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1) != 0


@lean
def _add_counted(rules, memo, tokens, wide, group, count, address, out):  # type: ignore[no-untyped-def]
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
            add_token(tokens, np.int64(block[i]), out)
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    kept = np.int64(0)
    for i in range(places, longer, 2):
        if count + block[i + 1] < least or block[i + 1] > left:
            continue
        at = np.int64(block[i])
        add_token(tokens, np.int64(tokens.node[at, TOKEN]), out)
        memo.path[FROM, kept], memo.path[TO, kept] = at + 1, tokens.node[at, SKIP]
        kept += tokens.node[at, SKIP] > at + 1
        if kept == MAX_DEPTH:
            status, beyond = add_after(rules, memo, tokens, wide, group, kept, out)
            if status < 0:
                return status, far
            far = max(far, beyond)
            kept = np.int64(0)
    status, beyond = add_after(rules, memo, tokens, wide, group, kept, out)
    return status, max(far, beyond)


@lean
def _add_whole(rules, memo, tokens, wide, thread, root, out):  # type: ignore[no-untyped-def]
    """Adds the tokens of a thread whose terminal may end nearly everywhere; (status, far)."""
    group = thread >> 32
    lex = memo.group[group, LEXEME]
    far = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
    config = shared_config(rules, memo, thread)
    if config < 0:
        return config, far
    if root >= 0:
        end = np.int64(tokens.node[root, SKIP])
        status, beyond = add_range(rules, memo, tokens, config, root + 1, end, out)
        return status, max(far, beyond)
    fact = lexeme_fact(rules, lex, thread & 0xFFFFFFFF)
    survive, taken = memo.path[STATE], memo.path[CURSOR]
    for charset in range(3):
        survive[charset] = rules.fact[fact, SURVIVE + charset]
    taken[0] = 0
    take_slices(tokens, survive, taken, out)
    count = np.int64(0)
    for k in range(len(tokens.first) - 2):
        if not taken[k] and tokens.first[k] < tokens.first[k + 1]:
            memo.path[FROM, count] = tokens.first[k]
            memo.path[TO, count] = tokens.first[k + 1]
            count += 1
    status, beyond = add_behind(rules, memo, tokens, wide, config, count, out)
    return status, max(far, beyond)


@folded
def place_of(rules, fact, root):  # type: ignore[no-untyped-def]
    """Where `kept` holds the block of an automaton state."""
    return 1 + fact + (len(rules.fact) if root >= 0 else 0)


@lean
def add_thread(  # type: ignore[no-untyped-def]
    rules, memo, tokens, finder, wide, kept, longest, thread, root, out
):
    """Adds the tokens that may follow a thread at node `root`; (status, far)."""
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
        if root >= 0 or state - count * states != BODY:
            return _add_narrow(rules, memo, tokens, wide, group, state, root, out)
        most = np.int64(rules.lexeme[lex, MOST])
        if count < least or (most >= 0 and most - count < longest):
            if kept[0] == 0:
                return np.int64(COUNTED), np.int64(0)
            return _add_counted(rules, memo, tokens, wide, group, count, kept[0], out)
        state = np.int64(BODY)
    elif not is_wide(rules, lex, state):
        return _add_narrow(rules, memo, tokens, wide, group, state, root, out)
    place = place_of(rules, fact, root)
    address = kept[place]
    if address == 0:
        address = find_block(rules, memo, finder, place, lex, state, root)
    if address == 0:
        memo.scratch[0], memo.scratch[2] = state, root
        return np.int64(WIDE), np.int64(0)
    return _add_wide(rules, memo, tokens, wide, thread, root, address, out)


@lean_entry
def list_tokens(handle, trie, config, tokens, targets):  # type: ignore[no-untyped-def]
    """(status, count): every allowed token but stop ids, and the configuration after it."""
    rules, memo = opened(handle)
    all_tokens = opened_tokens(trie, np.int64(1))
    count = np.int64(0)
    path = memo.path[CONFIG]
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
            token = all_tokens.next_same[token] if len(all_tokens.next_same) > 0 else -1
        at += 1
    return np.int64(OK), count
