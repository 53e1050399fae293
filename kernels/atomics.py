"""Numbers that several threads read and write at once."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The address of an element of a contiguous array."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


def _exchange(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        return builder.atomic_rmw("xchg", place, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


def _peek(typing_context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, types.int64), generate


def _release(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], place, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


def _swap(typing_context, array, index, old, new):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        found = builder.cmpxchg(place, arguments[2], arguments[3], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(array, types.int64, types.int64, types.int64), generate


def _publish(typing_context):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.fence("release")
        return context.get_dummy_value()

    return types.void(), generate


def _pause(typing_context):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        # Other machines do without.
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            pause = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module, kind, name
            )
            builder.call(pause, [])
        return context.get_dummy_value()

    return types.void(), generate


exchange = cast(Callable[[Any, Any, Any], Any], intrinsic(_exchange))
"""Writes a value into an int64[...] and returns what was there before."""

swap = cast(Callable[[Any, Any, Any, Any], Any], intrinsic(_swap))
"""Writes a new value into an int64[...] where the old one is; whether it was."""

peek = cast(Callable[[Any, Any], Any], intrinsic(_peek))
"""The value in an int64[...], read anew."""

release = cast(Callable[[Any, Any, Any], Any], intrinsic(_release))
"""Writes a value into an int64[...]; who sees it sees all that was written before."""

pause = cast(Callable[[], Any], intrinsic(_pause))
"""Tells the core that this thread looks at a number again and again."""

publish = cast(Callable[[], Any], intrinsic(_publish))
"""Who sees what is written from here on sees all that was written before."""
