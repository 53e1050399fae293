"""Anchored decoding on the embedded pair: cost, ledgers, copying and usefulness."""
