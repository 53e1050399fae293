"""Prints what `benchmarks/gpu.sh` needs and this environment lacks, one requirement a line."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
#: Beside the package's own dependencies: what runs the tests, kernels and benchmarks.
OTHERS = ("pytest>=8", "triton", "mistral_common>=1.5")


def missing() -> list[str]:
    """Requirements that are not installed, or in another version."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    needed = [*project["project"]["dependencies"], *OTHERS]
    return [text for text in needed if not is_met(Requirement(text))]


def is_met(requirement: Requirement) -> bool:
    try:
        found = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)


if __name__ == "__main__":
    print("\n".join(missing()))
