"""Verifying chains that were drawn at random from known laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from guided.controls.pipeline import apply_all
from guided.decoding.branch import Branch
from guided.decoding.drafts import Draft
from guided.decoding.draws import Drawn, check_row, full_precision
from guided.decoding.sampling import Stream
from guided.decoding.verifiers.protocol import ChainVerifier


def verify_chains(
    verifier: ChainVerifier,
    branches: Sequence[Branch],
    drafts: Sequence[Draft],
    at: Sequence[tuple[int, int]],
    raw: Tensor,
    aux: Mapping[str, Tensor],
    stop_ids: frozenset[int],
) -> list[list[tuple[Drawn, Any]]]:
    """For every branch the tokens that stand, and the one after them, each with the states before.

    Args:
        at: row and position in the pass of every branch's last token; the draft follows it.
        raw: the model's logits `[n, q, V]`; `aux`: those of other models.
    """
    laws, raws, states = _laws(branches, drafts, at, full_precision(raw), aux, stop_ids)
    found = []
    for branch, draft, law, plain, known in zip(branches, drafts, laws, raws, states, strict=True):
        if draft.laws is None:
            raise ValueError("a chain without laws")
        first = branch.stream
        streams = [
            Stream(first.seed, first.row, first.position + step) for step in range(len(draft) + 1)
        ]
        # A drafter may make its laws elsewhere.
        verdict = verifier.verify(law, draft.laws.to(law.device), draft.tokens, streams)
        tokens = [*draft.tokens[: verdict.accepted], verdict.token]
        ids = torch.tensor(tokens, device=law.device)[:, None]
        log_p = plain[: len(tokens)].gather(1, ids)[:, 0].tolist()
        log_q = law[: len(tokens)].gather(1, ids)[:, 0].tolist()
        drawn = [Drawn(*each) for each in zip(tokens, log_p, log_q, strict=True)]
        found.append(list(zip(drawn, known, strict=False)))
    return found


def _laws(
    branches: Sequence[Branch],
    drafts: Sequence[Draft],
    at: Sequence[tuple[int, int]],
    raw: Tensor,
    aux: Mapping[str, Tensor],
    stop_ids: frozenset[int],
) -> tuple[list[Tensor], list[Tensor], list[list[Any]]]:
    """Controlled and raw log-probabilities `[g + 1, V]` of every branch, and the nodes' states.

    Level by level, since a control may carry on what it did to the node before.
    """
    states: list[Any] = [branch.states for branch in branches]
    rows: list[list[Tensor]] = [[] for _ in branches]
    known: list[list[Any]] = [[] for _ in branches]
    deepest = max(len(draft) for draft in drafts)
    going = list(range(len(branches)))
    for level in range(deepest + 1):
        going = [i for i in going if states[i] is not None]
        numbers = [at[i][0] for i in going]
        positions = [at[i][1] + level for i in going]
        law, after = apply_all(
            [branches[i].pipeline for i in going],
            raw[numbers, positions].double(),
            [states[i] for i in going],
            {name: x[numbers, positions].double() for name, x in aux.items()},
        )
        for index, i in enumerate(going):
            rows[i].append(law[index].log_softmax(-1))
            known[i].append(after[index])
            if level == 0:
                total = float(raw[numbers[index], positions[index]].double().logsumexp(-1))
                check_row(branches[i], total, float(law[index].amax()))
            states[i] = _next(branches[i], drafts[i], level, after[index], stop_ids)
    plain = []
    for i, draft in enumerate(drafts):
        number, position = at[i]
        # Nothing follows a token that is illegal or ends the text; its law is never used.
        rows[i] += [rows[i][-1]] * (len(draft) + 1 - len(rows[i]))
        whole = raw[number, position : position + len(draft) + 1].double().log_softmax(-1)
        plain.append(whole)
    return [torch.stack(row) for row in rows], plain, known


def _next(branch: Branch, draft: Draft, level: int, states: Any, stop_ids: frozenset[int]) -> Any:
    """The states after the draft's token at `level`; None where no further token is judged."""
    if level >= len(draft):
        return None
    token, pipeline = draft.tokens[level], branch.pipeline
    if token in stop_ids or not pipeline.allows(states, token):
        return None
    after = pipeline.step(states, token)
    return after if pipeline.finish(after) is None else None
