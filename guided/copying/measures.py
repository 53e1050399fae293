"""All measures of copying between a text and the reference that it may have copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from guided.copying.rouge import rouge_1, rouge_l
from guided.copying.shingles import MinHash, jaccard, shingles
from guided.copying.subsequences import edit_similarity, lcs_length
from guided.copying.substrings import accumulated_length, longest_run
from guided.copying.words import as_characters, words_of

#: The six of the normalised copying reduction (arXiv 2602.07120).
SIX = ("rouge_1", "rouge_l", "minhash", "acs", "lcs_words", "lcs_characters")
_MINHASH = MinHash()


@dataclass(frozen=True)
class CopyMeasures:
    """How a text resembles a reference. Every one grows with what is copied.

    Attributes:
        rouge_1: F1 of common words.
        rouge_l: F1 of the longest common subsequence of words.
        minhash: estimated Jaccard similarity of word 3-grams.
        jaccard: the exact one.
        acs: words in common substrings of three words or more.
        lcs_words: words of the longest common subsequence.
        lcs_characters: its characters, of the words with a space between them.
        run_words: words of the longest common substring.
        run_characters: its characters.
        edit: 1 minus the edit distance over the longer length, in characters.
    """

    rouge_1: float
    rouge_l: float
    minhash: float
    jaccard: float
    acs: int
    lcs_words: int
    lcs_characters: int
    run_words: int
    run_characters: int
    edit: float

    def as_dict(self) -> dict[str, float]:
        """The measures by name."""
        return asdict(self)


def measure(
    text: str,
    reference: str,
    limit: int | None = 50,
    stem: Callable[[str], str] | None = None,
) -> CopyMeasures:
    """Every measure of a text against its reference, over their first `limit` words.

    CopyBench (arXiv 2407.07087) compares 50 words, stemmed; here they are stemmed where a stemmer
    is given, for example `nltk.stem.PorterStemmer().stem`.

    Raises:
        InputError: a limit below 1.
        MissingPackageError: rapidfuzz is not installed.
    """
    words, others = words_of(text, limit, stem), words_of(reference, limit, stem)
    joined, others_joined = as_characters(words), as_characters(others)
    triples, other_triples = shingles(words), shingles(others)
    return CopyMeasures(
        rouge_1=rouge_1(words, others),
        rouge_l=rouge_l(words, others),
        minhash=_MINHASH.similarity(triples, other_triples),
        jaccard=jaccard(triples, other_triples),
        acs=accumulated_length(words, others),
        lcs_words=lcs_length(words, others),
        lcs_characters=lcs_length(joined, others_joined),
        run_words=longest_run(words, others).length,
        run_characters=longest_run(joined, others_joined).length,
        edit=edit_similarity(joined, others_joined),
    )
