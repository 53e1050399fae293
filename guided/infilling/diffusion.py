"""Holes filled by a masked-diffusion model: all at once, in any order."""

from __future__ import annotations

from collections.abc import Sequence

from guided.decoding.usage import Usage
from guided.diffusion.constraint import GrammarConstraint, Policy
from guided.diffusion.decoder import MaskedDiffusionDecoder
from guided.diffusion.decodings import Decoding
from guided.diffusion.result import DiffusionResult
from guided.diffusion.template import Fixed, Hole, Template
from guided.diffusion_model import DiffusionModel
from guided.grammars.grammar import Grammar
from guided.infilling.fillings import FilledRegion, Filling
from guided.infilling.marked_text import MarkedText


def fill_canvas(
    model: DiffusionModel,
    marked: MarkedText,
    grammar: Grammar | None,
    prompt: str,
    slots: Sequence[int],
    decoding: Decoding,
    policy: Policy,
    seed: int,
) -> Filling:
    """The holes, each with exactly so many slots, decoded together.

    Raises:
        InputError: no token before the canvas, too many positions for the model.
        BudgetError: the fixed text contradicts the grammar, or the slots are too few.
    """
    decoder = MaskedDiffusionDecoder(model.adapter, decoding, policy=policy)
    constraint = None if grammar is None else GrammarConstraint(grammar, model.vocabulary)
    template = template_of(model, marked, slots)
    (found,) = decoder.generate(
        [model.encode(prompt)], template=template, constraint=constraint, seed=seed
    )
    return _filling(model, found, template)


def template_of(model: DiffusionModel, marked: MarkedText, slots: Sequence[int]) -> Template:
    """The text as slots: tokens of the fixed pieces, and holes."""
    parts: list[Fixed | Hole] = []
    for number, piece in enumerate(marked.pieces):
        if piece:
            parts.append(Fixed(tuple(_tokens(model, piece))))
        if number < marked.holes:
            parts.append(Hole(slots[number]))
    return Template(parts)


def _tokens(model: DiffusionModel, piece: str) -> list[int]:
    """A piece's tokens as its tokenizer spells it, so that the model knows them."""
    if model.tokenizer is None:
        return model.vocabulary.encode(piece.encode())
    tokens = list(model.tokenizer(piece, add_special_tokens=False)["input_ids"])
    # Some tokenizers put a space in front of every text.
    if model.vocabulary.decode(tokens) != piece.encode():
        return model.vocabulary.encode(piece.encode())
    return tokens


def _filling(model: DiffusionModel, found: DiffusionResult, template: Template) -> Filling:
    reason = found.finish_reason
    if reason == "rescued" and model.adapter.mask_id in found.canvas:
        # The grammar's completion has other lengths than the holes.
        reason = "unknown" if found.checks.unknown else "dead_end"
    regions = [
        FilledRegion(
            model.vocabulary.decode(token for token in tokens if token != model.adapter.mask_id),
            tokens,
            found.log_p[begin : begin + len(tokens)],
            reason,
        )
        for tokens, (begin, _) in zip(found.holes, template.holes, strict=True)
    ]
    usage = found.usage
    spent = Usage(
        tokens=usage.committed,
        passes=usage.passes,
        positions=usage.positions,
        drafted=usage.drafted,
        accepted=usage.accepted,
    )
    return Filling(regions, spent, found.checks.checks, found.checks.unknown)
