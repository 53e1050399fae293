"""Verifiers: which drafted tokens stand, one file each."""

from guided.decoding.verifiers.protocol import ChainVerifier, Verdict

__all__ = ["ChainVerifier", "Verdict"]
