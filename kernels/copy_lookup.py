"""Prompt lookup: where the last few tokens of a text stood before, and what was said after them.

The whole text is looked through for every question, which takes less time than to keep an index
of it, and none to build one.
"""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner

#: Tokens up to which a match is followed backwards to see how long it is.
_LONGEST = 16
#: Places after a lost copy source at which the copy may go on.
_WINDOW = 8
#: A copy this long is worth going on with after one token differed.
_SETTLED = 3
#: Tokens that match by chance, of a match that is in doubt; sets how chances rise with length.
_DOUBT = 1.5
#: What is kept of a text: where the copy at hand goes on (-1: there is none), how long it has
#: been, and how many tokens it has been followed through.
SOURCE, COPIED, TAKEN = range(3)
#: The latest places before and in the part of the text that is the branch's own.
_KINDS = 4


@inner
def _follow(said, at, state):  # type: ignore[no-untyped-def]
    """Moves the source along with token number `at`: it stays aligned across a correction.

    Input-guided aggressive decoding.
    """
    source = state[SOURCE]
    if source < 0:
        return
    token = said[at]
    if said[source] == token:
        state[SOURCE] += 1
        state[COPIED] += 1
        return
    was_settled = state[COPIED] >= _SETTLED
    state[COPIED] = 0
    if not was_settled:
        state[SOURCE] = -1
        return
    # The source has something more than the copy, or else another token in this place.
    skipped = source
    for i in range(source + 1, min(source + 1 + _WINDOW, at)):
        if said[i] == token:
            skipped = i
            break
    state[SOURCE] = skipped + 1 if skipped < at else np.int64(-1)


@inner
def _matched(said, place, longest):  # type: ignore[no-untyped-def]
    """How many tokens before `place` are those at the end, at most `longest`."""
    count = len(said)
    length = np.int64(0)
    while length < min(place, longest) and said[place - 1 - length] == said[count - 1 - length]:
        length += 1
    return length


@inner
def _find(said, prompt, n_max, found):  # type: ignore[no-untyped-def]
    """Fills `found[n]` with the places after the last n tokens, -1 where there is none.

    The latest, and the latest before it with another token: of the branch's own part of the text,
    then of the prompt, which is its first `prompt` tokens.
    """
    found[:] = -1
    last = said[len(said) - 1]
    for place in range(len(said) - 1, 0, -1):
        if said[place - 1] != last:
            continue
        first = 0 if place >= prompt else 2
        for n in range(1, _matched(said, place, np.int64(n_max)) + 1):
            if found[n, first] < 0:
                found[n, first] = place
            elif found[n, first + 1] < 0 and said[place] != said[found[n, first]]:
                found[n, first + 1] = place


@inner
def _candidates(said, prompt, n_max, source, places, lengths):  # type: ignore[no-untyped-def]
    """Fills in places to copy from, the best first, with the tokens that match; how many.

    Those after the longest n-gram that stood somewhere before. The copy at hand counts one more:
    after a token that differed it is worth as much as a single token.
    """
    found = np.empty((n_max + 1, _KINDS), np.int64)
    _find(said, prompt, n_max, found)
    count = np.int64(0)
    if source >= 0:
        places[0], lengths[0] = source, _matched(said, source, np.int64(_LONGEST)) + 1
        count += 1
    for n in range(n_max, 0, -1):
        for kind in range(_KINDS):
            place = found[n, kind]
            is_new = place >= 0
            for i in range(count):
                is_new &= places[i] != place
            if is_new:
                length = _matched(said, place, np.int64(_LONGEST))
                at = count
                while at > 0 and lengths[at - 1] < length:
                    places[at], lengths[at] = places[at - 1], lengths[at - 1]
                    at -= 1
                places[at], lengths[at] = place, length
                count += 1
        if count > 1:
            break
    return count


@inner
def _copy(text, place, matched, room, size, source, nodes, chances):  # type: ignore[no-untyped-def]
    """Adds a chain of what stands from `place` on; the number of nodes then."""
    first = size
    for i in range(min(room, len(text) - place)):
        nodes[size, 0] = text[place + i]
        nodes[size, 1] = -1 if size == first else size - 1
        nodes[size, 2] = source
        # Given that all before it were right, the match is that much longer.
        length = matched + i + 0.5
        chances[size] = length / (length + _DOUBT)
        size += 1
    return size


@inner
def looked_up(said, text, prompt, n_max, state, spare, longest, source, nodes, chances):  # type: ignore[no-untyped-def]
    """Copies of what followed the last tokens before: one chain, or two; the number of nodes.

    Args:
        said: int32, the text as it is compared, prompt included; `text`: as it is copied.
        prompt: how many tokens of it are the prompt's.
        n_max: tokens of the longest n-gram that is looked for.
        state: int64 `[3]`, what is kept of this text from one question to the next.
        spare: nodes of the second chain, which begins with another token.
        longest: most tokens of one copy.
        source: the number of the drafter.
        nodes: int64 `[room, 3]`, is filled with the nodes' tokens, their parents (-1: the root) and
            `source`, as far as there is room; `chances` likewise.
    """
    for at in range(state[TAKEN], len(said)):
        _follow(said[: at + 1], at, state)
    state[TAKEN] = len(said)
    room = len(chances)
    if room == 0:
        return np.int64(0)
    places = np.empty(_KINDS * n_max + 1, np.int64)
    lengths = np.empty(_KINDS * n_max + 1, np.int64)
    count = _candidates(said, prompt, n_max, state[SOURCE], places, lengths)
    if count == 0:
        return count
    place, matched = places[0], lengths[0]
    state[COPIED] = max(state[COPIED], matched) if place == state[SOURCE] else matched
    state[SOURCE] = place
    # Where the last tokens stood in one place only, they tell more.
    sure = matched + 1 if count == 1 else matched
    first = min(room - spare, longest)
    size = _copy(text, place, sure, first, np.int64(0), source, nodes, chances)
    for i in range(1, count):
        if spare > 0 and text[places[i]] != nodes[0, 0]:
            second = min(spare, longest)
            return _copy(text, places[i], lengths[i], second, size, source, nodes, chances)
    return size


@entry
def look_up(said, text, prompt, n_max, state, spare, longest, source, nodes, chances):  # type: ignore[no-untyped-def]
    """See `looked_up`."""
    return looked_up(said, text, prompt, n_max, state, spare, longest, source, nodes, chances)
