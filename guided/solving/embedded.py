"""The tiny models and problems that a clone of the repository brings along."""

from __future__ import annotations

from pathlib import Path

from guided.errors import InputError

_FOLDERS = (Path.cwd, lambda: Path(__file__).resolve().parents[2])


def embedded(name: str, instead: str) -> Path:
    """Where something of `examples/` stands: below the working folder, or beside the package.

    Args:
        name: like "models/tiny-math".
        instead: what to give where it is not there, for the message.

    Raises:
        InputError: it is not there, as after an installation from a wheel.
    """
    for folder in _FOLDERS:
        path = folder() / "examples" / name
        if path.exists():
            return path
    raise InputError(
        f"examples/{name} is not here: the embedded models and problems come with a clone of the "
        f"repository, not with the installed package. Run inside of a clone, or give {instead}"
    )
