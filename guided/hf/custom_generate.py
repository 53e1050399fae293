"""`model.generate(..., custom_generate=GuidedGeneration(...))`: guided's decoding in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils.generic import ModelOutput

from guided.controls import FromProcessor
from guided.controls.protocol import Control
from guided.decoding import Branch, Decoder, Greedy, Plain
from guided.decoding.network import logits_width
from guided.decoding.rng import stream
from guided.drafting import Draft, speculation
from guided.errors import ControlError, DeadEndError, DecodingError, InputError
from guided.grammars.vocabulary import Vocabulary
from guided.hf.entries import controls_of, vocabulary_of
from guided.hf.processor_controls import row_controls
from guided.hf.refusals import check_config, check_eval, check_model_arguments, check_positions
from guided.hf.stopping import Stopping, ids_of, read_criteria
from guided.model import Model

_SEEDS = 1 << 62


@dataclass
class GuidedGenerationOutput(ModelOutput):
    """What `generate` returns with `return_dict_in_generate=True`.

    Attributes:
        sequences: prompts and new tokens `[rows, columns]`, padded on the right.
        log_p: of every new token under the raw model `[rows, new]`; 0 in the padding.
        log_q: of every new token under the law that it was drawn from (0 for greedy choices).
        finish_reasons: "stop", "complete", "budget", "length", "criteria" or "memory", by row.
    """

    sequences: Tensor | None = None
    log_p: Tensor | None = None
    log_q: Tensor | None = None
    finish_reasons: tuple[str, ...] | None = None


class GuidedGeneration:
    """Decodes in the place of `generate`: batched, constrained, with drafts, losslessly.

    Given as `custom_generate=`; the prompts, the limit, the way of sampling, processors and
    stopping criteria are those of the `generate` call. What cannot be honoured is refused by name.
    Tokens are the ones that plain decoding gives: with `do_sample=False` those of `generate`.

    Args:
        controls: what `GuidedLogitsProcessor` takes: a grammar, an output type, a control, or a
            list with an entry for each prompt; None: free text. Outputs of a grammar are complete
            within the limit of the call.
        vocabulary: a Hugging Face tokenizer, a `guided.Model` of the same network, or a
            `Vocabulary`.
        draft: as in `guided.generate`: "auto", None, a small model, drafters.
        streamer: gets the prompt and every new token of a call with one row. `generate` keeps the
            `streamer=` that it is given to itself.

    Keyword arguments of `generate` that are read besides its own: `seed`, which names all random
    numbers (drawn from torch's generator if it is None), and `text_streamer`, a streamer for that
    call.

    Raises:
        ControlError, InputError: the controls cannot be used.
    """

    def __init__(
        self,
        controls: Any = None,
        vocabulary: Any = None,
        *,
        draft: Draft = "auto",
        streamer: Any = None,
    ) -> None:
        if vocabulary is None:
            raise InputError("GuidedGeneration needs the tokenizer: GuidedGeneration(schema, tok)")
        entries = list(controls) if isinstance(controls, list | tuple) else [controls]
        if not entries:
            raise ControlError("no grammar and no control was given; None stands for free text")
        self.entries = [[] if entry is None else controls_of(entry) for entry in entries]
        self.vocabulary = vocabulary
        self.draft = draft
        self.streamer = streamer
        self._last: tuple[Any, frozenset[int], Model] | None = None

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Iterable[Any] = (),
        stopping_criteria: Iterable[Any] = (),
        generation_config: Any = None,
        *,
        seed: int | None = None,
        text_streamer: Any = None,
        **model_kwargs: Any,
    ) -> Tensor | GuidedGenerationOutput:
        """What `generate` returns; called by it.

        Raises:
            InputError: an argument of `generate` that cannot be honoured, by name.
            DecodingError: see `guided.generate`; also where memory ran out.
            KeyboardInterrupt: Ctrl-C.
        """
        check_eval(model)
        check_config(generation_config)
        check_model_arguments(model_kwargs)
        paddings = _paddings(input_ids, model_kwargs.get("attention_mask"))
        check_positions(model_kwargs.get("position_ids"), paddings, input_ids.shape[1])
        stopping = read_criteria(stopping_criteria, input_ids.shape[1])
        owner = self._model(model, stopping.stop_ids)
        pad_id = _pad_id(generation_config, stopping)
        call = _Call(owner, input_ids, paddings, stopping, pad_id)
        sampler = Plain() if generation_config.do_sample else Greedy()
        decoder = Decoder(
            owner.network,
            owner.vocabulary,
            sampler,
            speculation=speculation(owner, self.draft),
        )
        streamer = text_streamer if text_streamer is not None else self.streamer
        controls = self._controls(list(logits_processor), input_ids, paddings)
        number = int(torch.randint(_SEEDS, ())) if seed is None else seed
        call.decode(decoder, controls, number, streamer)
        return call.output(generation_config)

    def _model(self, model: Any, stop_ids: frozenset[int]) -> Model:
        """The network with its vocabulary; that of the last call where it is the same."""
        if isinstance(self.vocabulary, Model):
            if self.vocabulary.hf_model is not model:
                raise InputError("the guided.Model given to GuidedGeneration has another network")
            vocabulary_of(self.vocabulary, stop_ids)
            return self.vocabulary
        if self._last is None or self._last[0] is not model or self._last[1] != stop_ids:
            vocabulary = vocabulary_of(self.vocabulary, stop_ids, logits_width(model))
            tokenizer = None if self.vocabulary is vocabulary else self.vocabulary
            self._last = model, stop_ids, Model(model, tokenizer, vocabulary=vocabulary)
        return self._last[2]

    def _controls(
        self, processors: Sequence[Any], input_ids: Tensor, paddings: Tensor
    ) -> list[list[Control]]:
        """The controls of every row: our own, then those of the call in its order."""
        rows, count = len(paddings), len(self.entries)
        if rows % count:
            raise ControlError(
                f"generate runs {rows} rows, which is no multiple of the {count} controls; give "
                "one, or one for each prompt"
            )
        return [
            [
                *self.entries[row * count // rows],
                *(
                    control
                    for processor in processors
                    for control in row_controls(processor, row, input_ids, paddings)
                ),
            ]
            for row in range(rows)
        ]


class _Call:
    """One call of `generate`: its rows, while they are decoded and when they are done."""

    def __init__(
        self,
        owner: Model,
        input_ids: Tensor,
        paddings: Tensor,
        stopping: Stopping,
        pad_id: int | None,
    ) -> None:
        self.owner = owner
        self.input_ids = input_ids
        self.stopping = stopping
        self.pad_id = pad_id
        self.prompts = [
            tuple(row[padding:])
            for row, padding in zip(input_ids.tolist(), paddings.tolist(), strict=True)
        ]
        self.branches: list[Branch] = []
        self.reasons: list[str] = []

    def decode(
        self,
        decoder: Decoder,
        controls: Sequence[Sequence[Control]],
        seed: int,
        streamer: Any,
    ) -> None:
        """Decodes all rows, each until something ends it."""
        feed = _Feed(streamer, self.input_ids)
        seen: Counter[tuple[int, ...]] = Counter()
        streams = []
        for prompt in self.prompts:
            streams.append(stream(seed, prompt, seen[prompt]))
            seen[prompt] += 1
        self.branches = decoder.open(
            self.prompts, controls, seed, max_new_tokens=self.stopping.limit, rows=streams
        )
        row_of = {id(branch): row for row, branch in enumerate(self.branches)}

        def is_over(branch: Branch) -> bool:
            feed.show(branch.tokens)
            return self._is_met(row_of[id(branch)], branch)

        needs_asking = streamer is not None or bool(self.stopping.criteria)
        decoder.extend(self.branches, is_over if needs_asking else None)
        self.reasons = [branch.finish_reason or "criteria" for branch in self.branches]
        decoder.close(self.branches)
        self._check_reasons()
        feed.show(self.tokens(0))
        feed.end()

    def _is_met(self, row: int, branch: Branch) -> bool:
        if not self.stopping.criteria:
            return False
        new = torch.tensor(branch.tokens, dtype=torch.long, device=self.input_ids.device)
        return self.stopping.holds(torch.cat([self.input_ids[row], new]))

    def _check_reasons(self) -> None:
        if "interrupt" in self.reasons:
            raise KeyboardInterrupt
        for row, branch in enumerate(self.branches):
            if self._ends_itself(row):
                _check_end(row, branch, self.owner.vocabulary)

    def _ends_itself(self, row: int) -> bool:
        """Whether nothing but a stop token could follow, which was not drawn then."""
        tokens, limit = self.branches[row].tokens, self.stopping.limit
        has_room = limit is None or len(tokens) < limit
        is_open = not tokens or tokens[-1] not in self.stopping.stop_ids
        return self.reasons[row] in ("complete", "budget") and has_room and is_open

    def tokens(self, row: int) -> list[int]:
        """The new tokens of a row, with the stop token where it is all that could follow."""
        found = list(self.branches[row].tokens)
        if self._ends_itself(row) and self.stopping.stop_ids:
            found.append(min(self.stopping.stop_ids))
        return found

    def output(self, config: Any) -> Tensor | GuidedGenerationOutput:
        """The tensor, or the whole output where the config asks for it."""
        is_whole = bool(config.return_dict_in_generate)
        if "memory" in self.reasons and not is_whole:
            raise DecodingError(
                "memory ran out; return_dict_in_generate=True gives what there is, with reasons"
            )
        rows = [self.tokens(row) for row in range(len(self.branches))]
        width = max(map(len, rows))
        if self.pad_id is None and any(len(row) < width for row in rows):
            raise InputError("rows of different lengths need a pad_token_id in generate")
        padded = [row + [self.pad_id or 0] * (width - len(row)) for row in rows]
        new = torch.tensor(padded, dtype=torch.long, device=self.input_ids.device)
        sequences = torch.cat([self.input_ids, new.reshape(len(rows), width)], dim=1)
        if not is_whole:
            return sequences
        log_p = _padded([branch.log_p for branch in self.branches], width, sequences.device)
        log_q = _padded([branch.log_q for branch in self.branches], width, sequences.device)
        return GuidedGenerationOutput(sequences, log_p, log_q, tuple(self.reasons))


class _Feed:
    """Hands new tokens to a streamer, each once; does nothing without one."""

    def __init__(self, streamer: Any, input_ids: Tensor) -> None:
        self.streamer = streamer
        self.shown = 0
        if streamer is not None:
            if len(input_ids) > 1:
                raise InputError(f"a streamer shows one row, and there are {len(input_ids)}")
            # As in `generate`: the prompt comes first, and streamers may skip it.
            streamer.put(input_ids.cpu())

    def show(self, tokens: Sequence[int]) -> None:
        """Hands on what is new in `tokens`."""
        if self.streamer is not None:
            for token in tokens[self.shown :]:
                self.streamer.put(torch.tensor([token]))
            self.shown = len(tokens)

    def end(self) -> None:
        """Says that no more will come."""
        if self.streamer is not None:
            self.streamer.end()


def _check_end(row: int, branch: Branch, vocabulary: Vocabulary) -> None:
    """Refuses an end that the call's processors forbid.

    Raises:
        DeadEndError: they forbid every stop token where the grammar allows nothing else.
    """
    stops = torch.zeros(1, vocabulary.size)
    for control, state in zip(branch.pipeline.controls, branch.states, strict=True):
        if isinstance(control, FromProcessor):
            stops, _ = control.apply(stops, [state])
    if vocabulary.stop_ids and bool((stops[0, sorted(vocabulary.stop_ids)] == -torch.inf).all()):
        position = len(branch.tokens)
        raise DeadEndError(
            f"row {row}: the text is complete after {position} tokens, and every stop token is "
            "forbidden there by a processor (min_new_tokens, min_length, suppress_tokens?)",
            position,
        )


def _paddings(input_ids: Tensor, mask: Tensor | None) -> Tensor:
    """How many columns of padding stand before each row's prompt.

    Raises:
        InputError: padding elsewhere, or nothing but padding.
    """
    if input_ids.dim() != 2 or not input_ids.shape[1]:
        raise InputError("GuidedGeneration needs input_ids with at least one token in every row")
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


def _pad_id(config: Any, stopping: Stopping) -> int | None:
    ids = ids_of(getattr(config, "_pad_token_tensor", None))
    ids = ids or ids_of(getattr(config, "pad_token_id", None)) or sorted(stopping.stop_ids)
    return ids[0] if ids else None


def _padded(rows: Sequence[Sequence[float]], width: int, device: torch.device) -> Tensor:
    filled = [list(row) + [0.0] * (width - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.float32, device=device).reshape(len(rows), width)
