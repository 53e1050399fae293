"""Drawing tokens on the CPU: one pass for the greatest logit, one for the weights of a row."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from guided.kernels.addresses import pointer
from guided.kernels.exponential import exp

#: Tokens of a block: whole mask words, and weights that stay in the first cache.
BLOCK = 512
#: Below this total of weights, relative to the greatest raw logit, float64 may lose digits.
_FAINT = 1e-200

# A row's status.
OK, NOT_NUMBERS, NOTHING_LEFT = range(3)


@njit(cache=True, nogil=True)
def _raise_to(best, x):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        best[i] = np.maximum(best[i], x[i])


@njit(cache=True, nogil=True)
def greatest(x):  # type: ignore[no-untyped-def]
    """The greatest number, NaN if there is a NaN."""
    # As many maxima as a block is long: the loop over one maximum would not be vectorised.
    lanes = np.full(BLOCK, -np.inf, x.dtype)
    for begin in range(0, len(x), BLOCK):
        _raise_to(lanes, x[begin : begin + BLOCK])
    best = lanes[0]
    for i in range(len(lanes)):
        best = np.maximum(best, lanes[i])
    return best


@njit(cache=True, nogil=True, fastmath={"contract"})
def _weigh(x, top, weights):  # type: ignore[no-untyped-def]
    """Fills `weights` with exp(x - top)."""
    for i in range(len(x)):
        weights[i] = exp(np.float64(x[i]) - top)


@njit(cache=True, nogil=True)
def _divide(x, temperature, scaled):  # type: ignore[no-untyped-def]
    """Fills `scaled` with x / temperature, rounded to the type of `x`."""
    for i in range(len(x)):
        scaled[i] = x[i] / temperature


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _total(weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(weights)):
        total += weights[i]
    return total


@njit(cache=True, nogil=True)
def _forbid_word(values, bits, nothing):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        value = values[i]
        values[i] = value if (bits >> np.int32(i)) & np.int32(1) != 0 else nothing


@njit(cache=True, nogil=True)
def _forbid(values, words, nothing):  # type: ignore[no-untyped-def]
    """Writes `nothing` wherever `words` has no bit. Returns whether any bit is set."""
    some = False
    for word in range(len(words)):
        bits = words[word]
        some |= bits != 0
        if bits != -1:
            _forbid_word(values[word * 32 : word * 32 + 32], bits, nothing)
    return some


@njit(cache=True, nogil=True)
def _allows(words):  # type: ignore[no-untyped-def]
    union = np.int32(0)
    for i in range(len(words)):
        union |= words[i]
    return union != 0


@njit(cache=True, nogil=True)
def _law_logits(x, temperature, words, scaled):  # type: ignore[no-untyped-def]
    """A block's logits after temperature and mask (no words: all allowed)."""
    law = scaled[: len(x)]
    _divide(x, temperature, law)
    if len(words) > 0:
        _forbid(law, words, x.dtype.type(-np.inf))
    return law


@njit(cache=True, nogil=True)
def _words_of(mask, begin):  # type: ignore[no-untyped-def]
    first = begin // 32
    return mask[first : first + BLOCK // 32]


@njit(cache=True, nogil=True)
def _has_greater(x, bound):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(x)):
        count += x[i] > bound
    return count > 0


@njit(cache=True, nogil=True)
def _best(x, temperature, mask, scaled):  # type: ignore[no-untyped-def]
    """(token, logit) of the greatest logit of the law, the lowest id if tied; (-1, -inf): none."""
    token = -1
    top = x.dtype.type(-np.inf)
    for begin in range(0, len(x), BLOCK):
        words = _words_of(mask, begin)
        if len(mask) > 0 and not _allows(words):
            continue
        law = _law_logits(x[begin : begin + BLOCK], temperature, words, scaled)
        # Few blocks have a new maximum, and the test is vectorised.
        if _has_greater(law, top):
            for i in range(len(law)):
                if law[i] > top:
                    token, top = begin + i, law[i]
    return token, np.float64(top)


@njit(cache=True, nogil=True)
def _first_at(x, top):  # type: ignore[no-untyped-def]
    """The first index at which `x` is `top`, -1 if there is none."""
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK]
        count = 0
        for i in range(len(block)):
            count += block[i] >= top
        if count > 0:
            for i in range(len(block)):
                if block[i] >= top:
                    return begin + i
    return -1


@njit(cache=True, nogil=True)
def _sum_raw(x, top, weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK]
        _weigh(block, top, weights)
        total += _total(weights[: len(block)])
    return total


