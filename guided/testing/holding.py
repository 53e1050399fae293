"""How a broken law is told."""

from __future__ import annotations


def hold(condition: bool, law: str, *where: object) -> None:
    """Raises AssertionError, naming the law and where it is broken, unless the condition holds."""
    if not condition:
        raise AssertionError(f"{law}: {', '.join(map(repr, where))}" if where else law)
