"""How kernels are compiled: once for each machine, and kept on disk.

Compilation is what a first use waits for, so kernels keep it short:

* A number that changes in a loop and is passed to another kernel starts as `np.int64(0)`: numba
  first takes a plain 0 for a type of its own and compiles what it is passed to twice.
* A kernel is compiled with a copy of every kernel that it calls: large ones have few callers.
* What is never run or never copied is not made or kept, see `guided.kernels.code_libraries`.
* Numba's sorts, and assignments of one slice to another (which can fail with a long message),
  bring more code than a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit

from guided.kernels.code_libraries import PartCompiler, WholeCompiler

# Numba's stubs do not know all of these.
_SHARED_ENTRY: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}
shared_entry = cast(Callable[[Any], Any], njit(**_SHARED_ENTRY))
"""Compiles a function that Python and other kernels call; loading it takes longer."""

_ENTRY: dict[str, Any] = {**_SHARED_ENTRY, "pipeline_class": WholeCompiler}
entry = cast(Callable[[Any], Any], njit(**_ENTRY))
"""Compiles a function that only Python calls; it releases the interpreter lock while it runs."""

_INNER: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": True,
    "pipeline_class": PartCompiler,
}
inner = cast(Callable[[Any], Any], njit(**_INNER))
"""Compiles a function that only other kernels call: nothing is made for calls from Python."""

lean = cast(Callable[[Any], Any], njit(**{**_INNER, "_nrt": False}))
"""Like `inner`, for functions that make no arrays: references to arrays are not counted.

Counting is an atomic operation for every array of a tuple, which costs more than a short function.
What makes arrays and is called from here must be an `inner` function.
"""

folded = cast(Callable[[Any], Any], njit(**{**_INNER, "_nrt": False, "forceinline": True}))
"""Like `lean`, for short functions: they become part of what calls them.

A call with Rules and Memo passes two hundred numbers.
"""

opening = cast(Callable[[Any], Any], njit(**_INNER, forceinline=True))
"""Like `folded`, for functions that give back arrays."""

lean_entry = cast(Callable[[Any], Any], njit(**{**_ENTRY, "_nrt": False}))
"""Like `entry`, for functions that make no arrays."""
