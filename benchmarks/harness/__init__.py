"""What the benchmarks share: data, vocabulary, engines, workers, figures."""
