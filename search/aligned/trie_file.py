"""Prefix tries in a file: written whole or not at all, read back exactly or refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import InputError
from guided.search.aligned.prefix_trie import Node, PrefixTrie
from guided.search.aligned.trie_key import TrieKey

KIND = "guided prefix tries"
VERSION = 1
Arrays = dict[str, NDArray[Any]]


def save_tries(path: str | Path, tries: Mapping[TrieKey, PrefixTrie]) -> None:
    """Writes tries to a file; an old one stays as it is until the new one is whole.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    arrays: Arrays = {}
    told = []
    for number, (key, trie) in enumerate(tries.items()):
        arrays |= {f"{number}.{name}": array for name, array in _flat(trie).items()}
        bank = {"attempts": trie.attempts, "total": trie.total, "squares": trie.squares}
        told.append({"key": key.told(), "bank": bank})
    header = {"kind": KIND, "version": VERSION, "tries": told, "digest": _digest(arrays, told)}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    # In the same folder, so that renaming replaces the old file at once.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_tries(path: str | Path) -> dict[TrieKey, PrefixTrie]:
    """The tries of a file.

    Raises:
        OSError: the file cannot be opened.
        InputError: it is damaged, holds something else, or is of another version.
    """
    damaged = f"{path} is no whole file of prefix tries"
    data = Path(path).read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        kind, version = header["kind"], header["version"]
    except Exception as error:
        # Of damaged bytes zipfile, zlib and numpy raise whatever the damage makes them meet.
        raise InputError(f"{damaged}: {error}") from error
    if kind != KIND:
        raise InputError(f"{damaged}, but {kind!r}")
    if version != VERSION:
        raise InputError(
            f"{path} was written in version {version!r} of the format, this is {VERSION}; "
            "learn the tries anew"
        )
    if header.get("digest") != _digest(arrays, header.get("tries")):
        raise InputError(f"{damaged}: its contents have changed since they were written")
    found = {}
    for number, each in enumerate(header["tries"]):
        own = {name.partition(".")[2]: array for name, array in arrays.items()
               if name.partition(".")[0] == str(number)}  # fmt: skip
        trie = _grown(own)
        trie.attempts, trie.total, trie.squares = (
            each["bank"][name] for name in ("attempts", "total", "squares")
        )
        found[TrieKey.read(each["key"])] = trie
    return found


def _digest(arrays: Mapping[str, NDArray[Any]], told: Any) -> str:
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _flat(trie: PrefixTrie) -> Arrays:
    """What a trie knows; bounds follow from it. Equal tries give equal arrays."""
    numbers: dict[int, int] = {}
    parents, tokens, logs, ends = [], [], [], []
    for number, node in enumerate(trie.nodes()):
        numbers[id(node)] = number
        parents.append(-1 if node.parent is None else numbers[id(node.parent)])
        tokens.append(node.token)
        logs.append((node.log_p, node.log_rest, node.log_cap))
        ends += [(number, token, node.ends[token]) for token in sorted(node.ends)]
    return {
        "parents": np.array(parents, np.int64),
        "tokens": np.array(tokens, np.int64),
        "logs": np.array(logs, np.float64),
        "end_nodes": np.array([end[0] for end in ends], np.int64),
        "end_tokens": np.array([end[1] for end in ends], np.int64),
        "end_logs": np.array([end[2] for end in ends], np.float64),
    }


def _grown(arrays: Arrays) -> PrefixTrie:
    """The trie of what `_flat` gave."""
    trie = PrefixTrie()
    nodes: list[Node] = []
    rows: Iterable[tuple[int, int, tuple[float, float, float]]] = zip(
        arrays["parents"].tolist(), arrays["tokens"].tolist(), arrays["logs"].tolist(), strict=True
    )
    for parent, token, (log_p, log_rest, log_cap) in rows:
        if parent < 0:
            node = trie.root
            node.log_cap = log_cap
        else:
            node = Node(nodes[parent], token, log_p, log_cap)
            nodes[parent].children[token] = node
        node.log_rest = log_rest
        nodes.append(node)
    for at, token, log_p in zip(
        arrays["end_nodes"].tolist(),
        arrays["end_tokens"].tolist(),
        arrays["end_logs"].tolist(),
        strict=True,
    ):
        nodes[at].ends[token] = log_p
    trie.size = len(nodes)
    trie.refresh_all()
    return trie


__all__ = ["KIND", "VERSION", "load_tries", "save_tries"]
