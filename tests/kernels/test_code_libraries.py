"""What is kept of compiled kernels, and that it is enough."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

KERNELS = Path(__file__).parents[2] / "kernels"

_MODULE = """
import numpy as np
from guided.kernels.compiling import entry, inner, lean, lean_entry, shared_entry

@lean
def square(x):
    return x * x

@inner
def squares(n):
    if n < 0:
        raise ValueError("negative")
    found = np.empty(n, np.int64)
    for i in range(n):
        found[i] = square(i)
    return found

@entry
def total(n):
    return squares(n).sum()

@shared_entry
def double(x):
    return 2 * x

@lean_entry
def fourfold(x):
    return double(double(x))
"""
_PROGRAM = """
import kept
assert kept.total(5) == 30
assert kept.double(3) == 6
assert kept.fourfold(3) == 12
try:
    kept.total(-1)
except ValueError as error:
    assert error.args == ("negative",)
else:
    raise AssertionError
kernels = kept.total, kept.double, kept.fourfold, kept.squares, kept.square
print(*(sum(kernel.stats.cache_hits.values()) for kernel in kernels))
"""


def _run(folder: Path) -> list[int]:
    """How often each kernel was loaded from the disk, by a process that calls all."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_kernels_are_loaded_from_disk_and_compiled_again_from_parts_on_disk(tmp_path: Path) -> None:
    (tmp_path / "kept.py").write_text(_MODULE)
    assert _run(tmp_path) == [0, 0, 0, 0, 0]
    # What only other kernels call is not even looked for.
    assert _run(tmp_path) == [1, 1, 1, 0, 0]
    for path in (tmp_path / "cache").rglob("kept.total-*.nbi"):
        path.unlink()
    assert _run(tmp_path) == [0, 1, 1, 1, 0]


_FRESH = """
from guided.kernels.compiling import entry, inner, shared_entry

@inner
def increased(x):
    return x + 1

@entry
def increased_twice(x):
    return increased(increased(x))

@entry
def four_more(x):
    return increased_twice(increased_twice(x))

@shared_entry
def halved(x):
    return x / 2
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Kernels of which nothing is on disk."""
    (tmp_path / "fresh_kernels.py").write_text(_FRESH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fresh_kernels", raising=False)
    return importlib.import_module("fresh_kernels")


def test_no_machine_code_is_made_of_what_only_kernels_call(fresh: ModuleType) -> None:
    assert fresh.increased_twice(1) == 3
    (part,) = fresh.increased.overloads.values()
    assert part.library.get_pointer_to_function(part.fndesc.llvm_func_name) == 0
    assert fresh.halved(1) == 0.5
    (whole,) = fresh.halved.overloads.values()
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name) != 0


def test_a_kernel_that_others_call_has_to_say_so(fresh: ModuleType) -> None:
    assert fresh.increased_twice(np.int64(1)) == 3
    with pytest.raises(Exception, match="shared_entry"):
        fresh.four_more(1)


def _names(tree: ast.Module, entries: set[str], home: str) -> set[str]:
    """The names by which a file of kernels knows kernels that only Python may call."""
    known = {entry.partition(".")[2] for entry in entries if entry.startswith(f"{home}.")}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            other = node.module.rpartition(".")[2]
            known |= {a.asname or a.name for a in node.names if f"{other}.{a.name}" in entries}
    return known


def test_no_kernel_calls_one_that_only_python_may_call() -> None:
    trees = {path.stem: ast.parse(path.read_text()) for path in KERNELS.glob("*.py")}
    kernels = {
        f"{home}.{node.name}": node
        for home, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    entries = {
        name
        for name, node in kernels.items()
        if {ast.unparse(found) for found in node.decorator_list} & {"entry", "lean_entry"}
    }
    assert len(entries) > 40
    for name, node in kernels.items():
        home = name.partition(".")[0]
        calls = (call for call in ast.walk(node) if isinstance(call, ast.Call))
        called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert not called & _names(trees[home], entries, home), name
