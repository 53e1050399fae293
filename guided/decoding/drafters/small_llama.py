"""Small Llamas whose tokens are drawn by one kernel, without a framework's cost for each layer."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guided.decoding.network import Network
from guided.kernels import small_llama
from guided.kernels.direct_calls import Direct
from guided.kernels.dispatch import Implementation, on_cpu

#: Numbers up to which a network is small: beyond, the framework's matrix products are faster.
MOST_NUMBERS = 1 << 21
#: Places for which angles are known at first.
_PLACES = 1 << 10
#: Tokens that a network is tried with, and how far its logits may lie off, as a share of the span.
_TRIED, _OFF = (1, 2, 0, 3, 1), 1e-3

Floats = NDArray[np.float32]


class SmallLlama:
    """Draws chains from a copy of a network's weights.

    Later changes of the network are not seen; guesses would get worse, and nothing else.

    Args:
        model: the Hugging Face model.
        tokens: how many may be drawn: the first ones.
    """

    def __init__(self, model: Any, tokens: int) -> None:
        decoder, config = model.model, model.config
        layers = decoder.layers
        self.tokens = min(tokens, config.vocab_size)
        #: Tokens that it can read.
        self.readable = int(config.vocab_size)
        self._shape = len(layers), 2, config.num_key_value_heads, layers[0].self_attn.head_dim
        norms = [n for at in layers for n in (at.input_layernorm, at.post_attention_layernorm)]
        attention, rise = [at.self_attn for at in layers], [at.mlp for at in layers]
        self._weights = (
            _numbers(decoder.embed_tokens.weight),
            _numbers(torch.stack([norm.weight for norm in [*norms, decoder.norm]])),
            _matrices([[at.q_proj, at.k_proj, at.v_proj] for at in attention]),
            _matrices([[at.o_proj] for at in attention]),
            _matrices([[at.gate_proj, at.up_proj] for at in rise]),
            _matrices([[at.down_proj] for at in rise]),
            _numbers(model.get_output_embeddings().weight[: self.tokens].T),
            np.float32(config.rms_norm_eps),
        )
        self._frequencies = _numbers(decoder.rotary_emb.inv_freq)
        self._angles = self._made_angles(_PLACES)
        self._logits = np.empty(self.tokens, np.float32)
        self._call = Direct(small_llama.guess)

    @classmethod
    def of(cls, network: Network, tokens: int) -> SmallLlama | None:
        """That of a network; None where it is another one, is large, or is not on a CPU."""
        model = network.model
        if on_cpu() is not Implementation.NUMBA or not _is_plain(model):
            return None
        found = cls(model, tokens)
        text = np.array([token % found.readable for token in _TRIED])
        with torch.no_grad():
            wanted = model(input_ids=torch.from_numpy(text)[None]).logits[0, -1, : found.tokens]
        right = wanted.float().numpy()
        gap = np.abs(found.logits(text) - right).max()
        return found if gap <= _OFF * (1 + np.ptp(right)) else None

    def cache(self, places: int) -> Floats:
        """Keys and values `[layers, 2, places, heads, width]` of any numbers."""
        layers, both, heads, width = self._shape
        return np.empty((layers, both, places, heads, width), np.float32)

    def logits(self, text: NDArray[np.int64]) -> Floats:
        """What comes after a text, float32 `[tokens]`."""
        self.guess(text, 0, self.cache(len(text) + 1), 0.0, np.zeros(1), np.empty(0, np.int64), 0)
        return self._logits.copy()

    def guess(
        self,
        text: NDArray[np.int64],
        read: int,
        cache: Floats,
        temperature: float,
        numbers: NDArray[np.float64],
        stops: NDArray[np.int64],
        least: float,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tokens of a chain after a text, and their chances; see `kernels.small_llama`."""
        if len(text) + len(numbers) > len(self._angles[0]):
            self._angles = self._made_angles(2 * (len(text) + len(numbers)))
        tokens, chances = np.empty(len(numbers), np.int64), np.empty(len(numbers))
        count = self._call(
            text, read, (*self._weights, *self._angles), cache, np.float32(temperature), numbers,
            stops, float(least), self._logits, tokens, chances,
        )  # fmt: skip
        return tokens[:count], chances[:count]

    def _made_angles(self, places: int) -> tuple[Floats, Floats]:
        angles = np.arange(places, dtype=np.float64)[:, None] * self._frequencies
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _numbers(tensor: Tensor) -> Floats:
    """A copy as the kernel reads it."""
    return np.array(tensor.detach().float().numpy(), np.float32, order="C")


def _matrices(layers: list[list[nn.Linear]]) -> Floats:
    """`[layers, in, out]` of linear maps side by side."""
    return np.stack([_numbers(torch.cat([p.weight for p in parts]).T) for parts in layers])


@functools.cache
def _llama() -> Any:
    """The class of models that are known; transformers loads its file when it is first named."""
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM


def _is_plain(model: Any) -> bool:
    """Whether a model is a small Llama on a CPU without any extras."""
    if type(model) is not _llama() or model.training:
        return False
    config = model.config
    parts = [part for part in model.modules() if not list(part.children())]
    maps = [part for part in parts if type(part) is nn.Linear]
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        sum(weight.numel() for weight in model.parameters()) <= MOST_NUMBERS
        and all(w.device.type == "cpu" and w.is_floating_point() for w in model.parameters())
        and all(w.dtype is not torch.float64 for w in model.parameters())
        and len(maps) == 7 * config.num_hidden_layers + 1
        and all(part.bias is None for part in maps)
        and config.hidden_act in ("silu", "swish")
        and rope.get("rope_type", "default") == "default"
    )
