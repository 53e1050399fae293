"""How full the caches of grammars and masks are, and what bounds them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from guided.grammars import kept_masks, memo, memo_room, token_engine
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import kept_scalars
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import mask_table


class CacheFacts(NamedTuple):
    """One cache.

    Attributes:
        name: the function or the object whose results are kept.
        held: how many entries, or bytes, there are; `limit`: how many there may be.
        unit: "entries" or "bytes".
    """

    name: str
    held: int
    limit: int
    unit: str


def cache_report(vocabulary: Vocabulary | None = None, *grammars: Grammar) -> list[CacheFacts]:
    """Every cache that outlives a call: those of the process, of a vocabulary and of grammars.

    A grammar's caches, and a vocabulary's, go with it.
    """
    found = sorted(_functions())
    found.append(CacheFacts("scalars of earlier schemas", *kept_scalars.n_kept(), "entries"))
    found.append(CacheFacts("memory of earlier parsers", *memo_room.n_free(), "entries"))
    on_devices = mask_table.n_bytes(), mask_table.LIMIT
    found.append(CacheFacts("masks on devices", *on_devices, "bytes"))
    if vocabulary is not None:
        held = vocabulary.kept_masks.n_bytes
        found.append(CacheFacts("masks of the vocabulary", held, 2 * kept_masks.LIMIT, "bytes"))
    for grammar in grammars:
        for engine in list(grammar._engines.values()):
            masks, steps = engine.n_bytes, engine.parser.n_bytes
            found.append(CacheFacts(f"masks of {grammar}", masks, token_engine.MASK_LIMIT, "bytes"))
            found.append(CacheFacts(f"memo of {grammar}", steps, memo.MEMO_LIMIT, "bytes"))
    return found


def _functions() -> Iterator[CacheFacts]:
    """The functions of guided.grammars whose results are kept."""
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if not name.startswith("guided.grammars"):
            continue
        for value in vars(module).values():
            if id(value) in seen or not hasattr(value, "cache_info"):
                continue
            seen.add(id(value))
            facts = value.cache_info()
            # Without a limit: a function without arguments.
            limit = facts.currsize if facts.maxsize is None else facts.maxsize
            full = f"{value.__module__}.{value.__qualname__}"
            yield CacheFacts(full, facts.currsize, limit, "entries")
