"""What is kept on disk between processes: whole, bounded, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from guided.grammars import disk_cache, vocabulary
from guided.grammars.token_tries import TokenTries
from guided.grammars.vocabulary import Vocabulary

TOKENS = [b"a", b"ab", b'"', "é".encode(), b"\xc3", b"b c", b"x" * 70, b"a", None, b"<s>"]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty; every vocabulary is large enough."""
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path / "kept"))
    monkeypatch.setattr(vocabulary, "_LARGE", 1)
    return tmp_path / "kept"


def fresh(stop: int = 9) -> Vocabulary:
    return Vocabulary.from_tokens(TOKENS, stop_ids=[stop])


def equal(one: TokenTries, other: TokenTries) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(self: Vocabulary) -> TokenTries:
        raise AssertionError("made again")

    monkeypatch.setattr(Vocabulary, "_make_tries", make)


def test_a_second_process_reads_what_the_first_has_made(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fresh().tries
    forbid(monkeypatch)
    assert equal(fresh().tries, made)
    with pytest.raises(AssertionError, match="made again"):
        _ = fresh(stop=0).tries


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "shape"])
def test_a_damaged_file_is_made_again(kept: Path, damage: str) -> None:
    made = fresh().tries
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other":
        path.write_bytes(b"not an archive" * 50)
    else:
        arrays = {**made._asdict(), "node": made.node[1:]}
        with path.open("wb") as file:
            np.savez(file, **arrays)
    assert equal(fresh().tries, made)
    assert [each.read_bytes() == whole for each in kept.iterdir()] == [True]


def test_nothing_is_kept_if_the_user_wants_so(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disk_cache.VARIABLE, "")
    assert disk_cache.folder() is None
    assert len(fresh().tries.node)
    assert not kept.exists()


def test_a_folder_that_cannot_be_written_is_no_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write_text("a file stands here")
    assert len(fresh().tries.node)
    assert kept.read_text() == "a file stands here"


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(disk_cache.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert disk_cache.folder() == Path("/somewhere/guided")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert disk_cache.folder() == Path("/home/someone/.cache/guided")


def test_what_was_not_used_for_longest_goes_first(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(name: str) -> None:
        disk_cache.save(name, {"x": np.zeros(1000, np.uint8)})

    save("a")
    size = (kept / "a.npz").stat().st_size
    monkeypatch.setattr(disk_cache, "LIMIT", 2 * size)
    save("b")
    for age, name in enumerate(("b", "a")):
        os.utime(kept / f"{name}.npz", (1000 + age, 1000 + age))
    save("c")
    assert sorted(path.name for path in kept.iterdir()) == ["a.npz", "c.npz"]


def test_a_save_that_fails_leaves_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: object, **arrays: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        disk_cache.save("a", {"x": np.zeros(3)})
    assert list(kept.iterdir()) == []
