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


@entry
def reach(tokens, parents, configs, begin, step, data, offsets):  # type: ignore[no-untyped-def]
    """Fills `configs` from node `begin` on; the first node that only the grammar can tell of.

    Args:
        tokens, parents: int64 `[n]`, a copy's nodes.
        configs: int64 `[n + 1]`, the configuration at the root and after each node, 0: illegal.
        step: of the grammar's memo; `data`, `offsets`: the bytes of all tokens.
    """
    for i in range(begin, len(tokens)):
        above = configs[parents[i] + 1]
        token = tokens[i]
        after = np.int64(0)
        is_text = 0 <= token < len(offsets) - 1 and offsets[token] < offsets[token + 1]
        if above != 0 and is_text:
            after = _config_after(above, data[offsets[token] : offsets[token + 1]], step)
            if after < 0:
                return np.int64(i)
        configs[i + 1] = after
    return np.int64(len(tokens))


@entry
def find_ends(tokens, parents, chances, configs, last, string, data, offsets, edges, ends, shares):  # type: ignore[no-untyped-def]
    """Fills in the likeliest nodes (-1: the root) at which a string may end; how many.

    Args:
        chances: float64, of the nodes; the others see `reach`.
        last: the token before the copy; `string`: where the text stands after it.
        edges: uint8, what is known of each token.
        ends: int64, as many as are wanted; `shares`: how likely each is, given that it is reached.

    Returns:
        how many ends there are, and for the root and every node where the text stands after it; of
        nodes whose way has left the root's string minus that.
    """
    count = len(tokens)
    strings = np.empty(count + 1, np.int64)
    likely = np.zeros(count + 1)
    following = np.full(count + 1, -1)
    strings[0], likely[0] = string, 1.0
    for i in range(count):
        above = parents[i] + 1
        if following[above] < 0:
            following[above] = _edge(edges, tokens[i])
        before = strings[above]
        if configs[i + 1] == 0:
            strings[i + 1] = before
            continue
        some = data[offsets[tokens[i]] : offsets[tokens[i] + 1]]
        after = _string_after(abs(before), some)
        has_left = before <= 0 or string != INSIDE
        for k in range(len(some)):
            has_left |= some[k] == _QUOTE or some[k] == _BACKSLASH
        strings[i + 1] = -after if has_left else after
        likely[i + 1] = likely[above] * chances[i]
    found = np.int64(0)
    best = np.zeros(len(ends))
    for i in range(count + 1):
        if abs(strings[i]) == OUTSIDE or likely[i] * _AT_PUNCTUATION <= _FAINT:
            continue
        share = _ends_between(_edge(edges, last if i == 0 else tokens[i - 1]), following[i])
        chance = likely[i] * share
        if chance <= _FAINT:
            continue
        at = found
        if found == len(ends):
            if best[found - 1] >= chance:
                continue
            at -= 1
        else:
            found += 1
        while at > 0 and best[at - 1] < chance:
            best[at], ends[at], shares[at] = best[at - 1], ends[at - 1], shares[at - 1]
            at -= 1
        best[at], ends[at], shares[at] = chance, i - 1, share
    return found, strings


@entry
def join(tokens, parents, legal, room, into):  # type: ignore[no-untyped-def]
    """Makes one tree of the nodes of several drafts; how many nodes it has.

    Args:
        tokens, parents: int64 `[n]`; a node's parent (-1: the root) is one of those before it.
        legal: of every node whether it may stay.
        room: the most nodes of the tree.
        into: int64 `[3, n]`, is filled with the tree's tokens, its parents, and the number that
            each of its nodes had. Of several nodes with one token after one node the first stays.
    """
    place = np.full(len(tokens) + 1, _NOWHERE)
    place[0] = -1
    size = np.int64(0)
    for i in range(len(tokens)):
        above = place[parents[i] + 1]
        if above == _NOWHERE or not legal[i]:
            continue
        known = above + 1
        while known < size and not (into[1, known] == above and into[0, known] == tokens[i]):
            known += 1
        if known == size:
            if size >= room:
                continue
            into[0, size], into[1, size], into[2, size] = tokens[i], above, i
            size += 1
        place[i + 1] = known
    return size
