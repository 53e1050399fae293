"""Draws from the model's own law, conditioned on the grammar, where masking would distort it."""
