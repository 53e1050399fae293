"""Fast sampling of several continuations of each prompt, which share the prompt's cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import LlamaForCausalLM

from .batches import by_length, padded
from .model import EOS, LeanForward

HIDDEN = -1e9
SHRINK = 0.2  # finished prompts leave the batch when they are this share of it


@dataclass
class Running:
    """Prompts that are still continued, with their caches.

    `rows` are their places in the batch [prompts], `bias` hides padding [prompts, 1, 1, length],
    `sizes` are the prompts' lengths [prompts]. Per layer, `prompt` holds keys and values of the
    prompts [prompts, heads, length, width], `own` those of the continuations
    [prompts, heads, count, longest, width].
    """

    rows: Tensor
    bias: Tensor
    sizes: Tensor
    prompt: list[tuple[Tensor, Tensor]]
    own: list[tuple[Tensor, Tensor]]

    def keep(self, kept: Tensor) -> Running:
        """The same without the prompts that are not in `kept`."""
        return Running(
            self.rows[kept],
            self.bias[kept],
            self.sizes[kept],
            [(k[kept], v[kept]) for k, v in self.prompt],
            [(k[kept], v[kept]) for k, v in self.own],
        )


class Sampler(LeanForward):
    """Draws continuations of a tiny Llama."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__(model)
        self.width = model.config.hidden_size // self.heads

    @torch.inference_mode()
    def sample(
        self,
        prompts: list[list[int]],
        count: int,
        generator: torch.Generator,
        longest: int = 100,
        temperature: float = 1.0,
        batch: int = 64,
    ) -> list[list[list[int]]]:
        """`count` continuations per prompt, each up to and with `<eos>` or `longest` ids long."""
        made: list[list[list[int]]] = [[] for _ in prompts]
        for chosen in by_length(prompts, batch):
            some = [prompts[i] for i in chosen]
            with torch.device(self.model.device):
                drawn = self._draw(some, count, generator, longest, temperature)
            for i, rows in zip(chosen, drawn.tolist(), strict=True):
                made[i] = [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]
        return made

    def _draw(
        self,
        prompts: list[list[int]],
        count: int,
        generator: torch.Generator,
        longest: int,
        temperature: float,
    ) -> Tensor:
        """New ids [prompts, count, longest], `<eos>` after the end."""
        sizes = torch.tensor([len(prompt) for prompt in prompts])
        running, hidden = self._read(padded(prompts), sizes, count, longest)
        hidden = hidden[:, None].expand(-1, count, -1)
        made = torch.full((len(prompts), count, longest), EOS)
        for step in range(longest):
            token = _drawn(torch.softmax(self.logits(hidden) / temperature, -1), generator)
            if step:
                token = token.masked_fill(made[running.rows, :, step - 1] == EOS, EOS)
            made[running.rows, :, step] = token
            going = (token != EOS).any(1)
            if not going.any() or step + 1 == longest:
                break
            if going.float().mean() < 1 - SHRINK:
                kept = going.nonzero()[:, 0]
                running, token = running.keep(kept), token[kept]
            hidden = self._advance(running, token, step)
        return made

    def _read(self, ids: Tensor, sizes: Tensor, count: int, longest: int) -> tuple[Running, Tensor]:
        """Caches of right-padded prompts, and their last hidden states [prompts, width]."""
        rows, length = ids.shape
        cos, sin = (table[:length][None, :, None] for table in (self.cos, self.sin))
        cache = []
        h = nnf.embedding(ids, self.model.model.embed_tokens.weight)
        for layer in self.model.model.layers:
            q, k, v = self._project(layer.self_attn, self._norm(h, layer.input_layernorm), cos, sin)
            h = self._finish(layer, h, self._attend(q, k, v, None))
            cache.append((k.contiguous(), v.contiguous()))
        room = (rows, self.heads, count, longest, self.width)
        padding = torch.arange(length)[None] >= sizes[:, None]
        running = Running(
            torch.arange(rows),
            torch.zeros(rows, length).masked_fill(padding, HIDDEN)[:, None, None],
            sizes,
            cache,
            [(torch.empty(room), torch.empty(room)) for _ in cache],
        )
        last = h[torch.arange(rows), sizes - 1]
        return running, self._norm(last, self.model.model.norm)

    def _advance(self, running: Running, token: Tensor, step: int) -> Tensor:
        """Hidden states [prompts, count, width] after one more token of every continuation."""
        at = running.sizes + step
        cos, sin = self.cos[at][:, None, None], self.sin[at][:, None, None]
        h = nnf.embedding(token, self.model.model.embed_tokens.weight)
        for layer, prompt, own in zip(
            self.model.model.layers, running.prompt, running.own, strict=True
        ):
            q, k, v = self._project(layer.self_attn, self._norm(h, layer.input_layernorm), cos, sin)
            own[0][:, :, :, step], own[1][:, :, :, step] = k, v
            mixed = self._look(q, prompt, own, running.bias, step + 1)
            h = self._finish(layer, h, mixed.transpose(1, 2).flatten(2))
        return self._norm(h, self.model.model.norm)

    def _look(
        self,
        q: Tensor,
        prompt: tuple[Tensor, Tensor],
        own: tuple[Tensor, Tensor],
        bias: Tensor,
        length: int,
    ) -> Tensor:
        """Attention of one query per continuation [prompts, heads, count, width]."""
        q = q * self.width**-0.5
        keys, values = (part[:, :, :, :length] for part in own)
        seen = q @ prompt[0].transpose(2, 3) + bias
        said = (keys @ q[..., None])[..., 0]
        weights = torch.softmax(torch.cat([seen, said], -1), -1)
        size = prompt[0].shape[2]
        seen, said = weights[..., :size] @ prompt[1], weights[..., None, size:] @ values
        return seen + said[..., 0, :]


def _drawn(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Indices [...] drawn from laws [..., size]; `torch.multinomial` takes ten times as long."""
    sums = weights.cumsum(-1)
    at = torch.rand(weights.shape[:-1], generator=generator)[..., None] * sums[..., -1:]
    return torch.searchsorted(sums, at, right=True)[..., 0].clamp(max=weights.shape[-1] - 1)
