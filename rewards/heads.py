"""Networks that publish process reward models with code of their own, from transformers' parts.

Their published code is not needed, and not run: it was written for older caches and buffers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2Model, Qwen2PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class _Qwen2Scores(Qwen2PreTrainedModel, ABC):
    """Qwen2 with a head at every token."""

    config_class = Qwen2Config

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)

    @abstractmethod
    def head(self, hidden: Tensor) -> Tensor:
        """Outputs `[n, tokens, width]` of hidden states."""

    def forward(self, input_ids: Tensor, **given: Any) -> TokenClassifierOutput:
        """Outputs `[n, tokens, width]` of the head as `logits`."""
        hidden = self.model(input_ids=input_ids, **given).last_hidden_state
        return TokenClassifierOutput(logits=self.head(hidden))


class Qwen2StepScores(_Qwen2Scores):
    """The network of Qwen2.5-Math-PRM: two labels from a head with one hidden layer."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.post_init()  # type: ignore[no-untyped-call]

    def head(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.score(hidden)
        return scores


class Qwen2ValueHead(_Qwen2Scores):
    """The network of Skywork-o1-Open-PRM: one value at every token; its language head is unused."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self._keys_to_ignore_on_load_unexpected = {r"^lm_head\."}
        self.post_init()  # type: ignore[no-untyped-call]

    def head(self, hidden: Tensor) -> Tensor:
        value: Tensor = self.v_head["summary"](hidden)
        return value