@njit(cache=True, nogil=True)
def _sum_law(x, temperature, mask, top, weights, scaled, sums):  # type: ignore[no-untyped-def]
    """Fills `sums` with the weights of every block of the law; returns their total."""
    total = 0.0
    for begin in range(0, len(x), BLOCK):
        words = _words_of(mask, begin)
        block = 0.0
        if len(mask) == 0 or _allows(words):
            law = _law_logits(x[begin : begin + BLOCK], temperature, words, scaled)
            _weigh(law, top, weights)
            block = _total(weights[: len(law)])
        sums[begin // BLOCK] = block
        total += block
    return total


@njit(cache=True, nogil=True)
def _sum_both(x, mask, top, weights, sums):  # type: ignore[no-untyped-def]
    """(raw total, total of the law) at temperature 1, where both share their weights."""
    raw = 0.0
    total = 0.0
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK]
        _weigh(block, top, weights)
        whole = _total(weights[: len(block)])
        raw += whole
        if len(mask) > 0:
            some = _forbid(weights[: len(block)], _words_of(mask, begin), 0.0)
            whole = _total(weights[: len(block)]) if some else 0.0
        sums[begin // BLOCK] = whole
        total += whole
    return raw, total


@njit(cache=True, nogil=True)
def _invert(x, temperature, mask, top, number, total, weights, scaled, sums):  # type: ignore[no-untyped-def]
    """The token at which the distribution function passes `number`; its weight is positive."""
    # Strictly below the total, so that some block passes it.
    at = min(number * total, np.nextafter(total, 0.0))
    before = 0.0
    k = 0
    while before + sums[k] <= at:
        before += sums[k]
        k += 1
    begin = k * BLOCK
    law = _law_logits(x[begin : begin + BLOCK], temperature, _words_of(mask, begin), scaled)
    _weigh(law, top, weights)
    last = 0
    for i in range(len(law)):
        before += weights[i]
        if weights[i] > 0:
            last = i
        if before > at:
            break
    return begin + last


@njit(inline="always")
def _draw_row(x, mask, temperature, number, greedy, weights, scaled, sums):  # type: ignore[no-untyped-def]
    """(token, log p, log q, status) of one row."""
    top = np.float64(greatest(x))
    scaled[0] = top
    law_top = np.float64(scaled[0] / temperature)
    total = 0.0
    if greedy:
        raw = _sum_raw(x, top, weights)
    elif temperature == 1:
        raw, total = _sum_both(x, mask, top, weights, sums)
    else:
        raw = _sum_raw(x, top, weights)
        total = _sum_law(x, temperature, mask, law_top, weights, scaled, sums)
    if not (top < np.inf and raw < np.inf and total < np.inf):
        return 0, np.nan, np.nan, NOT_NUMBERS
    log_raw = top + math.log(raw)
    if greedy and temperature == 1:
        # Mostly what the model likes best is allowed; the lowest id of all is that of the allowed.
        token = _first_at(x, scaled[0])
        if len(mask) == 0 or (mask[token // 32] >> np.int32(token % 32)) & np.int32(1) != 0:
            return token, x[token] - log_raw, 0.0, OK
    if greedy or total < _FAINT:
        token, law_top = _best(x, temperature, mask, scaled)
        if token < 0:
            return 0, np.nan, np.nan, NOTHING_LEFT
        if greedy:
            return token, x[token] - log_raw, 0.0, OK
        total = _sum_law(x, temperature, mask, law_top, weights, scaled, sums)
    token = _invert(x, temperature, mask, law_top, number, total, weights, scaled, sums)
    log_q = x[token] / temperature - (law_top + math.log(total))
    return token, x[token] - log_raw, log_q, OK


@njit(cache=True, nogil=True)
def draw_rows(  # type: ignore[no-untyped-def]
    flat, stride, width, masks, temperature, numbers, greedy, tokens, log_p, log_q, status
):
    """Draws one token for every row; see `masked_sampling.draw`.

    Row i is `flat[i * stride : i * stride + width]`. `masks` has no columns where nothing is
    forbidden. `temperature` has the type of `flat`. The last four arrays are filled.
    """
    weights = np.empty(BLOCK, np.float64)
    scaled = np.empty(BLOCK, flat.dtype)
    sums = np.empty((width + BLOCK - 1) // BLOCK, np.float64)
    for row in range(len(tokens)):
        x = flat[row * stride : row * stride + width]
        tokens[row], log_p[row], log_q[row], status[row] = _draw_row(
            x, masks[row], temperature, numbers[row], greedy, weights, scaled, sums
        )


@njit(cache=True, nogil=True)
def _has_one_bit(mask):  # type: ignore[no-untyped-def]
    """Whether a mask allows exactly one token."""
    some = False
    for word in range(len(mask)):
        bits = mask[word]
        if bits == 0:
            continue
        if some or bits & (bits - np.int32(1)) != 0:
            return False
        some = True
    return some


@njit(cache=True, nogil=True)
def draw_one(  # type: ignore[no-untyped-def]
    address, width, mask, temperature, number, greedy, weights, scaled, sums
):
    """(token, log p, log q, status, whether `mask` allows nothing else) of the row at an address.

    `mask` is empty where nothing is forbidden. The last three are room to work in: `BLOCK` numbers
    in float64 and in the type of the row, and a float64 for every block of the row.
    """
    x = carray(pointer(address), width, scaled.dtype)
    token, log_p, log_q, status = _draw_row(
        x, mask, temperature, number, greedy, weights, scaled, sums
    )
    return token, log_p, log_q, status, _has_one_bit(mask)


@njit(cache=True, nogil=True)
def log_totals(flat, stride, width, out):  # type: ignore[no-untyped-def]
    """Fills `out` with log(sum(exp(x))) of every row; NaN for a NaN, +inf, or nothing finite."""
    weights = np.empty(BLOCK, np.float64)
    for row in range(len(out)):
        x = flat[row * stride : row * stride + width]
        top = np.float64(greatest(x))
        out[row] = top + math.log(_sum_raw(x, top, weights)) if top < np.inf else np.nan
