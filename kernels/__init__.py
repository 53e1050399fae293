"""What must be fast: compiled loops over flat arrays."""

from guided.kernels.first_use import announce

announce()
