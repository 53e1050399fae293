"""The exact laws of the ends of Markov chains, and of a draw by a prefix trie."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from guided.search.aligned.metropolis import Course, Variant, log_cuts
from guided.search.aligned.prefix_trie import Node, PrefixTrie

from .languages import Floats, Language


def chain_laws(language: Language, variant: Variant, steps: int) -> Iterator[tuple[Floats, float]]:
    """The law `[n]` of a chain's end after 0, 1, … `steps` moves, and the tokens drawn until then.

    Chains start from masked draws; the tokens are those of one chain, in expectation.
    """
    proposals, redrawn = _proposals(language, variant)
    kernel = _kernel(language, proposals)
    law, tokens = language.g, float(language.g @ language.lengths)
    yield law, tokens
    for _ in range(steps):
        tokens += float(law @ redrawn)
        law = law @ kernel
        yield law, tokens


def _kernel(language: Language, proposals: Floats) -> Floats:
    """The transition matrix `[n, n]`: what is not accepted stays."""
    flow = language.q[:, None] * proposals
    # Where a proposal has underflowed nothing flows either way.
    kernel = np.minimum(flow, flow.T) / language.q[:, None]
    np.fill_diagonal(kernel, 0)
    np.fill_diagonal(kernel, 1 - kernel.sum(axis=1))
    return np.asarray(kernel)


def _proposals(language: Language, variant: Variant) -> tuple[Floats, Floats]:
    """q(y|x) as `[n, n]`, and the tokens `[n]` that a proposal from each text draws."""
    courses, count = language.courses, len(language.courses)
    cuts = [np.exp(log_cuts(variant, course)) for course in courses]
    proposals, redrawn = np.zeros((count, count)), np.zeros(count)
    order = sorted(range(count), key=lambda i: courses[i].tokens)
    for depth in range(max(len(course.tokens) for course in courses)):
        deep = [i for i in order if len(courses[i].tokens) > depth]
        for _, group in groupby(deep, key=lambda i: courses[i].tokens[:depth]):
            members = np.array(list(group))
            ends = np.array([math.exp(courses[i].log_g[depth:].sum()) for i in members])
            # Texts that were left out take none of it.
            ends /= ends.sum()
            chances = np.array([cuts[i][depth] for i in members])
            proposals[np.ix_(members, members)] += chances[:, None] * ends
            redrawn[members] += chances * float(ends @ (language.lengths[members] - depth))
    return proposals, redrawn


def trie_law(language: Language, trie: PrefixTrie) -> Floats:
    """The law `[n]` of ASAp's next draw: P weighed by the bounds, masked where nothing is known."""
    law = np.array([_log_draw(trie.root, course) for course in language.courses])
    law = np.exp(law - law.max())
    return np.asarray(law / law.sum())


def _log_draw(at: Node | None, course: Course) -> float:
    """log of the probability that the text is drawn next."""
    log_draw = 0.0
    steps = zip(course.tokens, course.log_p, course.log_g, strict=True)
    for token, log_p, log_g in steps:
        if at is None or not at.is_expanded:
            log_draw += log_g
            at = None
            continue
        child = at.children.get(token)
        log_draw += log_p + (child.log_bound if child else 0.0) - at.log_bound
        at = child
    return log_draw
