"""What a prefix trie is about: nothing learnt from one law may be used for another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from guided.controls.measured_mask import MeasuredMask
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.model import Model

#: Weights of each tensor that tell models apart.
_SAMPLED = 64


@dataclass(frozen=True, slots=True)
class TrieKey:
    """What must be equal for a trie to be used again.

    Attributes:
        model: a fingerprint of the model and its vocabulary.
        prompt: the tokens that it reads.
        warping: the controls that edit its law before the mask.
        grammar: the language, with its limit of tokens.
        rule: what is learnt: "legal", what is legal after a prefix (ASAp, CARS), or "rejected",
            what was rejected (ARS).
    """

    model: str
    prompt: tuple[int, ...]
    warping: str
    grammar: str
    rule: str = "legal"

    @classmethod
    def of(
        cls,
        model: Model,
        prompt: Iterable[int],
        controls: Iterable[Control],
        limit: int | None,
        rule: str = "legal",
    ) -> TrieKey:
        """That of a sequence under these controls, one of which measures.

        Args:
            limit: most new tokens.

        Raises:
            InputError: a control that has no name of its own, so that nothing can be kept under it.
        """
        warps = []
        grammar = ""
        for control in controls:
            if isinstance(control, MeasuredMask):
                left = limit if control.within_budget else None
                grammar = f"{control.grammar.key.hex()} {left} {control.thinking_budget}"
            else:
                warps.append(_name(control))
        return cls(fingerprint(model), tuple(prompt), ", ".join(warps), grammar, rule)

    def told(self) -> dict[str, Any]:
        """The key as JSON has it."""
        return asdict(self) | {"prompt": list(self.prompt)}

    @classmethod
    def read(cls, told: dict[str, Any]) -> TrieKey:
        """The key of what `told` gave."""
        return cls(**told | {"prompt": tuple(told["prompt"])})


def _name(control: Control) -> str:
    name = repr(control)
    if " at 0x" in name:
        raise InputError(
            f"{type(control).__name__} shows only where it lies in memory, so that nothing learnt "
            "under it could be told from what was learnt under another; give it a __repr__, or no "
            "tries"
        )
    return name


def fingerprint(model: Model) -> str:
    """A hash that changes with the model's weights, their type, its settings or its vocabulary.

    Of every tensor a few weights are read, so that large models are told apart in no time.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(type(model.hf_model).__name__.encode())
    digest.update(model.vocabulary.key.encode())
    for piece in _pieces(model.hf_model):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(hf_model: Any) -> Iterator[bytes]:
    settings = {
        name: value
        for name, value in vars(hf_model).items()
        if isinstance(value, int | float) and not name.startswith("_") and name != "training"
    }
    yield json.dumps(settings, sort_keys=True).encode()
    tensors: dict[str, Any] = getattr(hf_model, "state_dict", dict)()
    for name, tensor in sorted(tensors.items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode()
        if tensor.device.type != "meta" and tensor.numel():
            flat = tensor.detach().reshape(-1)
            some = flat[:: max(1, flat.numel() // _SAMPLED)]
            yield some.to(torch.float32).cpu().numpy().tobytes()
