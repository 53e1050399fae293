"""`model.generate(..., custom_generate=GuidedGeneration(...))`: guided's decoding in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from guided.controls.over import over
from guided.controls.protocol import Control
from guided.decoding import Branch, Decoder, Greedy, Plain
from guided.decoding.rng import stream
from guided.drafting import Draft, speculation
from guided.errors import DecodingError, InputError
from guided.hf.call import (
    Owner,
    check_end,
    checked_paddings,
    controls_of_rows,
    ends_itself,
    entries_of,
    pad_id_of,
    padded_numbers,
    prompts_of,
    seed_of,
    sequences_of,
    with_stop,
)
from guided.hf.output import GuidedGenerationOutput
from guided.hf.stopping import Stopping, read_criteria
from guided.model import Model
from guided.options import Align, Settings


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
        align: how to draw from the model's own law conditioned on the grammar, as in
            `guided.generate`. The law is that of the call, with `do_sample=True`: its temperature,
            penalties, processors, and its top_k, which `generate` sets to 50 unless it is given as
            0. The draws of a prompt are its `num_return_sequences`.

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
        align: Align = "none",
    ) -> None:
        if vocabulary is None:
            raise InputError("GuidedGeneration needs the tokenizer: GuidedGeneration(schema, tok)")
        self.align: Align = "none"
        if align != "none":
            # The searches are loaded where they are needed.
            from guided.alignment import is_aligned

            if is_aligned(align):
                self.align = align
        self.entries = entries_of(controls)
        self.owner = Owner(vocabulary)
        self.draft = draft
        self.streamer = streamer

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
        paddings = checked_paddings(model, input_ids, generation_config, model_kwargs)
        stopping = read_criteria(stopping_criteria, input_ids.shape[1])
        owner = self.owner.of(model, stopping.stop_ids)
        streamer = text_streamer if text_streamer is not None else self.streamer
        controls = controls_of_rows(self.entries, list(logits_processor), input_ids, paddings)
        number = seed_of(seed)
        own = {id(each): each for each in (over(owner, some) for some in controls)}
        if any(each is not owner for each in own.values()):
            return self._over_bytes(
                list(own.values()), input_ids, paddings, controls, stopping, generation_config,
                number, streamer,
            )  # fmt: skip
        if self.align != "none":
            if streamer is not None:
                raise InputError(
                    "a streamer shows a text as it grows; draws of align= may not stay"
                )
            from guided.hf.aligned import aligned_output

            settings = Settings(align=self.align, seed=number, draft=self.draft)
            return aligned_output(
                owner, input_ids, paddings, controls, stopping, generation_config, settings
            )
        pad_id = pad_id_of(generation_config, stopping)
        call = _Call(owner, input_ids, paddings, stopping, pad_id)
        sampler = Plain() if generation_config.do_sample else Greedy()
        decoder = Decoder(
            owner.network,
            owner.vocabulary,
            sampler,
            speculation=speculation(owner, self.draft),
        )
        call.decode(decoder, controls, number, streamer)
        return call.output(generation_config)

    def _over_bytes(
        self,
        models: Sequence[Any],
        input_ids: Tensor,
        paddings: Tensor,
        controls: Sequence[Sequence[Control]],
        stopping: Stopping,
        config: Any,
        seed: int,
        streamer: Any,
    ) -> Tensor | GuidedGenerationOutput:
        """What `generate` returns where controls work on another model than the caller's."""
        if len(models) > 1:
            raise InputError(
                "some prompts are to be decoded byte by byte and others not; give all of them "
                "controls of one kind"
            )
        if streamer is not None:
            raise InputError(
                "a streamer shows tokens as they come, and of bytes there are tokens only when the "
                "text is whole; guided.stream shows text"
            )
        if self.align != "none":
            raise InputError("align= does not go together with a control that must come last")
        from guided.hf.over_bytes import byte_output

        return byte_output(
            models[0], input_ids, prompts_of(input_ids, paddings), controls, stopping, config,
            pad_id_of(config, stopping), seed, self.draft,
        )  # fmt: skip


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
        self.prompts = prompts_of(input_ids, paddings)
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
        for row, (branch, reason) in enumerate(zip(self.branches, self.reasons, strict=True)):
            if ends_itself(branch.tokens, reason, self.stopping):
                controls, vocabulary = branch.pipeline.controls, self.owner.vocabulary
                check_end(row, branch.prompt, branch.tokens, controls, vocabulary)

    def tokens(self, row: int) -> list[int]:
        """The new tokens of a row, with the stop token where it is all that could follow."""
        return with_stop(self.branches[row].tokens, self.reasons[row], self.stopping)

    def output(self, config: Any) -> Tensor | GuidedGenerationOutput:
        """The tensor, or the whole output where the config asks for it."""
        is_whole = bool(config.return_dict_in_generate)
        if "memory" in self.reasons and not is_whole:
            raise DecodingError(
                "memory ran out; return_dict_in_generate=True gives what there is, with reasons"
            )
        rows = [self.tokens(row) for row in range(len(self.branches))]
        sequences = sequences_of(self.input_ids, rows, self.pad_id)
        if not is_whole:
            return sequences
        width, device = sequences.shape[1] - self.input_ids.shape[1], sequences.device
        log_p = padded_numbers([branch.log_p for branch in self.branches], width, device)
        log_q = padded_numbers([branch.log_q for branch in self.branches], width, device)
        found = tuple(each.pipeline.certificate(each.states) for each in self.branches)
        return GuidedGenerationOutput(sequences, log_p, log_q, tuple(self.reasons), found)


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
