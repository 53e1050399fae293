"""Masks that stay on a device are the ones that were asked for, whatever came before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from guided.kernels import mask_table
from guided.kernels.mask_apply import pack_tokens
from guided.kernels.mask_table import Mask, MaskTable

CUDA = torch.cuda.is_available()
WORDS = 5


@pytest.fixture(params=["cpu", *[pytest.param("cuda", marks=pytest.mark.gpu)] * CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


def some(count: int, seed: int, read_only: bool = True) -> list[Mask]:
    words = np.random.default_rng(seed).integers(-(2**31), 2**31, (count, WORDS))
    masks = [row.astype(np.int32) for row in words]
    for mask in masks:
        mask.flags.writeable = not read_only
    return masks


def check(table: MaskTable, masks: list[Mask]) -> list[bool]:
    rows, forced = table.take(masks)
    assert rows.dtype == torch.int32
    assert np.array_equal(rows.cpu().numpy(), np.stack(masks))
    return forced


def test_masks_come_back_in_any_order_and_number(device, monkeypatch) -> None:
    monkeypatch.setattr(mask_table, "FIRST_BYTES", 16 * 4 * WORDS)
    table, chance = MaskTable(device, WORDS), np.random.default_rng(0)
    # More than there is room for: the table starts afresh, and grows.
    masks = some(60, 1)
    for count in (1, 3, 16, 2, 40, 8, 5, 60, 1, 60):
        check(table, [masks[at] for at in chance.integers(len(masks), size=count)])
    assert table.n_bytes < 4 * 60 * 4 * WORDS


def test_what_is_known_is_not_sent_again(device, monkeypatch) -> None:
    table, masks, sent = MaskTable(device, WORDS), some(6, 2), []
    send = MaskTable._send
    monkeypatch.setattr(
        MaskTable, "_send", lambda self, new, at: (sent.append(len(new)), send(self, new, at))
    )
    for chosen in (masks[:4], masks[:4] * 2, masks[2:], masks):
        check(table, chosen)
    assert sent == [4, 2]


def test_a_mask_that_may_change_is_sent_every_time(device) -> None:
    table, (mask,) = MaskTable(device, WORDS), some(1, 3, read_only=False)
    check(table, [mask])
    mask[:] = 7
    check(table, [mask, mask])


def test_it_tells_which_masks_leave_no_choice(device) -> None:
    width = 32 * WORDS
    one, two, none = (pack_tokens(tokens, width) for tokens in ([33], [0, 159], []))
    table = MaskTable(device, WORDS)
    assert check(table, [one, two, none, one]) == [True, False, False, True]
    assert check(table, [none, one]) == [False, True]


def test_tables_are_shared_and_bounded(device, monkeypatch) -> None:
    first = mask_table.mask_table(device, WORDS)
    assert mask_table.mask_table(device, WORDS) is first
    monkeypatch.setattr(mask_table, "LIMIT", 0)
    other = mask_table.mask_table(device, WORDS + 1)
    assert mask_table.n_bytes() == other.n_bytes
    assert mask_table.mask_table(device, WORDS) is not first
