"""How to explore: searches over what a model could write.

Every search runs the same way::

    result = BestOfN(n=16).run(model, prompt, reward)
"""

from guided.search.best_of_n import BestOfN
from guided.search.budget import Budget
from guided.search.results import Candidate, SearchResult
from guided.search.search import Search
from guided.search.segmenter import Delimiter, Punctuation, Segmenter, Tokens

__all__ = [
    "BestOfN",
    "Budget",
    "Candidate",
    "Delimiter",
    "Punctuation",
    "Search",
    "SearchResult",
    "Segmenter",
    "Tokens",
]
