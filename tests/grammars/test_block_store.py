"""Blocks of masks on disk: what one process has made the next one reads, or makes again."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from guided.grammars import block_store, disk_cache, record_store
from guided.grammars.block_store import BlockStore
from guided.grammars.kept_masks import KeptMasks

ROOT = Path(__file__).parents[2]
BLOCKS = {(b"content", n): np.arange(n, n + 900, dtype=np.int32) for n in range(5)}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path / "made"))
    return tmp_path / "made"


def store() -> BlockStore:
    """As a new process has it."""
    return BlockStore("words")


def written(blocks: dict[tuple[bytes, int], np.ndarray] = BLOCKS) -> BlockStore:  # type: ignore[type-arg]
    one = store()
    for key, block in blocks.items():
        one.save(key, block)
    one.flush()
    return one


def found(one: BlockStore) -> list[int]:
    """The numbers of the blocks that are there, all of which must be the right ones."""
    there = []
    for key, block in BLOCKS.items():
        loaded = one.load(key)
        if loaded is not None:
            assert np.array_equal(loaded, block)
            there.append(key[1])
    return there


def test_another_process_finds_what_was_written(kept: Path) -> None:
    written()
    assert found(store()) == [0, 1, 2, 3, 4]
    assert store().load((b"other", 0)) is None
    assert BlockStore("other words").load((b"content", 0)) is None
    assert [path.suffix for path in kept.iterdir()] == [record_store.SUFFIX]


def test_blocks_are_written_by_themselves_soon(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_store, "_DELAY", 0.01)
    one = store()
    for key, block in BLOCKS.items():
        one.save(key, block)
    assert one._records._writer is not None
    one._records._writer.join()
    assert found(store()) == [0, 1, 2, 3, 4]


def test_what_is_known_is_not_written_twice(kept: Path) -> None:
    written()
    (path,) = kept.iterdir()
    size = path.stat().st_size
    written()
    assert path.stat().st_size == size


def test_other_code_makes_other_blocks(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    monkeypatch.setattr(block_store, "code_version", lambda: "1-other")
    assert found(store()) == []
    monkeypatch.setattr(block_store, "code_version", lambda: None)
    written()
    assert found(store()) == []
    assert len(list(kept.iterdir())) == 1


def test_a_damaged_file_is_told_of_and_written_anew(kept: Path) -> None:
    written()
    (path,) = kept.iterdir()
    whole, rng = path.read_bytes(), random.Random(3)
    for number in range(60):
        damaged = bytearray(whole)
        if number % 3 == 0:
            del damaged[rng.randrange(1, len(whole)) :]
        else:
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        one = store()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            there = found(one)
            assert all("damaged" in str(warning.message) for warning in told)
            assert not told or found(one) == []
        assert len(there) < 5
        for key, block in BLOCKS.items():
            one.save(key, block)
        one.flush()
        assert found(store()) == [0, 1, 2, 3, 4]


def test_a_file_is_bounded_and_keeps_the_newest(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "LIMIT", 15_000)
    for key, block in BLOCKS.items():
        written({key: block})
        (path,) = kept.iterdir()
        assert path.stat().st_size <= 15_000
    there = found(store())
    assert there
    assert there == list(range(there[0], 5))
    assert len(there) < 5


def test_all_files_together_are_bounded(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    (old,) = kept.iterdir()
    os.utime(old, (1, 1))
    monkeypatch.setattr(disk_cache, "LIMIT", 30_000)
    other = BlockStore("other words")
    for key, block in BLOCKS.items():
        other.save(key, block)
    other.flush()
    assert not old.exists()
    assert found(BlockStore("other words")) == [0, 1, 2, 3, 4]


def test_another_file_in_the_same_place_is_looked_at_anew(kept: Path) -> None:
    reader = written()
    other = store()
    assert found(other) == [0, 1, 2, 3, 4]
    # Rewritten without the others.
    other._records._is_damaged, other._records._places = True, {}
    other.save((b"new", 1), np.zeros(9, np.int32))
    other.flush()
    assert found(reader) == []
    assert reader.load((b"new", 1)) is not None


def test_a_process_reads_what_it_has_written_itself(kept: Path) -> None:
    one = written({(b"content", 3): BLOCKS[b"content", 3]})
    assert found(one) == [3]
    written()
    one.save((b"content", 4), BLOCKS[b"content", 4])
    one.flush()
    assert found(one) == [3, 4]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_no_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    written({(b"content", 0): BLOCKS[b"content", 0]})

    def refuse(*given: object, **named: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        for name in ("write", "utime", "replace"):
            patch.setattr(os, name, refuse)
        assert found(written()) == [0]
    assert found(store()) == [0]


def test_half_a_record_of_a_full_disk_is_cut_off_by_the_next(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: whole(handle, data[:5000]))
        written()
    one = store()
    assert found(one) == [0]
    for key, block in BLOCKS.items():
        one.save(key, block)
    one.flush()
    assert found(store()) == [0, 1, 2, 3, 4]


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disk_cache.VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    assert found(written()) == []
    assert not list(tmp_path.iterdir())


def test_masks_take_blocks_from_the_disk_and_bring_them_there(kept: Path) -> None:
    masks = KeptMasks(900, store=store())
    for key, block in BLOCKS.items():
        assert masks.block(key) is None
        masks.keep_block(key, block)
    assert masks._store is not None
    masks._store.flush()
    again = KeptMasks(900, store=store())
    for key, block in BLOCKS.items():
        assert np.array_equal(again.block(key), block)  # type: ignore[arg-type]
    assert again.n_bytes == masks.n_bytes


def test_threads_and_processes_write_whole_records(kept: Path) -> None:
    code = (
        "import numpy as np\n"
        "from guided.grammars.block_store import BlockStore\n"
        "for n in range(5):\n"
        "    one = BlockStore('words')\n"
        "    one.save((b'content', n), np.arange(n, n + 900, dtype=np.int32))\n"
        "    one.flush()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment) for _ in range(2)
    ]
    threads = [threading.Thread(target=written) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    one = store()
    assert found(one) == [0, 1, 2, 3, 4]
    assert not one._records._is_damaged
