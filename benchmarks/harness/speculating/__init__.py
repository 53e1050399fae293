"""What the benchmark of the speculative backend needs: a copying model, texts, ways of decoding."""
