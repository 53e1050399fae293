"""Compiled grammars on disk, where they outlive the process: by what they are made of.

What a parser needs is kept: the flat tables and the marks. The rules that they were compiled from
are made again where somebody asks for them.
"""

from __future__ import annotations

import json
import struct
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from guided.grammars import disk_cache
from guided.grammars.free_group import FreeGroup, Way
from guided.grammars.grammar import Grammar
from guided.grammars.ir import GrammarSpec
from guided.grammars.marks import Marks
from guided.grammars.record_store import RecordStore, hash_of_code
from guided.kernels import memo_arrays
from guided.kernels.memo_arrays import Rules

#: Bytes of one grammar, packed, beyond which it is not kept.
LARGEST = 4 << 20
_KERNELS = ("automata*.py", "rule_tables.py", "liveness.py", "memo_arrays.py", "lexemes.py")
_HEAD = struct.Struct("<I")
# What is unpacked is read in place: 64-bit numbers have to lie where such numbers may.
_ALIGNED = 8


_anew: ContextVar[bool] = ContextVar("compiled anew", default=False)


@contextmanager
def compiled_anew() -> Iterator[None]:
    """Inside, grammars are compiled whatever is on disk, and none are kept there."""
    token = _anew.set(True)
    try:
        yield
    finally:
        _anew.reset(token)


def kept(
    content: tuple[object, ...],
    make: Callable[[], GrammarSpec],
    *,
    source: str,
    is_whole: Callable[[], bool] = lambda: True,
) -> Grammar:
    """The grammar of what `make` returns, from disk where it was kept.

    Args:
        content: all that the rules depend on, beside the code: texts, numbers, bytes.
        make: is called later, too, where somebody asks for the rules of a grammar from disk.
        source: of the grammar, for messages.
        is_whole: after `make`, whether there is nothing to say of the grammar that would have to
            be said again.
    """
    if _anew.get():
        return Grammar(make(), source=source)
    store = _store(disk_cache.folder())
    key = tuple(_brief(part) for part in content)
    data = store.load(key)
    if data is not None:
        return Grammar.from_tables(*unpacked(data), make, source=source)
    grammar = Grammar(make(), source=source)
    if is_whole():
        packed_grammar = packed(grammar.rules, grammar.marks)
        if len(packed_grammar) <= LARGEST:
            store.save(key, packed_grammar)
    return grammar


def _brief(part: object) -> object:
    """What stands for a part in a key; long texts are not written out."""
    if isinstance(part, str):
        part = part.encode("utf-8", "surrogatepass")
    return blake2b(part, digest_size=16).digest() if isinstance(part, bytes) else part


def flush() -> None:
    """Writes what is not written yet."""
    _store(disk_cache.folder()).flush()


@lru_cache(maxsize=4)
def _store(_where: Path | None) -> RecordStore:
    python = ".".join(map(str, sys.version_info[:3]))
    name = f"{python}-{unicodedata.unidata_version}"
    return RecordStore("grammars", lambda: code_version(), name)


@cache
def code_version() -> str | None:
    """A hash of the code that makes grammars; None if it is not there."""
    kernels, grammars = Path(str(memo_arrays.__file__)).parent, Path(__file__).parent
    paths = sorted(grammars.rglob("*.py"))
    for pattern in _KERNELS:
        paths += sorted(kernels.glob(pattern))
    return hash_of_code(paths)


def packed(rules: Rules, marks: Marks) -> bytes:
    """Tables and marks as bytes."""
    head = json.dumps(
        {
            "arrays": [(array.dtype.str, array.shape) for array in rules],
            "free_text": sorted(marks.free_text),
            "distinct": sorted(marks.distinct),
            "scarce": list(marks.scarce.items()),
            "any_order": list(marks.any_order.items()),
        },
        separators=(",", ":"),
    ).encode()
    parts = [_HEAD.pack(len(head)), head]
    size = _HEAD.size + len(head)
    for array in rules:
        gap = -size % _ALIGNED
        parts += [bytes(gap), array.tobytes()]
        size += gap + array.nbytes
    return zlib.compress(b"".join(parts), 1)


def unpacked(data: bytes) -> tuple[Rules, Marks]:
    """What `packed` has made bytes of."""
    # Kernels are compiled for arrays that may be written, as these are where they are made.
    whole = bytearray(zlib.decompress(data))
    (length,) = _HEAD.unpack_from(whole)
    at = _HEAD.size + length
    head: dict[str, Any] = json.loads(whole[_HEAD.size : at])
    arrays = []
    for kind, shape in head["arrays"]:
        at += -at % _ALIGNED
        dtype = np.dtype(kind)
        count = prod(shape)
        array = np.frombuffer(whole, dtype, count, at) if count else np.zeros(0, dtype)
        arrays.append(array.reshape(shape))
        at += array.nbytes
    any_order = {
        home: FreeGroup(
            tuple(required), least, most, tuple(Way(*way) for way in ways), separator, end
        )
        for home, (required, least, most, ways, separator, end) in head["any_order"]
    }
    marks = Marks(
        frozenset(head["free_text"]), frozenset(head["distinct"]), dict(head["scarce"]), any_order
    )
    return Rules(*arrays), marks
