"""Decoding: the only part of guided that calls a language model."""

from guided.decoding.branch import Branch, Segment
from guided.decoding.decoder import Decoder
from guided.decoding.network import Network
from guided.decoding.sampling import Greedy, Plain, Sampler, Stream
from guided.decoding.usage import Usage

__all__ = [
    "Branch",
    "Decoder",
    "Greedy",
    "Network",
    "Plain",
    "Sampler",
    "Segment",
    "Stream",
    "Usage",
]
