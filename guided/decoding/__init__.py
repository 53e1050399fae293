"""Decoding: the only part of guided that calls a language model."""

from guided.decoding.branch import Branch, Segment
from guided.decoding.decoder import Decoder
from guided.decoding.gumbel import Gumbel
from guided.decoding.network import Network
from guided.decoding.policy import Adaptive, Fixed
from guided.decoding.sampling import Greedy, Plain, Sampler, Stream
from guided.decoding.speculation import Speculation
from guided.decoding.usage import Usage

__all__ = [
    "Adaptive",
    "Branch",
    "Decoder",
    "Fixed",
    "Greedy",
    "Gumbel",
    "Network",
    "Plain",
    "Sampler",
    "Segment",
    "Speculation",
    "Stream",
    "Usage",
]
