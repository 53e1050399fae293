"""Controls: maps from the law at a node to another law, and their pipeline."""

from guided.controls.anchored import Anchored
from guided.controls.bans import BanTokens
from guided.controls.from_processor import FromProcessor, check_pure
from guided.controls.fusion import CPDelta, CPFuse
from guided.controls.grammar_mask import GrammarMask
from guided.controls.law import LogitBias, RepetitionPenalty, Temperature
from guided.controls.measured_mask import MeasuredMask
from guided.controls.memfree import MemFree
from guided.controls.pipeline import Pipeline
from guided.controls.prefix_mask import PrefixMask
from guided.controls.protocol import Context, Control, Stage
from guided.controls.stop_strings import StopStrings
from guided.controls.truncation import MinP, TopK, TopP

__all__ = [
    "Anchored",
    "BanTokens",
    "CPDelta",
    "CPFuse",
    "Context",
    "Control",
    "FromProcessor",
    "GrammarMask",
    "LogitBias",
    "MeasuredMask",
    "MemFree",
    "MinP",
    "Pipeline",
    "PrefixMask",
    "RepetitionPenalty",
    "Stage",
    "StopStrings",
    "Temperature",
    "TopK",
    "TopP",
    "check_pure",
]
