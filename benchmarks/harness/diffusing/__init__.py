"""Masked-diffusion decoding: tasks, accelerators, constraints."""
