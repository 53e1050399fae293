"""Drafters: where guesses at the coming tokens come from, one file each."""

from guided.decoding.drafters.protocol import Drafter, Observation, Request

__all__ = ["Drafter", "Observation", "Request"]
