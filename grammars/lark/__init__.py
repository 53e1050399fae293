"""Lark grammars (EBNF text), and a few that come with guided."""

from guided.grammars.lark.frontend import lark, lark_spec
from guided.grammars.lark.samples import Sample, sample, sample_names

__all__ = ["Sample", "lark", "lark_spec", "sample", "sample_names"]
