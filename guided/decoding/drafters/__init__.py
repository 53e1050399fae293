"""Drafters: where guesses at the coming tokens come from, one file each."""

from guided.decoding.drafters.draft_model import DraftModel
from guided.decoding.drafters.grammar import GrammarText
from guided.decoding.drafters.lookup import Lookup
from guided.decoding.drafters.ngram import LogitNgram
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.recycling import Recycling
from guided.decoding.drafters.spelling import spell_as
from guided.decoding.drafters.structured import Structured
from guided.decoding.drafters.suffix import Suffix

__all__ = [
    "DraftModel",
    "Drafter",
    "GrammarText",
    "LogitNgram",
    "Lookup",
    "Observation",
    "Recycling",
    "Request",
    "Structured",
    "Suffix",
    "spell_as",
]
