"""What a model can do beyond plain decoding, found out by trying."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from guided.decoding.masks import Feed
from guided.decoding.network import Network
from guided.decoding.stage import Stage
from guided.decoding.trunks import Ledger, Place, Trunk
from guided.decoding.usage import Usage

#: Implementations that are known to ignore 4-D masks, or to stop the process.
_NO_MASKS = ("flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")


class Abilities(NamedTuple):
    """What works, and if not everything does, why.

    Attributes:
        trees: rows of different lengths in slots, and draft trees through a 4-D mask.
        prefixes: one copy of a prefix's keys and values for all rows that share it.
    """

    trees: bool
    prefixes: bool
    reason: str = ""


_FOUND: WeakKeyDictionary[object, tuple[str, Abilities]] = WeakKeyDictionary()


def abilities(network: Network) -> Abilities:
    """What `network` can do; a few tiny passes the first time, remembered for its model."""
    known = _FOUND.get(network.model)
    if known is None or known[0] != network.attention:
        known = network.attention, _try(network)
        _FOUND[network.model] = known
    return known[1]


def _try(network: Network) -> Abilities:
    if not network.has_cache:
        return Abilities(False, False, "the model has no cache of keys and values")
    if network.attention in _NO_MASKS:
        return Abilities(
            False, False, f"{network.attention} takes no tree masks; load the model with sdpa"
        )
    ids = [token % network.width for token in (1, 2, 3, 4, 5, 6)]
    try:
        wanted = [_plain(network, row) for row in (ids[:4], [*ids[:3], ids[5]], ids[1:4])]
        # How far apart laws are that belong to different texts.
        scale = max(_distance(wanted[0], wanted[1]), _distance(wanted[0], wanted[2]))
        tolerance = max(0.1 * scale, 1e-9)
        reason = _try_tree(network, ids, wanted, tolerance)
        if reason:
            return Abilities(False, False, reason)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        return Abilities(False, False, f"the model refuses a cache with slots: {error}")
    if network.window is not None:
        return Abilities(True, False, "models with sliding windows keep prefixes in every row")
    try:
        works = _try_prefix(network, ids, wanted[0], tolerance)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        return Abilities(True, False, f"the model refuses shared prefixes: {error}")
    reason = "" if works else "the model's attention is not the usual one"
    return Abilities(True, works, reason)


def _plain(network: Network, tokens: list[int]) -> Tensor:
    ids = torch.tensor([tokens], device=network.device)
    return network.forward(ids, None, None, None).logits[0, -1]


def _distance(left: Tensor, right: Tensor) -> float:
    """The largest difference of probabilities' logarithms, of those that matter."""
    a, b = left.double().log_softmax(-1), right.double().log_softmax(-1)
    likely = torch.maximum(a, b) > -12
    return float((a - b)[likely].abs().nan_to_num(posinf=1e9).max()) if likely.any() else 0.0


def _try_tree(network: Network, ids: list[int], wanted: list[Tensor], tolerance: float) -> str:
    """Reads two rows of different lengths and a tree; why it failed, "" if it worked."""
    stage = Stage(network, Usage(), Ledger(), shares=False)
    places = stage.read([ids[:2], ids[1:2]]).places
    # Row 0: the next token, then two that exclude each other; row 1: a chain of two.
    logits = stage.forward([Feed([ids[2], ids[5], ids[3]], [-1, 0, 0]), Feed.chain(ids[2:4])])
    found = [logits[0, 2], logits[0, 1], logits[1, 1]]
    if max(map(_distance, found, wanted)) > tolerance:
        return "the model gives other logits with 4-D masks and positions"
    # Take the excluded one back, and go on.
    stage.commit(0, [0, 2])
    stage.commit(1, [0, 1])
    after = stage.forward([Feed.chain(ids[4:5]), Feed.chain(ids[4:5])])
    expected = [_plain(network, ids[:5]), _plain(network, ids[1:5])]
    if max(map(_distance, after[:, 0], expected)) > tolerance:
        return "the model gives other logits after tokens were taken back"
    del places
    return ""


def _try_prefix(network: Network, ids: list[int], wanted: Tensor, tolerance: float) -> bool:
    """Whether two rows that share the keys and values of a prefix give the usual logits."""
    stage = Stage(network, Usage(), Ledger())
    stage.share_least = 0
    (place,) = stage.read([ids[:3]]).places
    stage.freeze(place)
    trunk = place.trunk
    if not isinstance(trunk, Trunk):
        return False
    trunk.share(1)
    pair = [Place(trunk=trunk), Place(trunk=trunk)]
    stage.arrange(pair)
    logits = stage.forward([Feed.chain(ids[3:4])] * 2)[:, 0]
    return max(_distance(row, wanted) for row in logits) <= tolerance
