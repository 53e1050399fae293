"""Texts that are filled in any order: may a token stand in a slot, and what completes the rest."""

from guided.grammars.canvas.canvas import Canvas
from guided.grammars.canvas.limits import CanvasLimits
from guided.grammars.canvas.nfa import ByteNfa
from guided.grammars.canvas.rescue import Completion
from guided.grammars.canvas.slots import GAP, MASKED, Gap, Masked, Slot
from guided.grammars.canvas.verdict import Verdict

__all__ = [
    "GAP",
    "MASKED",
    "ByteNfa",
    "Canvas",
    "CanvasLimits",
    "Completion",
    "Gap",
    "Masked",
    "Slot",
    "Verdict",
]
