"""Training recipe for the tiny models in `examples/models`: data, tokenizer, model, loop."""
