"""Grammars inside Hugging Face `generate`."""

from guided.hf.processor import GuidedLogitsProcessor

__all__ = ["GuidedLogitsProcessor"]
