"""Next-byte laws of token models, and what a tokenizer's canonical sequences are."""

from guided.byte_laws.anchored_bytes import AnchoredBytes
from guided.byte_laws.byte_law import ByteLaw, Opening
from guided.byte_laws.byte_model import ByteModel
from guided.byte_laws.canon import Canon
from guided.byte_laws.spelling import END, N_SYMBOLS
from guided.byte_laws.streams import ByteStreams

__all__ = [
    "END",
    "N_SYMBOLS",
    "AnchoredBytes",
    "ByteLaw",
    "ByteModel",
    "ByteStreams",
    "Canon",
    "Opening",
]
