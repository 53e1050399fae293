"""Tokens inside of one terminal, for states from which so many bytes lead on that they are kept.

They depend on the automaton alone, whatever comes behind the terminal, and so hold for every
grammar. A kept block is int32[...]: HEADER numbers, packed masks, then places in the trie of all
tokens at which the terminal may end and the token goes on:

* of an automaton state: one mask, the set of bytes OFTEN, then places. Where the terminal has to
  end, the place is the node; where it may also go on, places are what each byte that follows in few
  tokens leads to, written as -1 - node. The other bytes are in the set: where what comes behind the
  terminal begins with none of them, no token is missed. There may be two such blocks, of all tokens
  and of the ends of those tokens that begin like one node of the trie;
* of the inside of a counted string: masks of the tokens of at most 0, 1, ..., LEVELS characters,
  then pairs (node after the closing quote, characters before it), then pairs (longer token,
  characters).
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import folded, lean, lean_entry
from guided.kernels.handles import opened, opened_tokens
from guided.kernels.memo_arrays import (
    ACCEPT,
    BODY,
    DFA,
    FIRST,
    MAX_DEPTH,
    OFFSET,
    ONWARD,
    QUOTE,
    SURVIVE,
    WIDTH,
)
from guided.kernels.subtrees import FREE_BIT, KINDS
from guided.kernels.trie import BYTE, DEPTH, SKIP, SLICE_LENGTHS, TOKEN

#: Numbers at the beginning of a block.
N_PLACES, N_LONG = 0, 1
HEADER = 2
#: Words of the set of bytes that follow in many places where the terminal may end or go on.
OFTEN = 8
#: Places beyond which none are written: the number is `TOO_MANY`, and there is no use in a mask.
MOST_PLACES = 2048
TOO_MANY = -1
#: States of an automaton up to which it is told from others by its table.
MOST_STATES = 32
#: Characters up to which counted strings have a mask of their own.
LEVELS = 32
# Places where a terminal may end or go on up to which those of a byte are listed, at the most.
_FEW = 1024
#: Numbers of a block behind its set of bytes while it is filled.
ROOM = MOST_PLACES + 256 * _FEW


@folded
def add_token(tokens, token, out):  # type: ignore[no-untyped-def]
    """Sets the bits of a token and of all with the same bytes."""
    out[token >> 5] |= np.int32(1) << (token & 31)
    if len(tokens.next_same) > 0:
        token = np.int64(tokens.next_same[token])
        while token >= 0:
            out[token >> 5] |= np.int32(1) << (token & 31)
            token = np.int64(tokens.next_same[token])


@lean
def take_slices(tokens, survive, taken, out):  # type: ignore[no-untyped-def]
    """Adds the slices whose tokens survive, whatever they are, and marks them as taken.

    `survive` int64[3]: characters of each charset that may follow.
    """
    for charset in range(3):
        best = np.int64(-1)
        for j in range(len(SLICE_LENGTHS)):
            k = 1 + charset * len(SLICE_LENGTHS) + j
            taken[k] = SLICE_LENGTHS[j] <= survive[charset]
            if taken[k]:
                best = np.int64(k)
        # Masks of a wider charset hold those of the smaller ones.
        if best < 0 or (
            charset < 2 and SLICE_LENGTHS[(best - 1) % len(SLICE_LENGTHS)] <= survive[charset + 1]
        ):
            continue
        for word in range(len(out)):
            out[word] |= tokens.slice_masks[best, word]


@lean_entry
def write_residual(handle, lex, state, out):  # type: ignore[no-untyped-def]
    """Writes the automaton that goes on from `state` of terminal `lex`; its number of states.

    Equal languages give equal tables: states are numbered in the order in which they are first
    reached. `out` uint8[n, 257] is filled with the number of the state after each byte (0: none,
    1: `state`) and whether it accepts; TOO_MANY where its rows do not suffice.
    """
    rules, memo = opened(handle)
    dfa = rules.lexeme[lex, DFA]
    first, offset = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET]
    states = rules.dfa[dfa + 1, FIRST] - first
    if states > MAX_DEPTH:
        return np.int64(TOO_MANY)
    number, found = memo.path[0], memo.path[1]
    for i in range(states):
        number[i] = 0
    number[state], found[0] = 1, state
    count = np.int64(1)
    done = np.int64(0)
    width = rules.dfa[dfa, WIDTH]
    # Most automata have too many states: that is seen sooner without a look at every byte.
    while done < count:
        for column in range(width):
            target = np.int64(rules.trans[offset + found[done] * width + column])
            if target >= 0 and number[target] == 0:
                if count == len(out):
                    return np.int64(TOO_MANY)
                found[count] = target
                count += 1
                number[target] = 1
        done += 1
    for i in range(count):
        number[found[i]] = 0
    number[state] = 1
    count, done = np.int64(1), np.int64(0)
    while done < count:
        row = offset + found[done] * width
        for byte in range(256):
            target = np.int64(rules.trans[row + rules.columns[dfa, byte]])
            if target < 0:
                out[done, byte] = 0
                continue
            if number[target] == 0:
                found[count] = target
                count += 1
                number[target] = count
            out[done, byte] = number[target]
        out[done, 256] = rules.fact[first + found[done], ACCEPT]
        done += 1
    return count


@lean_entry
def fill_wide(  # type: ignore[no-untyped-def]
    handle, trie, kinds, rank, ordered, lex, state, root, n_words, block
):
    """Fills the block of `state` of the uncounted terminal `lex`; its length.

    `kinds`, `rank` and `ordered` are those of the vocabulary's Subtrees.

    `root`: the node that `state` stands at, -1 before the first byte of tokens. `block` has ROOM
    behind the set of bytes.
    """
    rules, memo = opened(handle)
    tokens = opened_tokens(trie, n_words)
    dfa = rules.lexeme[lex, DFA]
    first, offset = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET]
    width = rules.dfa[dfa, WIDTH]
    column = rules.columns[dfa]
    places = HEADER + n_words + OFTEN
    for word in range(HEADER, places):
        block[word] = 0
    survive, taken = memo.path[1], memo.path[2]
    for charset in range(3):
        survive[charset] = 0 if root >= 0 else rules.fact[first + state, SURVIVE + charset]
    taken[0] = 0
    out = block[HEADER : HEADER + n_words]
    take_slices(tokens, survive, taken, out)
    # By depth: the state, and whether the terminal may end there. By byte: how often it follows
    # there, and whether it ever leads on inside of the terminal.
    states, ending, follows, stays = memo.path[0], memo.path[3], memo.path[4], memo.path[5]
    for byte in range(256):
        follows[byte], stays[byte] = 0, 0
    # By state: the kinds of bytes that do not change it, 0 where they have not been looked up.
    loops = memo.path[6]
    n_states = rules.dfa[dfa + 1, FIRST] - first
    for i in range(min(n_states, len(loops))):
        loops[i] = 0
    everywhere = np.int64(0)
    node = tokens.node
    count = np.int64(0)
    listed = places + MOST_PLACES
    block[N_LONG] = 0
    last = len(tokens.first) - 2
    some_taken = False
    for k in range(last):
        some_taken |= taken[k] != 0
    # Where no slice is taken, the trie of all tokens has fewer nodes than those of the slices.
    taken[last] = some_taken
    for k in range(last + 1):
        if taken[k] or (k < last and not some_taken):
            continue
        begin = np.int64(tokens.first[k])
        at, end = begin, np.int64(tokens.first[k + 1])
        if root >= 0:
            at, end = root + 1, np.int64(node[root, SKIP])
        states[node[at, DEPTH] - 1] = state
        ending[node[at, DEPTH] - 1] = 0
        while at < end:
            depth = node[at, DEPTH]
            byte = node[at, BYTE]
            row = offset + states[depth - 1] * width
            target = np.int64(rules.trans[row + column[byte]])
            after = np.int64(node[at, SKIP])
            if ending[depth - 1]:
                follows[byte] += 1
                stays[byte] |= target >= 0
                if follows[byte] <= _FEW:
                    block[listed] = at
                    listed += 1
            if target < 0:
                at = after
                continue
            states[depth] = target
            token = np.int64(node[at, TOKEN])
            if token >= 0:
                add_token(tokens, token, out)
            ending[depth] = rules.fact[first + target, ACCEPT]
            at += 1
            if at < after and k == last and target < len(loops):
                below = kinds[at - 1 - begin]
                if loops[target] == 0:
                    loops[target] = _loops(rules, dfa, target)
                if below & loops[target] == below:
                    for i in range(rank[at - begin], rank[after - begin]):
                        add_token(tokens, np.int64(ordered[i]), out)
                    if ending[depth]:
                        everywhere |= below
                    at = after
                    continue
            if at < after and not rules.fact[first + target, ONWARD]:
                if count >= MOST_PLACES:
                    block[N_PLACES] = TOO_MANY
                    return places
                block[places + count] = at - 1
                count += 1
                at = after
    for byte in range(256):
        if (everywhere >> KINDS[byte]) & 1:
            follows[byte] = _FEW + 1
            block[places - OFTEN + (byte >> 5)] |= np.int32(1) << (byte & 31)
    # What comes behind a terminal most often begins with what leads out of it.
    few_out = _most(follows, stays, 0, (MOST_PLACES - count) // 2)
    few_in = _most(follows, stays, 1, (MOST_PLACES - count) // 2)
    for i in range(places + MOST_PLACES, listed):
        byte = node[block[i], BYTE]
        if follows[byte] <= (few_in if stays[byte] else few_out):
            block[places + count] = -1 - block[i]
            count += 1
        else:
            block[places - OFTEN + (byte >> 5)] |= np.int32(1) << (byte & 31)
    block[N_PLACES] = count
    return places + count


@lean
def _loops(rules, dfa, state):  # type: ignore[no-untyped-def]
    """The kinds of bytes that do not change a state, and FREE_BIT."""
    row = rules.dfa[dfa, OFFSET] + state * rules.dfa[dfa, WIDTH]
    found = (np.int64(1) << (FREE_BIT + 1)) - 1
    for byte in range(256):
        if rules.trans[row + rules.columns[dfa, byte]] != state:
            found &= ~(np.int64(1) << KINDS[byte])
    return found


@lean
def _most(follows, stays, kind, room):  # type: ignore[no-untyped-def]
    """Up to how many places a byte of a kind may have, for all that have no more to fit in."""
    few = np.int64(_FEW)
    while few > 0:
        total = np.int64(0)
        for byte in range(256):
            if stays[byte] == kind and follows[byte] <= few:
                total += follows[byte]
        if total <= room:
            break
        few //= 2
    return few


@lean_entry
def fill_counted(handle, trie, lex, n_words, block):  # type: ignore[no-untyped-def]
    """Fills the block of the counted string `lex` behind its opening quote; its length.

    `block` has room for twice as many pairs as the trie has nodes.
    """
    rules, memo = opened(handle)
    tokens = opened_tokens(trie, n_words)
    dfa = rules.lexeme[lex, DFA]
    first, offset = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET]
    width = rules.dfa[dfa, WIDTH]
    column = rules.columns[dfa]
    words = HEADER + (LEVELS + 1) * n_words
    for i in range(HEADER, words):
        block[i] = 0
    states, chars = memo.path[0], memo.path[1]
    states[0], chars[0] = BODY, 0
    node = tokens.node
    count, n_long = np.int64(0), np.int64(0)
    last = len(tokens.first) - 2
    at = np.int64(tokens.first[last])
    end = np.int64(tokens.first[last + 1])
    while at < end:
        depth = node[at, DEPTH]
        byte = node[at, BYTE]
        before = states[depth - 1]
        after = np.int64(node[at, SKIP])
        target = np.int64(rules.trans[offset + before * width + column[byte]])
        if target < 0:
            at = after
            continue
        states[depth] = target
        length = chars[depth - 1] + (before == BODY and byte != QUOTE)
        chars[depth] = length
        token = np.int64(node[at, TOKEN])
        if rules.fact[first + target, ACCEPT]:
            block[words + 2 * count] = at
            block[words + 2 * count + 1] = length
            count += 1
            at = after
            continue
        if token >= 0 and length > LEVELS:
            n_long += 1
            block[len(block) - 2 * n_long] = token
            block[len(block) - 2 * n_long + 1] = length
        elif token >= 0:
            begin = HEADER + length * n_words
            add_token(tokens, token, block[begin : begin + n_words])
        at += 1
    for i in range(HEADER + n_words, words):
        block[i] |= block[i - n_words]
    size = words + 2 * count
    for i in range(2 * n_long):
        block[size + i] = block[len(block) - 2 * n_long + i]
    block[N_PLACES], block[N_LONG] = count, n_long
    return size + 2 * n_long
