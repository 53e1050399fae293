"""Masked-diffusion language models: one decode loop, and the ways to decode that plug into it."""

from guided.diffusion.adapter import DiffusionAdapter, is_masked_diffusion
from guided.diffusion.constraint import GrammarConstraint, Policy
from guided.diffusion.decoder import MaskedDiffusionDecoder, Track
from guided.diffusion.decodings import (
    Confident,
    Decoding,
    Dream,
    EntropyBound,
    FastDLLM,
    FreeDave,
    LLaDA,
    Prophet,
)
from guided.diffusion.families import FAMILIES, Family
from guided.diffusion.loading import load
from guided.diffusion.result import Checks, DiffusionResult, DiffusionUsage
from guided.diffusion.template import Fixed, Hole, Template
from guided.diffusion.transforms import TokenBan

__all__ = [
    "FAMILIES",
    "Checks",
    "Confident",
    "Decoding",
    "DiffusionAdapter",
    "DiffusionResult",
    "DiffusionUsage",
    "Dream",
    "EntropyBound",
    "Family",
    "FastDLLM",
    "Fixed",
    "FreeDave",
    "GrammarConstraint",
    "Hole",
    "LLaDA",
    "MaskedDiffusionDecoder",
    "Policy",
    "Prophet",
    "Template",
    "TokenBan",
    "Track",
    "is_masked_diffusion",
    "load",
]
