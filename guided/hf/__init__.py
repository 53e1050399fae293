"""Grammars inside Hugging Face `generate`."""

from guided.hf.custom_generate import GuidedGeneration
from guided.hf.output import GuidedGenerationOutput
from guided.hf.processor import GuidedLogitsProcessor

__all__ = ["GuidedGeneration", "GuidedGenerationOutput", "GuidedLogitsProcessor"]
