"""Kernels for CUDA, written in Triton; imported only where one is about to run."""
