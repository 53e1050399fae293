"""guided: constrained and reward-guided decoding for Hugging Face transformers."""

