"""Next-byte laws: in probabilities and in logarithms, for one head and for many at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from guided.byte_laws import ByteLaw, weighing
from guided.byte_laws.characters import _matched, members
from guided.byte_laws.fronts import advanced, begun
from guided.byte_laws.spelling import END
from guided.byte_laws.weighing import Weighing, next_law, weighings
from tests.byte_laws.toys import bpe, table

LAW = ByteLaw(table(bpe("abc", ["a b", "b c", "ab c", "a a"]), 1))
CANON = LAW.canon
V = LAW.model.vocabulary.size


def fronts(text: bytes):
    """The front after a text, all its heads."""
    opening = LAW.opening("<eos>")
    front = begun(CANON, opening.state, opening.token)
    heads = [head for head, _ in front]
    for byte in text:
        front, new = advanced(CANON, front, byte)
        heads += new
    return front, heads


def weighed(logits: torch.Tensor, text: bytes, normalize="tokens"):
    front, heads = fronts(text)
    made = dict(
        zip(
            heads,
            weighings(CANON, heads, logits[: len(heads)], LAW.stop_ids, normalize),
            strict=True,
        )
    )
    for head in heads:
        if head.parent is not None:
            above = made[head.parent]
            made[head].log_weight = above.log_weight + above.log_p_of(CANON, head.token)
    return [(some, made[head]) for head, some in front], heads


def by_hand(heads) -> np.ndarray:
    """The mixture, token by token."""
    mass = [[] for _ in range(END + 1)]
    for some, one in heads:
        for at in range(some.low, some.high):
            data = CANON.spelling.bytes[int(CANON.spelling.ids[at])]
            if len(data) > some.depth and one.logits[at] > -np.inf:
                mass[data[some.depth]].append(one.log_weight + one.logits[at] - one.log_total)
        if some.depth == 0 and one.log_end > -np.inf:
            mass[END].append(one.log_weight + one.log_end)
    logs = [
        max(x) + math.log(math.fsum(math.exp(y - max(x)) for y in x)) if x else -math.inf
        for x in mass
    ]
    top = max(logs)
    total = top + math.log(math.fsum(math.exp(x - top) for x in logs))
    return np.array(logs) - total


@pytest.mark.parametrize("spread", [3.0, 300.0, 900.0])
@pytest.mark.parametrize("normalize", ["tokens", "bytes"])
def test_laws_are_the_mixture_over_tokens_however_unlikely(spread: float, normalize) -> None:
    rng = torch.Generator().manual_seed(3)
    logits = torch.randn(16, V, generator=rng, dtype=torch.float64) * spread
    for text in (b"", b"a", b"ab", b"aab", b"abcab"):
        heads, _ = weighed(logits, text, normalize)
        found, wanted = next_law(CANON, heads), by_hand(heads)
        assert (np.isfinite(found) == np.isfinite(wanted)).all()
        fine = np.isfinite(wanted)
        assert found[fine] == pytest.approx(wanted[fine], rel=1e-10, abs=1e-10)
        is_mild = all(one.is_mild for _, one in heads)
        assert is_mild or spread > 3


def test_many_heads_at_once_are_those_one_by_one(monkeypatch) -> None:
    rng = torch.Generator().manual_seed(4)
    logits = torch.randn(16, V, generator=rng)
    _, heads = weighed(logits, b"abcab")
    assert len(heads) > 3
    together = list(weighings(CANON, heads, logits[: len(heads)], LAW.stop_ids, "tokens"))
    monkeypatch.setattr(weighing, "_AT_ONCE", 1)
    alone = list(weighings(CANON, heads, logits[: len(heads)], LAW.stop_ids, "tokens"))
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.logits, other.logits)
        assert np.array_equal(one.p, other.p)
        assert (one.log_total, one.log_end) == (other.log_total, other.log_end)


def test_what_goes_on_holds_no_memory_of_the_rest() -> None:
    logits = torch.zeros(16, V)
    heads, _ = weighed(logits, b"ab")
    one: Weighing = heads[0][1]
    assert one.p.base is not None
    before = one.p.copy()
    assert one.by_itself().p.base is None
    assert np.array_equal(one.p, before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_laws_of_no_numbers_are_no_numbers(value: float) -> None:
    heads, _ = weighed(torch.full((16, V), value), b"a")
    assert np.isnan(next_law(CANON, heads)).all()


def test_what_patterns_match_is_kept_within_bounds() -> None:
    assert members(r"\d")[ord("7")]
    assert not members(r"\d")[ord("x")]
    assert members(r"\p{Lu}")[ord("Ä")]
    assert _matched.cache_info().maxsize is not None
    with pytest.raises(ValueError, match="read-only"):
        members(r"\d")[0] = True
