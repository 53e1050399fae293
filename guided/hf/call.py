"""A call of `generate` as decoding needs it: prompts, controls and the way back to a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from guided.controls import FromProcessor
from guided.controls.protocol import Context, Control
from guided.decoding.network import logits_width
from guided.errors import ControlError, DeadEndError, InputError
from guided.grammars.vocabulary import Vocabulary
from guided.hf.entries import controls_of, vocabulary_of
from guided.hf.processor_controls import row_controls
from guided.hf.refusals import check_config, check_eval, check_model_arguments, check_positions
from guided.hf.stopping import Stopping, ids_of
from guided.model import Model

_SEEDS = 1 << 62


class Owner:
    """The `guided.Model` of the networks that `generate` calls for; the last one is kept.

    Args:
        vocabulary: a Hugging Face tokenizer, a `guided.Model`, or a `Vocabulary`.
    """

    def __init__(self, vocabulary: Any) -> None:
        self.vocabulary = vocabulary
        self._last: tuple[Any, frozenset[int], Model] | None = None

    def of(self, model: Any, stop_ids: frozenset[int]) -> Model:
        """The network with its vocabulary.

        Raises:
            InputError: the `guided.Model` that was given has another network.
        """
        if isinstance(self.vocabulary, Model):
            if self.vocabulary.hf_model is not model:
                raise InputError("the guided.Model that was given has another network")
            vocabulary_of(self.vocabulary, stop_ids)
            return self.vocabulary
        if self._last is None or self._last[0] is not model or self._last[1] != stop_ids:
            vocabulary = vocabulary_of(self.vocabulary, stop_ids, logits_width(model))
            tokenizer = None if self.vocabulary is vocabulary else self.vocabulary
            self._last = model, stop_ids, Model(model, tokenizer, vocabulary=vocabulary)
        return self._last[2]


def checked_paddings(
    model: Any, input_ids: Tensor, config: Any, model_kwargs: Mapping[str, Any]
) -> Tensor:
    """How many columns of padding stand before each row's prompt; refuses what cannot be honoured.

    Raises:
        InputError: an argument of `generate`, by name.
    """
    check_eval(model)
    check_config(config)
    check_model_arguments(model_kwargs)
    paddings = paddings_of(input_ids, model_kwargs.get("attention_mask"))
    check_positions(model_kwargs.get("position_ids"), paddings, input_ids.shape[1])
    return paddings


def seed_of(given: int | None) -> int:
    """The seed of a call; drawn from torch's generator if none is given."""
    return int(torch.randint(_SEEDS, ())) if given is None else given


def entries_of(controls: Any) -> list[list[Control]]:
    """The controls that a caller names: for all prompts, or a list with those of each.

    Raises:
        ControlError, InputError: they cannot be used.
    """
    entries = list(controls) if isinstance(controls, list | tuple) else [controls]
    if not entries:
        raise ControlError("no grammar and no control was given; None stands for free text")
    return [[] if entry is None else controls_of(entry) for entry in entries]


