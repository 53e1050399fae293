"""JSON Schema (drafts 7 and 2020-12) as a grammar of JSON texts."""

from guided.grammars.json_schema.compile import json_schema
from guided.grammars.json_schema.explain import Explanation, explain
from guided.grammars.json_schema.report import UnsupportedKeywordWarning

__all__ = ["Explanation", "UnsupportedKeywordWarning", "explain", "json_schema"]
