"""Verifiers: which drafted tokens stand, one file each."""

from guided.decoding.verifiers.block import Block
from guided.decoding.verifiers.chain import Chain
from guided.decoding.verifiers.protocol import ChainVerifier, Verdict

__all__ = ["Block", "Chain", "ChainVerifier", "Verdict"]
