"""Rows of `generate` decoded byte by byte: prompts as text, and tokens for the bytes drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from guided.byte_laws import END, ByteModel
from guided.controls.protocol import Control
from guided.decoding import Decoder, Greedy, Plain
from guided.decoding.rng import stream
from guided.drafting import Draft, speculation
from guided.errors import DecodingError, InputError
from guided.hf.call import padded_numbers, sequences_of
from guided.hf.output import GuidedGenerationOutput
from guided.hf.stopping import Stopping
from guided.model import Model


@dataclass(frozen=True)
class TokenRow:
    """The tokens of what was drawn, with the log-probabilities of each one's symbols together."""

    tokens: list[int]
    log_p: list[float]
    log_q: list[float]


def byte_output(
    model: ByteModel,
    input_ids: Tensor,
    prompts: Sequence[tuple[int, ...]],
    controls: Sequence[Sequence[Control]],
    stopping: Stopping,
    config: Any,
    pad_id: int | None,
    seed: int,
    draft: Draft,
) -> Tensor | GuidedGenerationOutput:
    """What `generate` returns: the tokens that the tokenizer makes of the bytes drawn.

    A row has at most as many symbols as tokens were asked for.

    Args:
        controls: of every row.

    Raises:
        InputError: stopping criteria, a prompt that no text encodes to.
        DecodingError: memory ran out; with `return_dict_in_generate` there is what there is.
        KeyboardInterrupt: Ctrl-C.
    """
    for criterion in stopping.criteria:
        raise InputError(
            f"{type(criterion).__name__} is asked after every token, and what is decoded here are "
            "bytes; give max_new_tokens"
        )
    decoder = Decoder(
        model.network,
        model.vocabulary,
        Plain() if config.do_sample else Greedy(),
        speculation=speculation(model, draft),
    )
    given = [model.encode(text_of(model, row, prompt)) for row, prompt in enumerate(prompts)]
    seen: Counter[tuple[int, ...]] = Counter()
    streams = []
    for prompt in prompts:
        streams.append(stream(seed, prompt, seen[prompt]))
        seen[prompt] += 1
    branches = decoder.open(given, controls, seed, max_new_tokens=stopping.limit, rows=streams)
    decoder.extend(branches)
    reasons = tuple(branch.finish_reason or "length" for branch in branches)
    if "interrupt" in reasons:
        raise KeyboardInterrupt
    is_whole = bool(config.return_dict_in_generate)
    if "memory" in reasons and not is_whole:
        raise DecodingError(
            "memory ran out; return_dict_in_generate=True gives what there is, with reasons"
        )
    rows = [token_row(model, branch, stopping) for branch in branches]
    sequences = sequences_of(input_ids, [row.tokens for row in rows], pad_id)
    if not is_whole:
        return sequences
    width, device = sequences.shape[1] - input_ids.shape[1], sequences.device
    return GuidedGenerationOutput(
        sequences,
        padded_numbers([row.log_p for row in rows], width, device),
        padded_numbers([row.log_q for row in rows], width, device),
        reasons,
        tuple(branch.pipeline.certificate(branch.states) for branch in branches),
    )


def text_of(model: ByteModel, row: int, prompt: Sequence[int]) -> str:
    """The text that the model's tokenizer makes these tokens of, or others that spell the same.

    Raises:
        InputError: there is none.
    """
    owner, law = model.tokens, model.law
    wanted = law.opening(prompt)
    names = {token: text for text, token in owner.vocabulary.specials.items()}
    added = 0
    while added <= len(prompt):
        # What the tokenizer puts before every text must not stand in it once more.
        pieces = [names.get(t, owner.vocabulary.tokens[t] or b"") for t in prompt[added:]]
        data = b"".join(p.encode() if isinstance(p, str) else p for p in pieces)
        try:
            text = data.decode()
            found = law.opening(text)
        except (UnicodeDecodeError, InputError):
            found = None
        if found is not None and (found.tokens, found.data) == (wanted.tokens, wanted.data):
            return text
        if added == len(prompt) or prompt[added] not in names:
            break
        added += 1
    raise InputError(
        f"row {row}: no text encodes to this prompt, which a model over bytes has to read; give "
        "generate the tokens of a text"
    )


class Drawn(Protocol):
    """Symbols that were drawn: a branch, or a result."""

    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def log_p(self) -> Sequence[float]: ...
    @property
    def log_q(self) -> Sequence[float]: ...
    @property
    def finish_reason(self) -> str | None: ...


def token_row(model: ByteModel, drawn: Drawn, stopping: Stopping) -> TokenRow:
    """The tokens of what was drawn, with the stop token where the text has ended."""
    owner = model.tokens
    symbols = [symbol for symbol in drawn.tokens if symbol != END]
    tokens = tokens_of(owner, bytes(symbols))
    log_p: list[float] = []
    log_q: list[float] = []
    at = 0
    for token in tokens:
        end = at + len(owner.vocabulary.tokens[token] or b"")
        log_p.append(sum(drawn.log_p[at:end]))
        log_q.append(sum(drawn.log_q[at:end]))
        at = end
    ended = drawn.finish_reason in ("stop", "complete", "budget")
    has_room = stopping.limit is None or len(tokens) < stopping.limit
    if ended and has_room and stopping.stop_ids:
        tokens.append(min(stopping.stop_ids))
        log_p.append(sum(drawn.log_p[at:]))
        log_q.append(sum(drawn.log_q[at:]))
    return TokenRow(tokens, log_p, log_q)


def tokens_of(owner: Model, data: bytes) -> list[int]:
    """The tokens that a tokenizer makes of bytes; where they are no text, others that spell it."""
    if owner.tokenizer is not None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = None
        if text is not None:
            found = list(owner.tokenizer(text, add_special_tokens=False)["input_ids"])
            if b"".join(owner.vocabulary.tokens[token] or b"" for token in found) == data:
                return found
    return owner.vocabulary.encode(data)
