"""Masked-diffusion language models: one decode loop, and the ways to decode that plug into it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guided.diffusion.adapter import DiffusionAdapter as DiffusionAdapter
    from guided.diffusion.adapter import is_masked_diffusion as is_masked_diffusion
    from guided.diffusion.constraint import GrammarConstraint as GrammarConstraint
    from guided.diffusion.constraint import Policy as Policy
    from guided.diffusion.decoder import MaskedDiffusionDecoder as MaskedDiffusionDecoder
    from guided.diffusion.decoder import Track as Track
    from guided.diffusion.decodings import Confident as Confident
    from guided.diffusion.decodings import Decoding as Decoding
    from guided.diffusion.decodings import Dream as Dream
    from guided.diffusion.decodings import EntropyBound as EntropyBound
    from guided.diffusion.decodings import FastDLLM as FastDLLM
    from guided.diffusion.decodings import FreeDave as FreeDave
    from guided.diffusion.decodings import LLaDA as LLaDA
    from guided.diffusion.decodings import Prophet as Prophet
    from guided.diffusion.families import FAMILIES as FAMILIES
    from guided.diffusion.families import Family as Family
    from guided.diffusion.loading import load as load
    from guided.diffusion.result import Checks as Checks
    from guided.diffusion.result import DiffusionResult as DiffusionResult
    from guided.diffusion.result import DiffusionUsage as DiffusionUsage
    from guided.diffusion.template import Fixed as Fixed
    from guided.diffusion.template import Hole as Hole
    from guided.diffusion.template import Template as Template
    from guided.diffusion.transforms import TokenBan as TokenBan

#: Where the names live: models that write one token after the other need none of it.
_HOMES = {
    "Checks": "guided.diffusion.result",
    "Confident": "guided.diffusion.decodings",
    "Decoding": "guided.diffusion.decodings",
    "DiffusionAdapter": "guided.diffusion.adapter",
    "DiffusionResult": "guided.diffusion.result",
    "DiffusionUsage": "guided.diffusion.result",
    "Dream": "guided.diffusion.decodings",
    "EntropyBound": "guided.diffusion.decodings",
    "FAMILIES": "guided.diffusion.families",
    "Family": "guided.diffusion.families",
    "FastDLLM": "guided.diffusion.decodings",
    "Fixed": "guided.diffusion.template",
    "FreeDave": "guided.diffusion.decodings",
    "GrammarConstraint": "guided.diffusion.constraint",
    "Hole": "guided.diffusion.template",
    "LLaDA": "guided.diffusion.decodings",
    "MaskedDiffusionDecoder": "guided.diffusion.decoder",
    "Policy": "guided.diffusion.constraint",
    "Prophet": "guided.diffusion.decodings",
    "Template": "guided.diffusion.template",
    "TokenBan": "guided.diffusion.transforms",
    "Track": "guided.diffusion.decoder",
    "is_masked_diffusion": "guided.diffusion.adapter",
    "load": "guided.diffusion.loading",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'guided.diffusion' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
