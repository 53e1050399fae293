"""The public names: exactly these, each where it says, nothing heavy before it is asked for."""

import importlib
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import guided

PUBLIC = [
    "Anchored",
    "AnchoredBytes",
    "Budget",
    "ByteLaw",
    "ByteModel",
    "DiffusionModel",
    "GuidedGeneration",
    "GuidedLogitsProcessor",
    "Model",
    "Result",
    "explain",
    "generate",
    "infill",
    "load",
    "run",
    "stream",
]


def test_the_public_names_are_these() -> None:
    # A change here is a change of the interface: it belongs into the changelog.
    assert sorted(guided.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(guided, name)
    assert callable(value)
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = guided.no_such_name


def test_all_public_names_show_up_in_dir() -> None:
    assert set(PUBLIC) <= set(dir(guided))


def test_errors_can_be_reached_from_the_package() -> None:
    assert issubclass(importlib.import_module("guided.errors").InputError, ValueError)


@pytest.mark.parametrize("name", ["generate", "infill", "run", "stream", "load", "explain"])
def test_every_parameter_of_a_public_function_is_typed(name: str) -> None:
    function = getattr(guided, name)
    hints = typing.get_type_hints(function, vars(importlib.import_module(function.__module__)))
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    assert set(names) | {"return"} <= set(hints)


@pytest.mark.parametrize("package", ["guided", "guided.errors"])
def test_importing_the_package_loads_neither_torch_nor_transformers(
    package: str, tmp_path: Path
) -> None:
    heavy = ("torch", "transformers", "numba")
    program = f"import sys, {package}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
