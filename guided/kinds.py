"""The two kinds of language model: which one a model is, and which one a caller expects."""

from __future__ import annotations

from typing import Any, Literal, get_args

from guided.diffusion.adapter import DiffusionAdapter
from guided.diffusion_model import DiffusionModel
from guided.errors import InputError, ModelError
from guided.model import Model

#: Causal models predict the next token, masked-diffusion models fill masks in any order.
Kind = Literal["auto", "causal", "masked-diffusion"]


def check_kind(kind: str) -> None:
    """Refuses what is no kind of model.

    Raises:
        InputError: none of "auto", "causal", "masked-diffusion".
    """
    if kind not in get_args(Kind):
        raise InputError(f"kind={kind!r} is unknown; give one of {', '.join(get_args(Kind))}")


def of_kind(model: Any, kind: Kind) -> Model:
    """The model, a `DiffusionModel` if it is an adapter of one.

    Raises:
        InputError: neither a `guided.Model` nor an adapter, or an unknown kind.
        ModelError: it is of the other kind.
    """
    check_kind(kind)
    if isinstance(model, DiffusionAdapter):
        model = DiffusionModel(model)
    if not isinstance(model, Model):
        raise InputError(
            f"{type(model).__name__} is no guided.Model: load it with guided.load, or make a"
            " guided.Model(model, tokenizer) or guided.DiffusionModel(model, tokenizer) of it"
        )
    is_diffusion = isinstance(model, DiffusionModel)
    if kind == "masked-diffusion" and not is_diffusion:
        raise ModelError(
            f"{model!r} is a causal model, which cannot fill masks, and kind={kind!r} was asked"
            " for; if it is a masked-diffusion model, make a guided.DiffusionModel of it"
        )
    if kind == "causal" and is_diffusion:
        raise ModelError(f"{model!r} has no law of the next token, and kind={kind!r} was asked for")
    return model
