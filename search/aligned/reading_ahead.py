"""Small languages are read whole: one pass over all their prefixes, before anything is drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from guided.controls.measured_mask import MeasuredState
from guided.decoding import Branch
from guided.decoding.masks import Feed
from guided.search.effects import Plan, grow_branches
from guided.search.laws import Laws
from guided.search.problem import Problem

#: Prefixes that are read ahead at most.
MOST = 256


class Prefixes(NamedTuple):
    """All legal prefixes but the empty one, as a tree; see `Feed`.

    Attributes:
        texts: the prefix that ends with each of the tokens.
    """

    tokens: list[int]
    parents: list[int]
    texts: list[tuple[int, ...]]


def prefixes(start: MeasuredState, stop_ids: frozenset[int], most: int) -> Prefixes | None:
    """The legal prefixes that begin at a state; None if there are more than `most`."""
    found = Prefixes([], [], [])
    stack: list[tuple[int, MeasuredState, tuple[int, ...]]] = [(-1, start, ())]
    while stack:
        at, state, text = stack.pop()
        bits = np.unpackbits(state.mask.view(np.uint8), bitorder="little")
        legal = [token for token in np.flatnonzero(bits).tolist() if token not in stop_ids]
        if len(found.tokens) + len(legal) > most:
            return None
        for token in legal:
            stack.append((len(found.tokens), state.advance(token), (*text, token)))
            found.tokens.append(token)
            found.parents.append(at)
            found.texts.append((*text, token))
    return found


def read_ahead(problem: Problem, start: MeasuredState, laws: Laws, n: int) -> Plan[None]:
    """Reads the language of a prompt if it has no more prefixes than texts are wanted.

    Laws of all its prefixes are known afterwards, so that no draw needs a pass; the draws are the
    same. Nothing happens where draws do not go by known laws (see `twins`).

    Args:
        start: what measures, before the first token.
        n: texts wanted.
    """
    root, decoder = problem.root.branch, problem.decoder
    if root.pipeline.models or root.logits is None or not _goes_by_laws(problem):
        return
    found = prefixes(start, decoder.vocabulary.stop_ids, min(n, MOST))
    n_bytes = root.logits[0].nbytes
    if found is None or not found.tokens or len(found.tokens) * n_bytes > laws.limit // 2:
        return
    [probe] = decoder.fork(root, 1, rows=[root.row])
    try:
        _read(problem, probe, found, laws)
    except KeyboardInterrupt:
        # As a pass ends that is interrupted.
        probe.finish("interrupt")
        yield from grow_branches([probe])
    laws.keep((), root.logits)


def _goes_by_laws(problem: Problem) -> bool:
    decoder = problem.decoder
    if decoder.network.device.type != "cpu" or decoder.ledger.limit is not None:
        return False
    return decoder.speculation is None or decoder.speculation.verifier is None


def _read(problem: Problem, probe: Branch, found: Prefixes, laws: Laws) -> None:
    """One pass over a tree of tokens that follow the prompt."""
    rig = problem.decoder.loop().rig
    if rig.drafts != "tree":
        return
    rig.arrange([probe.places])
    raw, _ = rig.forward([Feed(found.tokens, found.parents)])
    rig.drop(0, keep=False)
    rig.release()
    for at, text in enumerate(found.texts):
        laws.keep(text, [raw[0, at]])
    problem.ledger.passes += 1
    problem.ledger.positions += len(found.tokens)
