"""guided: constrained and reward-guided decoding for Hugging Face transformers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guided.byte_laws import AnchoredBytes as AnchoredBytes
    from guided.byte_laws import ByteLaw as ByteLaw
    from guided.byte_laws import ByteModel as ByteModel
    from guided.controls import Anchored as Anchored
    from guided.diffusion_model import DiffusionModel as DiffusionModel
    from guided.generation import generate as generate
    from guided.generation import run as run
    from guided.grammars.json_schema import explain as explain
    from guided.hf import GuidedGeneration as GuidedGeneration
    from guided.hf import GuidedLogitsProcessor as GuidedLogitsProcessor
    from guided.infilling.infill import infill as infill
    from guided.loading import load as load
    from guided.model import Model as Model
    from guided.result import Result as Result
    from guided.search.budget import Budget as Budget
    from guided.streaming import stream as stream

#: Parts that are there as attributes without an import of their own.
_PARTS = frozenset(
    {
        "byte_laws",
        "controls",
        "copying",
        "decoding",
        "diffusion",
        "errors",
        "grammars",
        "rewards",
        "search",
        "testing",
    }
)

#: Public names and where they live; nothing heavy is imported before it is asked for.
_HOMES = {
    "Anchored": "guided.controls",
    "AnchoredBytes": "guided.byte_laws",
    "Budget": "guided.search.budget",
    "ByteLaw": "guided.byte_laws",
    "ByteModel": "guided.byte_laws",
    "DiffusionModel": "guided.diffusion_model",
    "GuidedGeneration": "guided.hf",
    "GuidedLogitsProcessor": "guided.hf",
    "Model": "guided.model",
    "Result": "guided.result",
    "explain": "guided.grammars.json_schema",
    "generate": "guided.generation",
    "infill": "guided.infilling.infill",
    "load": "guided.loading",
    "run": "guided.generation",
    "stream": "guided.streaming",
}

__all__ = [
    "Anchored",
    "AnchoredBytes",
    "Budget",
    "ByteLaw",
    "ByteModel",
    "DiffusionModel",
    "GuidedGeneration",
    "GuidedLogitsProcessor",
    "Model",
    "Result",
    "explain",
    "generate",
    "infill",
    "load",
    "run",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"guided.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'guided' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
