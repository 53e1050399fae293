"""stream: text and partial values as they grow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from guided.controls.stop_strings import held_back
from guided.controls.token_index import token_index
from guided.decoding import Branch, Decoder
from guided.drafting import speculation
from guided.errors import InputError
from guided.generation import One
from guided.model import Model
from guided.options import Options, Settings
from guided.result import Result
from guided.rows import Row, make_rows


@dataclass(frozen=True)
class Event:
    """What has changed.

    Attributes:
        delta: new text since the last event.
        text: all text so far.
        value: the value as far as it is there; the text where nothing is to be parsed.
        result: the full result with the last event, None before.
    """

    delta: str
    text: str
    value: Any
    result: Result[Any] | None = None


def stream(
    model: Model, prompt: One, *, schema: Any = None, **options: Unpack[Options]
) -> Iterator[Event]:
    """Events while the model writes; the last one carries the result.

    Takes the options of `generate` for one prompt. The call checks them and reads the prompt.

    Raises:
        see `generate`.

    Example:
        >>> import guided, guided.testing
        >>> model = guided.testing.fake_model('{"name": "Mira"}')
        >>> *_, last = guided.stream(model, "Who? ", schema={"type": "object"})
        >>> last.result.value
        {'name': 'Mira'}
    """
    if options.get("align", "none") != "none":
        raise InputError(
            "stream shows a text while it grows, and an aligned draw may be given up, or changed, "
            "before it is done; use run(..., align=...)"
        )
    if unknown := set(options) - set(Options.__annotations__):
        raise TypeError(f"stream() got an unexpected keyword argument {min(unknown)!r}")
    settings = Settings(schema=schema, **options)
    model = settings.over(model)
    (output,) = settings.outputs(1, is_list=False)
    sampler, controls = settings.sampling.choose(model.generation_config, settings.controls)
    (row,) = make_rows(model, [prompt], [output], settings, [*settings.controls, *controls])
    decoder = Decoder(
        model.network,
        model.vocabulary,
        sampler,
        speculation=speculation(model, settings.draft),
        kv_limit=settings.kv_limit,
    )
    began = time.perf_counter()
    (branch,) = decoder.open(
        [row.tokens],
        [row.controls],
        settings.seed,
        max_new_tokens=row.limit,
        rows=[row.stream(settings.seed, 0)],
    )
    return _events(decoder, row, branch, began)


def _events(decoder: Decoder, row: Row, branch: Branch, began: float) -> Iterator[Event]:
    reader, shown = _Reader(row), ""
    loop = decoder.loop(models=branch.pipeline.models)
    decoder.run(loop, [branch], steps=0)
    count = 0
    while True:
        # A round may bring several tokens; each is shown by itself.
        for read in range(count + 1, len(branch.tokens) + 1):
            is_last = read == len(branch.tokens) and branch.finish_reason is not None
            text, value = reader.read(
                branch.tokens[:read], branch.finish_reason if is_last else None
            )
            if text != shown and not is_last:
                yield Event(text[len(shown) :], text, value)
                shown = text
        count = len(branch.tokens)
        if branch.finish_reason is not None:
            break
        decoder.run(loop, steps=1)
    seconds = time.perf_counter() - began
    result = row.result(branch, seconds, kv_bytes_peak=decoder.usage.kv_bytes_peak)
    yield Event(result.text[len(shown) :], result.text, result.value, result)


class _Reader:
    """The text of a growing branch, up to where it cannot change any more."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.texts: list[bytes] = []
        self.stops = [stop.encode() for stop in row.stops]

    def read(self, tokens: Sequence[int], finish_reason: str | None) -> tuple[str, Any]:
        """The settled text of the tokens, and its partial value."""
        table = token_index(self.row.model.vocabulary).texts
        self.texts += [table[token] for token in tokens[len(self.texts) :]]
        data = self.row.text(self.texts, finish_reason)
        settled = _whole(data[: len(data) - held_back(data, self.stops)])
        begin, _ = self.row.body(tokens, self.texts, settled)
        return settled.decode(errors="replace"), self.row.output.partial(
            settled[begin:].decode(errors="replace")
        )


def _whole(data: bytes) -> bytes:
    """`data` without the beginning of a character at its end."""
    for length in range(1, min(4, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return data
        if byte >= 0xC0:
            wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-length] if length < wanted else data
    return data
