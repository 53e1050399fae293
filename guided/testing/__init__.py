"""What tests of guided, and of programs that use it, are built from."""

from guided.testing.drafter_laws import check_draft, check_drafter_laws
from guided.testing.fake_model import byte_tokenizer, fake_model
from guided.testing.laws import allowed_tokens, check_control_laws, check_grammar_laws
from guided.testing.mask_model import MaskModel
from guided.testing.prefix_model import PrefixModel
from guided.testing.reward_laws import check_reward_laws
from guided.testing.sampler_laws import check_properly_weighted
from guided.testing.search_laws import check_search_laws
from guided.testing.table_model import TableModel, enumerate_sequences, table_model
from guided.testing.tiny_model import tiny_model
from guided.testing.words import WordGrammar

__all__ = [
    "MaskModel",
    "PrefixModel",
    "TableModel",
    "WordGrammar",
    "allowed_tokens",
    "byte_tokenizer",
    "check_control_laws",
    "check_draft",
    "check_drafter_laws",
    "check_grammar_laws",
    "check_properly_weighted",
    "check_reward_laws",
    "check_search_laws",
    "enumerate_sequences",
    "fake_model",
    "table_model",
    "tiny_model",
]
