"""A random network of realistic size that writes known texts: real cost, realistic output.

A network with random weights writes noise, in which there is nothing to draft. This one computes
all of its layers and then adds a bonus to the logit of the token that goes on in a known text.
The bonus is a pure function of the prefix, however the prefix is computed (batches, caches, draft
trees, shared prefixes, any attention mask):

- every prompt begins with a token that names its text. In the first layer one head attends to all
  earlier tokens evenly (its keys are zero), sees nothing but these tokens (the values of all
  others are zero), and writes what it found to dimensions of the residual stream that nothing
  else writes to; they hold the code of the text;
- the position and the token that was read say whether the text was followed up to here. Where the
  token is another one, there is no bonus and the network writes noise.

Not modelled: a real network would go on sensibly after a token that is not in the text.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.modeling_outputs import CausalLMOutputWithPast

#: Far above the noise, whose logits have a standard deviation of about one half.
BONUS = 20.0
NOTHING = -1


@dataclass(frozen=True)
class Shape:
    """The size of a Llama."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    intermediate: int


#: By their number of parameters: 59 and 7 million with a vocabulary of 32,768, and two for a GPU.
SHAPES = {
    "60m": Shape(576, 10, 9, 9, 1536),
    "7m": Shape(192, 2, 3, 3, 512),
    "1b": Shape(2048, 16, 32, 8, 8192),
    "8b": Shape(4096, 32, 32, 8, 14336),
}


class CopyingLlama(LlamaForCausalLM):
    """See the module's docstring. Without `teach` it writes noise."""

    def teach(
        self,
        texts: Sequence[Sequence[int]],
        marks: Sequence[int],
        wrong: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Lets it write `texts`: text i stands in prompts that begin with the token `marks[i]`.

        Args:
            texts: whole sequences, prompts included.
            wrong: share of the positions where another token than the text's is written.
        """
        width = max(map(len, texts))
        known = torch.full((len(texts), width + 1), NOTHING)
        for row, text in enumerate(texts):
            known[row, : len(text)] = torch.tensor(list(text))
        following = known.roll(-1, dims=1)
        generator = torch.Generator().manual_seed(seed)
        other = torch.randint(self.config.vocab_size, following.shape, generator=generator)
        strays = torch.rand(following.shape, generator=generator) < wrong
        following = torch.where(strays & (following != NOTHING), other, following)
        self._known, self._following = known.to(self.device), following.to(self.device)
        self._build_marker_head(marks)
        self.lm_head.register_forward_pre_hook(self._see)

    def _see(self, head: torch.nn.Module, given: tuple[Tensor, ...]) -> None:
        """Remembers the hidden states of which the logits are wanted."""
        self._hidden = given[0]

    @torch.no_grad()
    def _build_marker_head(self, marks: Sequence[int]) -> None:
        count = self.config.head_dim // 2
        generator = torch.Generator().manual_seed(0)
        # One vector of signs for each text; the nearest one names it.
        codes = torch.randint(2, (len(marks), count), generator=generator) * 2 - 1
        if len(set(map(tuple, codes.tolist()))) < len(marks):
            raise ValueError(f"{len(marks)} texts do not fit into {count} dimensions")
        weight = self.model.embed_tokens.weight
        self._codes = codes.to(weight)
        self._answer = slice(count, 2 * count)
        weight[:, : 2 * count] = 0
        weight[list(marks), :count] = self._codes / count**0.5
        for layer in self.model.layers:
            layer.self_attn.o_proj.weight[: 2 * count] = 0
            layer.mlp.down_proj.weight[: 2 * count] = 0
        head = self.model.layers[0].self_attn
        size = self.config.head_dim
        head.k_proj.weight[:size] = 0
        head.v_proj.weight[:size] = 0
        head.v_proj.weight[list(range(count)), list(range(count))] = 1
        head.o_proj.weight[list(range(count, 2 * count)), list(range(count))] = 1

    @functools.wraps(LlamaForCausalLM.forward)
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """What `LlamaForCausalLM.forward` returns, the known text made likely."""
        if input_ids is None:
            raise ValueError("a copying network needs input_ids, not inputs_embeds")
        if position_ids is None:
            position_ids = _positions(input_ids, attention_mask, kwargs)
        output = super().forward(input_ids, attention_mask, position_ids, **kwargs)
        if hasattr(self, "_known"):
            keep = kwargs.get("logits_to_keep", 0)
            kept = slice(-keep, None) if isinstance(keep, int) else keep
            positions = position_ids.expand(input_ids.shape)[:, kept]
            self._add_bonus(output.logits, self._hidden, input_ids[:, kept], positions)
        return output

    def _add_bonus(self, logits: Tensor, hidden: Tensor, ids: Tensor, positions: Tensor) -> None:
        text = (hidden[..., self._answer] @ self._codes.T).argmax(dim=-1)
        at = positions.clamp(max=self._known.shape[1] - 1)
        following = self._following[text, at]
        follows = (self._known[text, at] == ids) & (following != NOTHING)
        bonus = (follows * BONUS).to(logits.dtype)
        logits.scatter_add_(-1, following.clamp(min=0)[..., None], bonus[..., None])


def _positions(ids: Tensor, mask: Tensor | None, kwargs: Mapping[str, Any]) -> Tensor:
    """Positions where the caller gives none; a mask of four dimensions does not tell them."""
    if mask is not None and mask.dim() == 2:
        return (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    if mask is not None:
        raise ValueError("position_ids are needed with a mask of four dimensions")
    # transformers 5.24 has renamed the argument.
    cache = kwargs.get("cache", kwargs.get("past_key_values"))
    begin = cache.get_seq_length() if cache is not None else 0
    return torch.arange(begin, begin + ids.shape[1], device=ids.device)[None]


def copying_llama(
    tokenizer: PreTrainedTokenizerFast,
    shape: Shape,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> CopyingLlama:
    """A network of that shape with random weights; call its `teach` before use."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    devices = [device] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices), torch.device(device):
        torch.manual_seed(seed)
        model = CopyingLlama(config)
    return model.to(dtype).eval()
