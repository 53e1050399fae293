"""Copies inside of a grammar's strings: how far they are legal, and where the string may end."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.memo_arrays import DEAD, UNKNOWN

#: What is known of a token's text: whether it ends with a word's character, begins with one,
#: begins with a blank.
ENDS_WORD, BEGINS_WORD, BEGINS_BLANK = 1, 2, 4
#: How likely a copied value ends where punctuation follows in the source, and where a blank does.
_AT_PUNCTUATION, _AT_BLANK = 0.6, 0.25
#: How likely what follows a string's end goes on as drafted.
_GOES_ON = 0.9
#: The chance of an end from which on it is looked at.
_FAINT = 0.05
#: Where a byte of a text stands: outside of strings, in one, after a backslash in one.
OUTSIDE, INSIDE, ESCAPED = range(3)
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_NOWHERE = -2


@inner
def _config_after(config, some, step):  # type: ignore[no-untyped-def]
    """The configuration after some bytes; 0: illegal, -1: it was never asked for."""
    at = np.int64(config)
    for i in range(len(some)):
        target = step[at, some[i]]
        if target == UNKNOWN:
            return np.int64(-1)
        if target == DEAD:
            return np.int64(0)
        at = np.int64(target)
    return at


@inner
def _string_after(string, some):  # type: ignore[no-untyped-def]
    """Where the text stands after some bytes."""
    for i in range(len(some)):
        byte = some[i]
        if string == ESCAPED:
            string = np.int64(INSIDE)
        elif string == INSIDE and byte == _BACKSLASH:
            string = np.int64(ESCAPED)
        elif byte == _QUOTE:
            string = np.int64(INSIDE) if string == OUTSIDE else np.int64(OUTSIDE)
    return string


@inner
def _edge(edges, token):  # type: ignore[no-untyped-def]
    """What is known of a token; nothing of one that is not in the vocabulary."""
    return np.int64(edges[token]) if 0 <= token < len(edges) else np.int64(0)


@inner
def _ends_between(before, after):  # type: ignore[no-untyped-def]
    """How likely a value ends between two tokens of a source, by what is known of them.

    0 within a word; `after` is -1 where the copy ends.
    """
    if not before & ENDS_WORD:
        return 0.0
    if after >= 0 and after & BEGINS_WORD:
        return 0.0
    return _AT_BLANK if after >= 0 and after & BEGINS_BLANK else _AT_PUNCTUATION


@inner
def _reach(nodes, configs, begin, step, data, offsets):  # type: ignore[no-untyped-def]
    """Fills `configs` from node `begin` on; the first node that only the grammar can tell of."""
    for i in range(begin, len(nodes)):
        above = configs[nodes[i, 1] + 1]
        token = nodes[i, 0]
        after = np.int64(0)
        is_text = 0 <= token < len(offsets) - 1 and offsets[token] < offsets[token + 1]
        if above != 0 and is_text:
            after = _config_after(above, data[offsets[token] : offsets[token + 1]], step)
            if after < 0:
                return np.int64(i)
        configs[i + 1] = after
    return np.int64(len(nodes))


@inner
def ends_found(  # type: ignore[no-untyped-def]
    nodes, chances, configs, begin, step, last, string, data, offsets, edges, ends, shares
):
    """Fills in the likeliest nodes (-1: the root) at which a string may end.

    Args:
        nodes: int64 `[n, 2 or more]`, a copy's tokens and their parents (-1: the root); `chances`:
            float64 `[n]`.
        configs: int64 `[n + 1]`, the configuration at the root and after each node, 0: illegal; is
            filled from node `begin` on.
        step: of the grammar's memo; `data`, `offsets`: the bytes of all tokens.
        last: the token before the copy; `string`: where the text stands after it.
        edges: uint8, what is known of each token.
        ends: int64, as many as are wanted; `shares`: how likely each is, given that it is reached.

    Returns:
        the first node that only the grammar can tell of, n if there is none: what follows counts
        only then. How many ends there are, and for the root and every node where the text stands
        after it; of nodes whose way has left the root's string minus that.
    """
    count = len(nodes)
    strings = np.empty(count + 1, np.int64)
    found = np.int64(0)
    at = _reach(nodes, configs, begin, step, data, offsets)
    if at < count:
        return at, found, strings
    likely = np.zeros(count + 1)
    following = np.full(count + 1, -1)
    strings[0], likely[0] = string, 1.0
    for i in range(count):
        token, above = nodes[i, 0], nodes[i, 1] + 1
        if following[above] < 0:
            following[above] = _edge(edges, token)
        before = strings[above]
        if configs[i + 1] == 0:
            strings[i + 1] = before
            continue
        some = data[offsets[token] : offsets[token + 1]]
        after = _string_after(abs(before), some)
        has_left = before <= 0 or string != INSIDE
        for k in range(len(some)):
            has_left |= some[k] == _QUOTE or some[k] == _BACKSLASH
        strings[i + 1] = -after if has_left else after
        likely[i + 1] = likely[above] * chances[i]
    best = np.zeros(len(ends))
    for i in range(count + 1):
        if abs(strings[i]) == OUTSIDE or likely[i] * _AT_PUNCTUATION <= _FAINT:
            continue
        share = _ends_between(_edge(edges, last if i == 0 else nodes[i - 1, 0]), following[i])
        chance = likely[i] * share
        if chance <= _FAINT:
            continue
        place = found
        if found == len(ends):
            if best[found - 1] >= chance:
                continue
            place -= 1
        else:
            found += 1
        while place > 0 and best[place - 1] < chance:
            best[place], ends[place] = best[place - 1], ends[place - 1]
            shares[place] = shares[place - 1]
            place -= 1
        best[place], ends[place], shares[place] = chance, i - 1, share
    return at, found, strings


@inner
def _put(token, above, source, chance, room, size, into, sure):  # type: ignore[no-untyped-def]
    """(where a token after a node stands, the size): it is added unless it is there."""
    known = above + 1
    while known < size and not (into[known, 1] == above and into[known, 0] == token):
        known += 1
    if known == size:
        if size >= room:
            return np.int64(_NOWHERE), size
        into[size, 0], into[size, 1], into[size, 2] = token, above, source
        sure[size] = chance
        size += 1
    return known, size


@inner
def joined(forced, given, copied, chances, configs, ways, shares, name, room, into, sure):  # type: ignore[no-untyped-def]
    """Makes one tree of what is forced, a copy, and what closes it; how many nodes it has.

    Args:
        forced: int64 `[n, 3]`, nodes: tokens, parents (-1: the root; else one of those before) and
            drafters; `given`: their chances. `copied` and `chances` likewise.
        configs: int64, 0 after each of the copy's nodes that may not stay, the root's first.
        ways: int64, for each chain that closes the copy the node that it follows (-1: the root),
            how many tokens it has, and these.
        shares: float64, the chance of each chain's first token; `name`: their drafter.
        room: the most nodes of the tree.
        into: int64 `[room, 3]`, is filled with the tree's nodes; `sure`: their chances. Of several
            nodes with one token after one node the first stays.
    """
    size = np.int64(0)
    place = np.full(1 + max(len(forced), len(copied)), _NOWHERE)
    place[0] = -1
    for i in range(len(forced)):
        above = place[forced[i, 1] + 1]
        if above != _NOWHERE:
            place[i + 1], size = _put(
                forced[i, 0], above, forced[i, 2], given[i], room, size, into, sure
            )
    place[1:] = _NOWHERE
    for i in range(len(copied)):
        above = place[copied[i, 1] + 1]
        if above != _NOWHERE and configs[i + 1] != 0:
            place[i + 1], size = _put(
                copied[i, 0], above, copied[i, 2], chances[i], room, size, into, sure
            )
    begin = np.int64(0)
    for chain in range(len(shares)):
        at = place[ways[begin] + 1]
        length = ways[begin + 1]
        for i in range(length):
            if at != _NOWHERE:
                chance = shares[chain] if i == 0 else _GOES_ON
                at, size = _put(ways[begin + 2 + i], at, name, chance, room, size, into, sure)
        begin += 2 + length
    return size


@entry
def find_ends(  # type: ignore[no-untyped-def]
    nodes, chances, configs, begin, step, last, string, data, offsets, edges, ends, shares
):
    """See `ends_found`."""
    return ends_found(
        nodes, chances, configs, begin, step, last, string, data, offsets, edges, ends, shares
    )


@entry
def join(forced, given, copied, chances, configs, ways, shares, name, room, into, sure):  # type: ignore[no-untyped-def]
    """See `joined`."""
    return joined(forced, given, copied, chances, configs, ways, shares, name, room, into, sure)
