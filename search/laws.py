"""What the model has said after the prefixes of a prompt, for draws that come there again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

#: Bytes of logits that are kept for one prompt.
MEMORY = 1 << 26


class Laws:
    """The raw logits after prefixes of one prompt; those unused for longest are forgotten.

    Args:
        limit: most bytes.
    """

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit = limit
        self.n_bytes = 0
        self._known: OrderedDict[tuple[int, ...], list[Tensor]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def after(self, tokens: Sequence[int]) -> list[Tensor] | None:
        """The logits `[V]` after these tokens, of the model and auxiliary ones; None: unknown."""
        key = tuple(tokens)
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def keep(self, tokens: Sequence[int], logits: Sequence[Tensor]) -> None:
        """Remembers copies of the logits, unless something is known already."""
        key = tuple(tokens)
        if key in self._known:
            return
        # Views would keep all of a pass.
        self._known[key] = [each.clone() for each in logits]
        self.n_bytes += sum(each.nbytes for each in logits)
        while self.n_bytes > self.limit:
            _, dropped = self._known.popitem(last=False)
            self.n_bytes -= sum(each.nbytes for each in dropped)