def controls_of_rows(
    entries: Sequence[Sequence[Control]],
    processors: Sequence[Any],
    input_ids: Tensor,
    paddings: Tensor,
) -> list[list[Control]]:
    """The controls of every row: the caller's own, then the processors of the call in their order.

    Raises:
        ControlError: as many entries as do not divide the rows; a processor that cannot be used.
    """
    rows, count = len(paddings), len(entries)
    if rows % count:
        raise ControlError(
            f"generate runs {rows} rows, which is no multiple of the {count} controls; give "
            "one, or one for each prompt"
        )
    return [
        [
            *entries[row * count // rows],
            *(
                control
                for processor in processors
                for control in row_controls(processor, row, input_ids, paddings)
            ),
        ]
        for row in range(rows)
    ]


def paddings_of(input_ids: Tensor, mask: Tensor | None) -> Tensor:
    """How many columns of padding stand before each row's prompt.

    Raises:
        InputError: padding elsewhere, or nothing but padding.
    """
    if input_ids.dim() != 2 or not input_ids.shape[1]:
        raise InputError("input_ids needs at least one token in every row")
    if mask is None:
        return torch.zeros(len(input_ids), dtype=torch.long)
    held = (mask != 0).long().cpu()
    paddings = held.shape[1] - held.sum(dim=1)
    expected = torch.arange(held.shape[1])[None] >= paddings[:, None]
    if not torch.equal(held.bool(), expected):
        raise InputError("attention_mask: padding must stand on the left only (padding_side)")
    if bool((paddings == held.shape[1]).any()):
        raise InputError("attention_mask: a row has nothing but padding")
    return paddings


def prompts_of(input_ids: Tensor, paddings: Tensor) -> list[tuple[int, ...]]:
    """The tokens of every row without its padding."""
    pairs = zip(input_ids.tolist(), paddings.tolist(), strict=True)
    return [tuple(row[padding:]) for row, padding in pairs]


def pad_id_of(config: Any, stopping: Stopping) -> int | None:
    """What rows are filled up with."""
    ids = ids_of(getattr(config, "_pad_token_tensor", None))
    ids = ids or ids_of(getattr(config, "pad_token_id", None)) or sorted(stopping.stop_ids)
    return ids[0] if ids else None


def ends_itself(tokens: Sequence[int], reason: str, stopping: Stopping) -> bool:
    """Whether nothing but a stop token could follow, which was not drawn then."""
    has_room = stopping.limit is None or len(tokens) < stopping.limit
    is_open = not tokens or tokens[-1] not in stopping.stop_ids
    return reason in ("complete", "budget") and has_room and is_open


def with_stop(tokens: Sequence[int], reason: str, stopping: Stopping) -> list[int]:
    """The tokens of a row, with the stop token where it is all that could follow."""
    found = list(tokens)
    if ends_itself(tokens, reason, stopping) and stopping.stop_ids:
        found.append(min(stopping.stop_ids))
    return found


def check_end(
    row: int,
    prompt: tuple[int, ...],
    tokens: Sequence[int],
    controls: Sequence[Control],
    vocabulary: Vocabulary,
) -> None:
    """Refuses an end that the call's processors forbid.

    Raises:
        DeadEndError: they forbid every stop token where the grammar allows nothing else.
    """
    stops = torch.zeros(1, vocabulary.size)
    for control in controls:
        if isinstance(control, FromProcessor):
            state = control.begin(Context(prompt, vocabulary))
            for token in tokens:
                state = control.step(state, token)
            stops, _ = control.apply(stops, [state])
    if vocabulary.stop_ids and bool((stops[0, sorted(vocabulary.stop_ids)] == -torch.inf).all()):
        position = len(tokens)
        raise DeadEndError(
            f"row {row}: the text is complete after {position} tokens, and every stop token is "
            "forbidden there by a processor (min_new_tokens, min_length, suppress_tokens?)",
            position,
        )


def sequences_of(input_ids: Tensor, rows: Sequence[Sequence[int]], pad_id: int | None) -> Tensor:
    """Prompts and new tokens `[rows, columns]`, padded on the right.

    Raises:
        InputError: rows of different lengths, and nothing to pad them with.
    """
    width = max(map(len, rows))
    if pad_id is None and any(len(row) < width for row in rows):
        raise InputError("rows of different lengths need a pad_token_id in generate")
    padded = [list(row) + [pad_id or 0] * (width - len(row)) for row in rows]
    new = torch.tensor(padded, dtype=torch.long, device=input_ids.device)
    return torch.cat([input_ids, new.reshape(len(rows), width)], dim=1)


def padded_numbers(rows: Sequence[Sequence[float]], width: int, device: torch.device) -> Tensor:
    """Numbers of every row `[rows, width]`, 0 where there are none."""
    filled = [list(row) + [0.0] * (width - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.float32, device=device).reshape(len(rows), width)
