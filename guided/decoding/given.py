"""Tokens that a caller gives instead of drawing them: may they come, and how likely are they."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guided.controls.pipeline import States
from guided.decoding.branch import Branch
from guided.errors import InputError

#: The raw log-probability of a token, and the states of the controls that have seen its law.
Seen = tuple[float, States]


def look_up(branches: Sequence[Branch], tokens: Sequence[int]) -> list[Seen]:
    """The raw log-probability of a token after each branch, and the states that have seen it.

    Forks of one branch are looked at once.

    Raises:
        InputError: a branch without logits, a token that is none or that the controls forbid.
    """
    known: dict[tuple[int, int, int], tuple[Tensor, float, States]] = {}
    found = []
    for branch, token in zip(branches, tokens, strict=True):
        raw = _logits(branch)
        key = id(raw), id(branch.pipeline), id(branch.states)
        if key not in known:
            law, states = branch.look()
            known[key] = law, float(torch.logsumexp(raw.double(), -1)), states
        law, total, states = known[key]
        _check(branch, token, law)
        found.append((float(raw[token].double()) - total, states))
    return found


def _logits(branch: Branch) -> Tensor:
    """The model's raw logits after the last token."""
    if branch.logits is None:
        raise InputError(
            "nothing can be appended to this branch: "
            + (
                f"it is finished ({branch.finish_reason})"
                if branch.finish_reason is not None
                else "the model has not read its last token; extend it first"
            )
        )
    return branch.logits[0]


def _check(branch: Branch, token: int, law: Tensor) -> None:
    position = len(branch.tokens)
    if not 0 <= token < len(law):
        raise InputError(f"token {token} at position {position} is none of the {len(law)} tokens")
    if not law[token] > -torch.inf:
        raise InputError(f"token {token} is not allowed at position {position}")
