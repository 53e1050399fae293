"""Calls of kernels that take many arrays, without numba's look at the type of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Direct:
    """A kernel that is always called with arguments of the same types.

    Whenever Python calls a kernel, numba looks at the types of all arguments to find the code that
    was compiled for them. For the eighty arrays that tell all of a canvas this takes longer (25 µs)
    than what many a call does. Only the first call looks; where it finds that the kernel
    was compiled for several types, all do.

    Args:
        kernel: an `entry` of `guided.kernels.compiling`. Arguments of other types than those of
            the first call are undefined behaviour.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self.kernel = kernel
        self._call: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """What the kernel returns."""
        if self._call is not None:
            return self._call(*arguments)
        result = self.kernel(*arguments)
        compiled = list(getattr(self.kernel, "overloads", {}).values())
        self._call = compiled[0].entry_point if len(compiled) == 1 else self.kernel
        return result
