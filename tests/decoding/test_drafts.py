"""Drafts as lists and as arrays, and keys and values that are moved after a pass."""

from __future__ import annotations

import pytest
import torch

from guided.decoding.drafts import ROOT, Draft
from guided.decoding.slots import SlotCache, Window


def test_a_draft_of_arrays_is_the_draft_of_lists() -> None:
    wanted = Draft([5, 6, 7], [ROOT, 0, ROOT], [0.5, 0.25, 0.125], ["one", "two", "one"])
    numbers, chances = wanted.nodes
    found = Draft.of(numbers, chances)
    assert len(found) == 3
    assert found == wanted
    assert found.nodes.numbers is numbers


def test_a_node_added_to_a_draft_of_arrays_is_in_both_forms() -> None:
    draft = Draft.of(*Draft([5], [ROOT], [0.5], ["one"]).nodes)
    assert draft.add(9, 0, 0.75, "two") == 1
    assert (draft.tokens, draft.parents, draft.sources) == ([5, 9], [ROOT, 0], ["one", "two"])
    assert draft.nodes.numbers[:, :2].tolist() == [[5, ROOT], [9, 0]]
    assert draft.nodes.chances.tolist() == [0.5, 0.75]
    assert draft != Draft([5], [ROOT], [0.5], ["one"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_moved_slots_hold_what_the_sources_held(dtype: torch.dtype) -> None:
    cache = SlotCache()
    cache.aim(Window(0, 2, 6, 0))
    keys = torch.arange(2 * 3 * 6 * 4).reshape(2, 3, 6, 4).to(dtype)
    cache.update(keys, -keys, 0)
    # Twice, with buffers that have grown in between.
    cache.compact(1, [3, 5], 2)
    cache.reserve(3, 40)
    cache.compact(1, [3], 1)
    wanted = keys[1][:, [0, 5, 3, 5]]
    assert torch.equal(cache.slots[0].keys[1, :, :4], wanted)
    assert torch.equal(cache.slots[0].values[1, :, :4], -wanted)
    assert torch.equal(cache.slots[0].keys[0, :, :6], keys[0])
