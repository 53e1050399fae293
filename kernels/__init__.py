"""What must be fast: compiled loops over flat arrays."""
