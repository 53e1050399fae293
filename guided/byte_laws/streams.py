"""Texts that grow byte by byte, in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.byte_laws.canon import Canon
from guided.byte_laws.fronts import Front, Head, advanced
from guided.byte_laws.spelling import END, N_SYMBOLS
from guided.byte_laws.weighing import Weighing, next_law, weighings
from guided.decoding.branch import Branch
from guided.errors import DeadEndError, InputError, OutOfMemoryError

if TYPE_CHECKING:
    from guided.byte_laws.byte_law import ByteLaw


class Stream:
    """One text: what covers it, and how likely that is.

    Attributes:
        front: what covers the text.
        branch: of the first head, until it is weighed.
        weighed: the heads' weighings.
        log_p: log-probability of each symbol that was pushed.
        is_over: whether the end was pushed.
    """

    def __init__(self, canon: Canon, front: Front, branch: Branch) -> None:
        self.canon, self.front, self.branch = canon, front, branch
        self.weighed: dict[Head, Weighing] = {}
        self.log_p: list[float] = []
        self.is_over = False
        self._law: NDArray[np.float64] | None = None

    @property
    def heads(self) -> list[Head]:
        """Those of the front."""
        return [head for head, _ in self.front]

    def law(self) -> NDArray[np.float64]:
        """The log law `[257]` of the next symbol.

        Raises:
            DeadEndError: nothing can follow.
        """
        if self._law is None:
            self._law = np.full(N_SYMBOLS, -np.inf)
            self._law[END] = 0.0
            if not self.is_over:
                heads = [(some, self.weighed[head]) for head, some in self.front]
                found = next_law(self.canon, heads)
                if found is None:
                    raise DeadEndError("no byte can follow under this model", len(self.log_p))
                self._law = found
        return self._law

    def push(self, symbol: int) -> list[tuple[Head, Weighing]]:
        """Goes on by a symbol; the heads that are to be weighed, with their parents' weighings."""
        self.log_p.append(float(self.law()[symbol]))
        self._law = None
        if symbol == END:
            self.is_over = True
            self.front = ()
            return []
        canon = self.canon
        front, ended = advanced(canon, self.front, symbol)
        new = [
            (head, self.weighed[head.parent])
            for head in ended
            if head.parent is not None
            and self.weighed[head.parent].log_p_of(canon, head.token) > -np.inf
        ]
        fresh = {head for head, _ in new}
        self.front = tuple(
            (head, some)
            for head, some in front
            if head in fresh
            or (head in self.weighed and self.weighed[head].goes_on(canon.spelling, some))
        )
        return new

    def forget(self) -> None:
        """Lets go of the heads that have gone, and of the model's memory of them."""
        for head in self.weighed.keys() - set(self.heads):
            branch = self.weighed.pop(head).branch
            if branch is not None:
                branch.finish("closed")


class ByteStreams:
    """Texts under one model. A pass of the model serves all of them; see `ByteLaw`."""

    def __init__(self, owner: ByteLaw, streams: Sequence[Stream]) -> None:
        self._owner, self._streams = owner, list(streams)
        for stream in self._streams:
            (head,) = stream.heads
            self._weigh(stream, head, stream.branch, 0.0)

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def log_p(self) -> list[tuple[float, ...]]:
        """For each text, the log-probability of every symbol that was pushed."""
        return [tuple(stream.log_p) for stream in self._streams]

    @property
    def is_over(self) -> list[bool]:
        """For each text, whether its end was pushed."""
        return [stream.is_over for stream in self._streams]

    @property
    def n_tokens(self) -> list[int]:
        """For each text, the most tokens, prompt included, that the model has read of it."""
        return [
            max((len(one.branch.text) for one in stream.weighed.values() if one.branch), default=0)
            for stream in self._streams
        ]

    def law(self) -> Tensor:
        """The log-probabilities `[n, 257]` in float64 of the next byte; column 256: the text ends.

        An ended text only ends.

        Raises:
            DeadEndError: the model gives no mass to anything that could follow.
        """
        return torch.from_numpy(np.stack([stream.law() for stream in self._streams]))

    def push(self, symbols: Sequence[int | None]) -> None:
        """Goes on by one symbol of each text: a byte, 256 for its end, or None: it waits.

        Raises:
            InputError: what is no symbol, one that cannot follow, or a count that differs. Nothing
                has changed then.
        """
        if len(symbols) != len(self):
            raise InputError(f"{len(symbols)} symbols for {len(self)} texts; give one for each")
        moving = [(s, x) for s, x in zip(self._streams, symbols, strict=True) if x is not None]
        for stream, symbol in moving:
            if not 0 <= symbol < N_SYMBOLS:
                raise InputError(f"{symbol} is no byte, and not {END} for the end")
            if stream.law()[symbol] == -np.inf:
                what = "the end" if symbol == END else f"byte {symbol:#04x}"
                raise InputError(f"{what} cannot follow at position {len(stream.log_p)}")
        self._read([(s, head, parent) for s, x in moving for head, parent in s.push(x)])
        for stream, _ in moving:
            stream.forget()

    def read(self, texts: Sequence[bytes]) -> None:
        """Goes on by several bytes of each text."""
        for at in range(max(map(len, texts), default=0)):
            self.push([text[at] if at < len(text) else None for text in texts])

    def close(self) -> None:
        """Gives the models' memory of all texts back."""
        for stream in self._streams:
            stream.front = ()
            stream.forget()

    def _read(self, new: Sequence[tuple[Stream, Head, Weighing]]) -> None:
        """Has the model read the last tokens of new heads, all in one pass."""
        if not new:
            return
        decoder, branches = self._owner.decoder, []
        heirs = {id(parent): at for at, (_, _, parent) in enumerate(new)}
        for at, (stream, head, parent) in enumerate(new):
            if parent.branch is None:
                raise ValueError("this head's memory was given away")
            if head.parent in stream.heads or heirs[id(parent)] != at:
                branches += decoder.fork(parent.branch)
            else:
                # The parent is done; its memory goes over to its last child.
                branches.append(parent.branch)
                parent.branch = None
        decoder.append(branches, [head.token for _, head, _ in new])
        decoder.extend(branches, until=lambda branch: True)
        canon = self._owner.canon
        for (stream, head, parent), branch in zip(new, branches, strict=True):
            weight = parent.log_weight + parent.log_p_of(canon, head.token)
            self._weigh(stream, head, branch, weight)

    def _weigh(self, stream: Stream, head: Head, branch: Branch, log_weight: float) -> None:
        if branch.logits is None:
            if branch.finish_reason == "interrupt":
                raise KeyboardInterrupt
            raise OutOfMemoryError("no room for the keys and values of one more token")
        owner, logits = self._owner, branch.logits[0][None]
        (one,) = weighings(owner.canon, [head], logits, owner.stop_ids, owner.normalize)
        one.log_weight, one.branch = log_weight, branch
        stream.weighed[head] = one
