"""ROUGE-1 and ROUGE-L (Lin 2004) as F1 over words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from guided.copying.subsequences import lcs_length


def rouge_1(text: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the words in common, each counted as often as in both; two empty texts give 1."""
    return _f1((Counter(text) & Counter(reference)).total(), len(text), len(reference))


def rouge_l(text: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words; two empty texts give 1.

    Raises:
        MissingPackageError: rapidfuzz is not installed.
    """
    return _f1(lcs_length(text, reference), len(text), len(reference))


def _f1(common: int, length: int, reference_length: int) -> float:
    """Harmonic mean of precision and recall, which is 2 common / (length + length)."""
    total = length + reference_length
    return 2 * common / total if total else 1.0
