"""Common subsequences and edit distances, by rapidfuzz."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from guided.errors import MissingPackageError


def lcs_length(text: Sequence[Hashable], reference: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, gaps allowed, of two texts or lists of words.

    Raises:
        MissingPackageError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import LCSseq
    except ImportError as error:
        raise _missing() from error
    return LCSseq.similarity(text, reference)


def edit_similarity(text: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """1 minus the Levenshtein distance over the longer length; 1 for two empty texts.

    Raises:
        MissingPackageError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise _missing() from error
    return Levenshtein.normalized_similarity(text, reference)


def _missing() -> MissingPackageError:
    return MissingPackageError(
        "common subsequences and edit distances are computed by rapidfuzz, which is not installed: "
        'pip install "guided[metrics]"'
    )
