"""How much of a reference a text repeats: the measures of copying, and their reduction.

`measure(text, reference)` gives all of them; the parts are there one by one. Subsequences and edit
distances need rapidfuzz: `pip install "guided[metrics]"`.
"""

from guided.copying.measures import SIX, CopyMeasures, measure
from guided.copying.reduction import normalised_reduction
from guided.copying.rouge import rouge_1, rouge_l
from guided.copying.shingles import MinHash, jaccard, shingles
from guided.copying.subsequences import edit_similarity, lcs_length
from guided.copying.substrings import Run, accumulated_length, common_runs, longest_run
from guided.copying.words import as_characters, words_of

__all__ = [
    "SIX",
    "CopyMeasures",
    "MinHash",
    "Run",
    "accumulated_length",
    "as_characters",
    "common_runs",
    "edit_similarity",
    "jaccard",
    "lcs_length",
    "longest_run",
    "measure",
    "normalised_reduction",
    "rouge_1",
    "rouge_l",
    "shingles",
    "words_of",
]
