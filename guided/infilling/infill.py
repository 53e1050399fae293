"""infill: text with holes in, the same text with something valid in every hole out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from guided.decoding.usage import Usage
from guided.diffusion.constraint import Policy
from guided.diffusion.decodings import Decoding, LLaDA
from guided.diffusion.law import Warp
from guided.diffusion_model import DiffusionModel
from guided.errors import DeadEndError, InputError, VocabularyError
from guided.grammars.grammar import Grammar
from guided.infilling.causal import CausalInfiller
from guided.infilling.diffusion import fill_canvas
from guided.infilling.fillings import UNFILLED, Filling
from guided.infilling.marked_text import MarkedText
from guided.infilling.middle_tokens import middle_tokens
from guided.kinds import Kind, of_kind
from guided.model import Model
from guided.outputs import Output, output_of

Layout = Literal["auto", "prefix", "middle"]


@dataclass(frozen=True)
class Region:
    """What stands in one hole.

    Attributes:
        text: what was written.
        begin, end: where, as offsets in characters of the whole text.
        tokens: that spell it, where the model chose them.
        log_p: of each under the model's own law.
        finish_reason: "stop" (the model ended it), "echo" (it went on with the fixed text behind
            the hole), "complete" (the grammar lets nothing more in), "length" (as many tokens as
            allowed, or all slots filled), "early_commit" (a stopper of the decoding), "rescued"
            (the grammar's own completion), "dead_end" or "unknown" (nothing valid was found, or
            checks were not answered in time), "open" (not reached).
    """

    text: str
    begin: int
    end: int
    tokens: tuple[int, ...] = field(repr=False)
    log_p: tuple[float, ...] = field(repr=False)
    finish_reason: str

    @property
    def is_complete(self) -> bool:
        """Whether the hole is filled."""
        return self.finish_reason not in UNFILLED


@dataclass(frozen=True)
class Infilled:
    """A text whose holes are filled.

    Attributes:
        text: the whole; a hole that could not be filled keeps its mark.
        value: what `text` is parsed to; None where a hole could not be filled.
        regions: what stands in each hole, in order.
        checks: how often the grammar was asked; `unknown`: how often it did not answer in time.
        usage: what it has cost.
    """

    text: str
    value: Any
    regions: tuple[Region, ...]
    usage: Usage
    checks: int = 0
    unknown: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every hole is filled."""
        return all(region.is_complete for region in self.regions)

    def check(self) -> Infilled:
        """Itself, where every hole is filled.

        Raises:
            DeadEndError: a hole is not.
        """
        for number, region in enumerate(self.regions):
            if not region.is_complete:
                raise DeadEndError(
                    f"hole {number} could not be filled ({region.finish_reason}; {self.unknown} of"
                    f" {self.checks} checks were not answered in time). So far: {self.text!r}"
                )
        return self


