"""Lark grammars (EBNF text), and a few that come with guided."""

from guided.grammars.lark.frontend import lark, lark_spec
from guided.grammars.lark.samples import sample, sample_names
from guided.grammars.samples import Sample

__all__ = ["Sample", "lark", "lark_spec", "sample", "sample_names"]
