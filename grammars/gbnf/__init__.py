"""GBNF grammars, the format of llama.cpp, and a few that come with guided."""

from guided.grammars.gbnf.frontend import gbnf, looks_like_gbnf
from guided.grammars.gbnf.samples import sample, sample_names

__all__ = ["gbnf", "looks_like_gbnf", "sample", "sample_names"]