def infill(
    model: Model,
    text: str,
    *,
    grammar: str | Grammar | None = None,
    schema: Any = None,
    regex: str | None = None,
    prompt: str = "",
    hole: str = "<hole>",
    max_new_tokens: int | Sequence[int] = 32,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    kind: Kind = "auto",
    decoding: Decoding | None = None,
    layout: Layout = "auto",
    rescue: bool = True,
    attempts: int = 100,
) -> Infilled:
    """The text with its holes filled, so that the whole follows the grammar, schema or regex.

    A masked-diffusion model fills all holes at once, in any order. A causal model fills them from
    left to right; it reads what stands before a hole, and what stands behind it too if it was
    trained to (see `layout`). Either way every token is checked against the whole text: only what
    can still be completed around all fixed pieces is taken (arXiv:2508.10111).

    Args:
        text: with a mark where each hole is.
        grammar, schema, regex: what the whole text must follow; at most one. None: anything.
        prompt: read by the model before the text, and no part of it.
        hole: the mark.
        max_new_tokens: for each hole or all: at most so many tokens of a causal model, exactly so
            many slots of a masked-diffusion one.
        temperature: 0 takes the likeliest token.
        decoding: how a masked-diffusion model decodes; temperature and the rest belong into it.
        layout: what a causal model reads: "prefix", the text before the hole; "middle", also the
            text behind it, by the tokenizer's fill-in-the-middle tokens; "auto", that where there
            are such tokens.
        rescue: whether the grammar's own completion is written where decoding fails.
        attempts: proposals that may be refused at one place before decoding fails there.

    Returns:
        The filled text; where it could not be filled, as far as it got (`is_complete`).

    Raises:
        InputError: no hole, or options that cannot work.
        BudgetError: the fixed text contradicts the grammar, or the slots are too few for it.
        ModelError: a model of another kind than `kind` says.

    Example:
        >>> import guided
        >>> model = guided.load("examples/models/tiny-lm")
        >>> guided.infill(model, "[1, <hole>, 3]", regex=r"\\[[0-9](, [0-9])*\\]").is_complete
        True
    """
    model = of_kind(model, kind)
    if model.vocabulary.drops_first_space:
        raise VocabularyError(
            "a WordPiece tokenizer cannot say whether a space stands at the edge of a hole, so "
            "its models do not infill; guided.generate takes them"
        )
    marked = MarkedText.parsed(text, hole)
    output = output_of(schema=schema, regex=regex, grammar=grammar)
    limits = _limits(max_new_tokens, marked.holes)
    policy = Policy(resamples=attempts, rescue=rescue)
    began = time.perf_counter()
    if isinstance(model, DiffusionModel):
        if layout != "auto":
            raise InputError(f"layout={layout!r} is for causal models; this one sees everything")
        how = _decoding(decoding, temperature, top_k, top_p)
        done = fill_canvas(model, marked, output.grammar, prompt, limits, how, policy, seed)
    else:
        if decoding is not None:
            raise InputError(f"decoding={decoding!r} is for masked-diffusion models")
        middle = middle_tokens(model.tokenizer) if layout != "prefix" else None
        if layout == "middle" and middle is None:
            raise InputError("the tokenizer has no fill-in-the-middle tokens; use layout='prefix'")
        warp = Warp(temperature, top_k, top_p)
        done = CausalInfiller(
            model, marked, output.grammar, prompt, limits, warp, policy, seed, middle
        ).run()
    done.usage.seconds = time.perf_counter() - began
    return _read(marked, hole, output, done)


def _limits(given: int | Sequence[int], holes: int) -> list[int]:
    limits = [given] * holes if isinstance(given, int) else list(given)
    if len(limits) != holes:
        raise InputError(f"max_new_tokens has {len(limits)} numbers for {holes} holes")
    if any(limit < 1 for limit in limits):
        raise InputError(f"max_new_tokens must be at least 1 for every hole, not {given}")
    return limits


def _decoding(
    decoding: Decoding | None, temperature: float, top_k: int | None, top_p: float
) -> Decoding:
    if decoding is None:
        return LLaDA(temperature=temperature, top_k=top_k, top_p=top_p)
    if temperature or top_k is not None or top_p != 1:
        raise InputError("give the temperature, top_k and top_p to decoding=, which has its own")
    return decoding


def _read(marked: MarkedText, hole: str, output: Output, done: Filling) -> Infilled:
    """The result; offsets in bytes become offsets in characters."""
    data = [region.data if region.is_complete else None for region in done.regions]
    whole = marked.filled(data, hole)
    regions = []
    at = 0
    for piece, region, filling in zip(marked.pieces, done.regions, data, strict=False):
        begin = at + len(piece)
        text = hole if filling is None else filling.decode(errors="replace")
        at = begin + len(text)
        shown = region.data.decode(errors="replace")
        regions.append(Region(shown, begin, at, region.tokens, region.log_p, region.finish_reason))
    text = whole.decode(errors="replace")
    is_complete = all(region.is_complete for region in regions)
    value = output.parse(text) if is_complete else None
    return Infilled(text, value, tuple(regions), done.usage, done.checks, done.unknown)
