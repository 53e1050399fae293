"""A small Llama on the CPU, token by token: it reads a text and draws what may come next.

A network of a few hundred thousand numbers takes microseconds a token here, where a framework takes
as many to begin each operation of each layer. All arrays are float32 and C-contiguous, matrices
`[in, out]`. Sums are in another order than torch's: it is for guesses only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba import njit

from guided.kernels.compiling import entry

_INNER: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "fastmath": {"contract", "reassoc", "nsz"},
}
_inner = cast(Callable[[Any], Any], njit(**_INNER))
#: The chance that a token is right where the number drawn lies at the end of its interval, and by
#: how many log-odds to the inside the rest of the doubt falls by a factor of e.
_AT_END, _DECAY = 0.25, 1.2
#: Shares that are taken to be no less when log-odds are made of them.
_TINY = 1e-9


@_inner
def _dense(x, weights, out):  # type: ignore[no-untyped-def]
    """Fills `out` with `x @ weights`."""
    count, width = weights.shape
    for k in range(width):
        out[k] = 0
    whole = count - count % 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        for k in range(width):
            out[k] += (
                a * weights[i, k]
                + b * weights[i + 1, k]
                + c * weights[i + 2, k]
                + d * weights[i + 3, k]
            )
    for i in range(whole, count):
        a = x[i]
        for k in range(width):
            out[k] += a * weights[i, k]


@_inner
def _normed(x, weights, epsilon, out):  # type: ignore[no-untyped-def]
    """Fills `out` with `x`, scaled to a mean square of 1, times `weights`."""
    total = x[0] * 0
    for i in range(len(x)):
        total += x[i] * x[i]
    scale = np.float32(1 / math.sqrt(total / len(x) + epsilon))
    for i in range(len(x)):
        out[i] = x[i] * scale * weights[i]


@_inner
def _rotate(x, heads, cos, sin):  # type: ignore[no-untyped-def]
    """Rotates so many heads of `x`, which stand one after the other, by angles `[width / 2]`."""
    half = len(cos)
    for head in range(heads):
        begin = 2 * half * head
        for i in range(half):
            left, right = x[begin + i], x[begin + half + i]
            x[begin + i] = left * cos[i] - right * sin[i]
            x[begin + half + i] = right * cos[i] + left * sin[i]


@_inner
def _attend(queries, heads, cache, last, scores, out):  # type: ignore[no-untyped-def]
    """Fills `out` with what `heads` queries gather of `cache [2, places, key heads, width]`."""
    _, _, key_heads, width = cache.shape
    scale = np.float32(1 / math.sqrt(width))
    for head in range(heads):
        shared, begin = head * key_heads // heads, head * width
        top = np.float32(-np.inf)
        for at in range(last + 1):
            total = scale * 0
            for i in range(width):
                total += queries[begin + i] * cache[0, at, shared, i]
            scores[at] = total * scale
            top = max(top, scores[at])
        whole = scale * 0
        for i in range(width):
            out[begin + i] = 0
        for at in range(last + 1):
            weight = np.float32(math.exp(scores[at] - top))
            whole += weight
            for i in range(width):
                out[begin + i] += weight * cache[1, at, shared, i]
        for i in range(width):
            out[begin + i] /= whole


@_inner
def _read(token, at, weights, cache, room, h):  # type: ignore[no-untyped-def]
    """Fills `h` with the state after a token in place `at`, and the cache with what it leaves."""
    embedding, norms, mixing, gathering, rising, falling, _, epsilon, cos, sin = weights
    normed, mixed, gathered, raised, added, scores = room
    layers, _, _, key_heads, head_width = cache.shape
    queries, inner = gathering.shape[1], falling.shape[1]
    heads, keys = queries // head_width, key_heads * head_width
    for i in range(len(h)):
        h[i] = embedding[token, i]
    for layer in range(layers):
        _normed(h, norms[2 * layer], epsilon, normed)
        _dense(normed, mixing[layer], mixed)
        _rotate(mixed, heads + key_heads, cos[at], sin[at])
        for i in range(keys):
            cache[layer, 0, at, i // head_width, i % head_width] = mixed[queries + i]
            cache[layer, 1, at, i // head_width, i % head_width] = mixed[queries + keys + i]
        _attend(mixed, heads, cache[layer], at, scores, gathered)
        _dense(gathered, gathering[layer], added)
        for i in range(len(h)):
            h[i] += added[i]
        _normed(h, norms[2 * layer + 1], epsilon, normed)
        _dense(normed, rising[layer], raised)
        for i in range(inner):
            gate = raised[i]
            raised[i] = gate / (1 + np.float32(math.exp(-gate))) * raised[inner + i]
        _dense(raised, falling[layer], added)
        for i in range(len(h)):
            h[i] += added[i]


@_inner
def _log_odds(share):  # type: ignore[no-untyped-def]
    return math.log((share + _TINY) / (max(0.0, 1 - share) + _TINY))


@_inner
def _drawn(logits, temperature, number, weights):  # type: ignore[no-untyped-def]
    """(the token at `number` of the distribution function, the chance that it is right).

    Another law draws the same token as long as the ends of its interval do not pass the number.
    At temperature 0 the likeliest token, and its probability.
    """
    best = np.int64(0)
    for i in range(len(logits)):
        if logits[i] > logits[best]:
            best = np.int64(i)
    divisor = temperature if temperature > 0 else np.float32(1)
    total = 0.0
    for i in range(len(logits)):
        weights[i] = np.float32(math.exp((logits[i] - logits[best]) / divisor))
        total += weights[i]
    if temperature <= 0:
        return best, 1 / total
    token, begin, goal = np.int64(len(logits) - 1), 0.0, number * total
    for i in range(len(logits)):
        if begin + weights[i] > goal:
            token = np.int64(i)
            break
        begin += weights[i]
    end = begin + weights[token]
    place = _log_odds(number)
    gap = min(place - _log_odds(begin / total), _log_odds(end / total) - place)
    return token, 1 - (1 - _AT_END) * math.exp(-max(0.0, gap) / _DECAY)


@entry
def guess(  # type: ignore[no-untyped-def]
    text, read, weights, cache, temperature, numbers, stops, least, logits, tokens, chances
):
    """Reads a text and draws tokens, at most one for each of `numbers`; how many.

    What is drawn is read, too, but for the last token. The chain ends before one of `stops`, and
    where all of it is right with a chance below `least`.

    Args:
        text: int64; its first `read` tokens, but not all, are in the cache.
        weights: embedding `[V, width]`; norms `[2 * layers + 1, width]`; and for each layer
            queries, keys and values together, what heads give out, gate and rise together, fall;
            the head `[width, tokens]`; the norms' epsilon; cosines and sines
            `[places, head width / 2]`.
        cache: `[layers, 2, places, key heads, head width]`, with a place for every token.
        temperature: 0: the likeliest tokens.
        numbers: float64, where in the distribution function each token is drawn.
        logits: is filled with the last logits; `tokens`, `chances`: with what is drawn.
    """
    embedding, norms, mixing, gathering, rising, _, head, epsilon, _, _ = weights
    width = embedding.shape[1]
    h, normed = np.empty(width, np.float32), np.empty(width, np.float32)
    room = (
        normed, np.empty(mixing.shape[2], np.float32), np.empty(gathering.shape[1], np.float32),
        np.empty(rising.shape[2], np.float32), np.empty(width, np.float32),
        np.empty(len(text) + len(numbers), np.float32),
    )  # fmt: skip
    shares = np.empty(len(logits), np.float32)
    for at in range(read, len(text)):
        _read(text[at], at, weights, cache, room, h)
    likely = 1.0
    for count in range(len(numbers)):
        _normed(h, norms[len(norms) - 1], epsilon, normed)
        _dense(normed, head, logits)
        token, chance = _drawn(logits, temperature, numbers[count], shares)
        for i in range(len(stops)):
            if token == stops[i]:
                return count
        tokens[count], chances[count] = token, chance
        likely *= chance
        if likely < least or count + 1 == len(numbers):
            return count + 1
        _read(token, len(text) + count, weights, cache, room, h)
    return 0
