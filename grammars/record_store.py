"""What outlives the process, in one file on disk: bytes by their keys.

A file is a sequence of records that are appended whole: MAGIC, the key, the number of bytes, a
checksum of all that, the bytes. Reading ends at the first record that is not whole, and what is
damaged is written anew. Nothing here fails: where the disk does not serve, all is made again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import struct
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from hashlib import blake2b, sha256
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from guided.grammars import disk_cache
from guided.grammars.fork_safe import PARSER, fork_safe

#: Bytes of one file; beyond them its older half is left out.
LIMIT = 64 << 20
SUFFIX = ".blocks"
#: Which form of file this code makes and reads.
FORMAT = 2
#: Seconds for which blocks are gathered before they are written.
_DELAY = 0.5
_MAGIC = b"guided\x01\n"
_HEAD = struct.Struct("<8s16sI16s")
_File = BinaryIO | FileIO
# Windows would write another end of line for what looks like one.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def hash_of_code(paths: Iterable[Path]) -> str | None:
    """A hash of files, as what other code has made is not read; None if they are not there."""
    digest = blake2b(digest_size=8)
    try:
        for path in paths:
            digest.update(path.read_bytes())
    except OSError:
        return None
    return f"{FORMAT}-{digest.hexdigest()}"


class RecordStore:
    """Bytes that some process has kept before. Thread-safe.

    Args:
        stem: how the name of the file begins.
        version: tells the code that makes the bytes; None: nothing is kept. Asked for once.
        name: tells what else the bytes depend on.
    """

    def __init__(self, stem: str, version: Callable[[], str | None], name: str) -> None:
        self._stem = stem
        self._version = version
        self._name = name
        self._lock = fork_safe(threading.Lock(), PARSER)
        self._path: Path | None = None
        self._where = ""
        self._is_open = False
        # Where the records of the file stand that was read, and their lengths.
        self._places: dict[bytes, tuple[int, int]] = {}
        self._identity: tuple[int, int] | None = None
        self._is_damaged = False
        self._pending: dict[bytes, bytes] = {}
        self._writer: threading.Thread | None = None

    def load(self, key: object) -> bytes | None:
        """The bytes of a key; None where no whole ones are on disk."""
        name = _digest(key)
        with self._lock:
            self._open()
            if name not in self._places or self._path is None:
                return None
            try:
                # Without a buffer: one record is read, at once.
                with open(self._where, "rb", buffering=0) as file:
                    if self._is_other(file):
                        self._read(file)
                    record = _record_at(file, self._places.get(name))
            except OSError:
                return None
            if record is None:
                return None
            data = _whole(record, name)
            if data is None:
                self._places, self._is_damaged = {}, True
                warnings.warn(
                    f"{self._path} is damaged: it is not read, and will be written anew",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return None
        return data

    def save(self, key: object, data: bytes) -> None:
        """Has bytes written soon, by another thread."""
        name = _digest(key)
        with self._lock:
            self._open()
            if self._path is None or name in self._places:
                return
            self._pending[name] = data
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(target=self._write_soon, daemon=True)
                self._writer.start()

    def flush(self) -> None:
        """Writes what is not written yet."""
        with self._lock:
            pending, self._pending = self._pending, {}
            if pending and self._path is not None:
                with contextlib.suppress(OSError):
                    self._write(self._path, pending)

    def _open(self) -> None:
        """Finds out what the file holds, once."""
        if self._is_open:
            return
        self._is_open = True
        folder, version = disk_cache.folder(), self._version()
        if folder is None or version is None:
            return
        self._path = folder / f"{self._stem}-{version}-{self._name}{SUFFIX}"
        self._where = str(self._path)
        atexit.register(self.flush)
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            self._read(file)
            os.utime(self._path)  # a folder that is read-only is as good to read

    def _is_other(self, file: _File) -> bool:
        """Whether another process has put another file in the place of the one that was read."""
        facts = os.fstat(file.fileno())
        return self._identity != (facts.st_dev, facts.st_ino)

    def _read(self, file: _File) -> None:
        """Finds the records of a file."""
        facts = os.fstat(file.fileno())
        self._identity = facts.st_dev, facts.st_ino
        self._places, at = {}, 0
        while at < facts.st_size:
            file.seek(at)
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size or not head.startswith(_MAGIC):
                break
            _, name, length, _ = _HEAD.unpack(head)
            if at + _HEAD.size + length > facts.st_size:
                break
            self._places[name] = at, length
            at += _HEAD.size + length
        # A process that was killed may have left half a record.
        self._is_damaged = at < facts.st_size

    def _write_soon(self) -> None:
        time.sleep(_DELAY)
        self.flush()

    def _write(self, path: Path, pending: dict[bytes, bytes]) -> None:
        records = b"".join(_record(name, data) for name, data in pending.items())
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else 0
        if not self._is_damaged and size + len(records) <= LIMIT:
            # In one call, so that nothing of another process comes between.
            handle = os.open(path, _APPEND, 0o600)
            try:
                self._is_damaged = os.write(handle, records) < len(records)
                self._note(handle, pending, len(records))
            finally:
                os.close(handle)
        else:
            _replace(path, [*self._newest(path, LIMIT // 2 - len(records)), records])
            self._is_damaged = False
        disk_cache.trim(path.parent)

    def _note(self, handle: int, pending: dict[bytes, bytes], length: int) -> None:
        """Knows what was just written, if it went to the file that was read."""
        facts = os.fstat(handle)
        identity = facts.st_dev, facts.st_ino
        if self._identity not in (None, identity) or self._is_damaged:
            return
        self._identity = identity
        at = os.lseek(handle, 0, os.SEEK_CUR) - length
        for name, data in pending.items():
            self._places[name] = at, len(data)
            at += _HEAD.size + len(data)

    def _newest(self, path: Path, room: int) -> list[bytes]:
        """The last records of those that were whole when the file was read, oldest first."""
        kept: list[bytes] = []
        with path.open("rb") as file:
            if self._is_other(file):
                self._read(file)
            for place in sorted(self._places.values(), reverse=True):
                room -= _HEAD.size + place[1]
                if room < 0:
                    break
                kept.append(_record_at(file, place) or b"")
        return kept[::-1]


def _record_at(file: _File, place: tuple[int, int] | None) -> bytes | None:
    if place is None:
        return None
    file.seek(place[0])
    return file.read(_HEAD.size + place[1])


def _digest(key: object) -> bytes:
    return blake2b(repr(key).encode(), digest_size=16).digest()


def _check(name: bytes, data: bytes) -> bytes:
    # Processors of today work out this one fastest of those that find every damage.
    digest = sha256(name, usedforsecurity=False)
    digest.update(data)
    return digest.digest()[:16]


def _record(name: bytes, data: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, name, len(data), _check(name, data)) + data


def _whole(record: bytes, name: bytes) -> bytes | None:
    """The bytes of a record; None where it is not the whole record of that name."""
    if len(record) < _HEAD.size:
        return None
    magic, found, length, check = _HEAD.unpack_from(record)
    data = record[_HEAD.size :]
    is_whole = (magic, found, length) == (_MAGIC, name, len(data))
    return data if is_whole and check == _check(name, data) else None


def _replace(path: Path, records: Iterable[bytes]) -> None:
    handle, made = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(records)
        os.replace(made, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(made)
        raise
