"""Rows enter as others end, and nothing depends on how many are decoded at a time."""

from __future__ import annotations

from guided.decoding import Decoder
from guided.options import Settings
from guided.row_decoder import RowDecoder
from guided.rows import make_rows
from guided.sampling import SamplingOptions
from guided.testing import table_model

PROMPTS = ["", "a", "bb", "abc", "c", "cab", "b"]


def passes(batch_size: int) -> tuple[int, list[tuple[int, ...]]]:
    model = table_model(4, horizon=40, spread=2.0)
    settings = Settings(
        temperature=1.0, seed=3, max_new_tokens=30, batch_size=batch_size, heal=False
    )
    prompts = ["a" + prompt for prompt in PROMPTS]
    sampler, controls = SamplingOptions(temperature=1.0).choose(None, ())
    rows = make_rows(model, prompts, settings.outputs(len(prompts), True), settings, controls)
    decoder = Decoder(model.network, model.vocabulary, sampler)
    results = RowDecoder(decoder, rows, settings).run()
    return decoder.usage.passes, [result.tokens for result in results]


def test_rows_do_not_wait_for_the_longest_of_their_batch() -> None:
    _, together = passes(len(PROMPTS))
    lengths = [len(tokens) for tokens in together]
    assert max(lengths) > 3 * min(lengths)
    count, tokens = passes(2)
    assert tokens == together
    # In pairs, each pair would take as many passes as its longest row, and one for the prompts.
    in_pairs = sum(max(lengths[at : at + 2]) for at in range(0, len(lengths), 2))
    assert count < in_pairs + 4
