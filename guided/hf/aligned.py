"""Draws from the model's own law, conditioned on the grammar, in the place of `generate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from guided.alignment import check_controls, check_whole, draw_rows, sampler_of
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.hf.call import pad_id_of, padded_numbers, prompts_of, sequences_of
from guided.hf.output import GuidedGenerationOutput
from guided.hf.stopping import Stopping
from guided.model import Model
from guided.options import Settings
from guided.outputs import FREE_TEXT
from guided.result import Result
from guided.rows import Row


def aligned_output(
    owner: Model,
    input_ids: Tensor,
    paddings: Tensor,
    controls: Sequence[Sequence[Control]],
    stopping: Stopping,
    config: Any,
    settings: Settings,
) -> Tensor | GuidedGenerationOutput:
    """What `generate` returns: the draws of every prompt in its `num_return_sequences` rows.

    Args:
        controls: of every row; those of rows of one prompt are alike.
        settings: with `align`, `seed` and `draft`.

    Raises:
        InputError: something that cannot be aligned, by name.
        DecodingError: draws are missing; with `return_dict_in_generate` the output says why.
        KeyboardInterrupt: Ctrl-C.
    """
    _check(stopping, config)
    count = int(config.num_return_sequences or 1)
    method = sampler_of(settings.align, count, settings.batch_size)
    rows = _rows(owner, prompts_of(input_ids, paddings)[::count], controls[::count], stopping)
    for row in rows:
        check_controls(row.controls)
        method.controls(row)
    settings = Settings(align=method, n=count, seed=settings.seed, draft=settings.draft)
    shown = [owner.decode(row.tokens) for row in rows]
    results = draw_rows(method, rows, shown, settings)
    if any(result.finish_reason == "interrupt" for result in results):
        raise KeyboardInterrupt
    if not config.return_dict_in_generate:
        check_whole(results)
    return _output(input_ids, results, pad_id_of(config, stopping), config)


def _check(stopping: Stopping, config: Any) -> None:
    if not config.do_sample:
        raise InputError(
            "align= draws from the model's law, and do_sample=False makes no draws; give generate "
            "do_sample=True (and top_k=0, unless the law is to be cut off at its default of 50)"
        )
    for criterion in stopping.criteria:
        raise InputError(
            f"{type(criterion).__name__} cannot be honoured with align=, whose texts end by a stop "
            "token that is drawn; give max_new_tokens"
        )
    if stopping.limit is None:
        raise InputError("align= needs a limit of tokens; give generate max_new_tokens")


def _rows(
    owner: Model,
    prompts: Sequence[tuple[int, ...]],
    controls: Sequence[Sequence[Control]],
    stopping: Stopping,
) -> list[Row]:
    seen: Counter[tuple[int, ...]] = Counter()
    rows = []
    for prompt, own in zip(prompts, controls, strict=True):
        limit = stopping.limit or 1
        rows.append(Row(owner, prompt, b"", FREE_TEXT, tuple(own), limit, seen[prompt]))
        seen[prompt] += 1
    return rows


def _output(
    input_ids: Tensor, results: Sequence[Result[Any]], pad_id: int | None, config: Any
) -> Tensor | GuidedGenerationOutput:
    sequences = sequences_of(input_ids, [result.tokens for result in results], pad_id)
    if not config.return_dict_in_generate:
        return sequences
    width = sequences.shape[1] - input_ids.shape[1]
    return GuidedGenerationOutput(
        sequences,
        padded_numbers([result.log_p for result in results], width, sequences.device),
        padded_numbers([result.log_q for result in results], width, sequences.device),
        tuple(result.finish_reason for result in results),
        tuple(result.certificate for result in results),
    )
