"""The table model: a tiny language model whose every sequence can be enumerated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from guided.controls.pipeline import Pipeline, States
from guided.controls.protocol import Context, Control
from guided.decoding.rng import fold
from guided.grammars.vocabulary import Vocabulary
from guided.model import Model
from guided.testing.prefix_model import Prefix, PrefixConfig, PrefixModel

EOS = 0


class TableModel(PrefixModel):
    """Logits from a hash of the prefix; token 0 ends a sequence.

    Args:
        size: tokens, the stop token included.
        seed: another seed, another model.
        spread: distance between the least and the greatest possible logit.
        horizon: from this many tokens on (prompt included) only token 0 is possible.
    """

    def __init__(
        self, size: int = 4, seed: int = 0, spread: float = 4.0, horizon: int | None = None
    ) -> None:
        super().__init__(PrefixConfig(vocab_size=size, eos_token_id=EOS))
        self.seed, self.spread, self.horizon = seed, spread, horizon

    def law(self, prefix: Prefix) -> Tensor:
        size = self.config.vocab_size
        if self.horizon is not None and len(prefix) >= self.horizon:
            return torch.tensor([0.0] + [-torch.inf] * (size - 1), dtype=torch.float64)
        mixed = [(fold((self.seed, token, *prefix)) >> 11) * 2.0**-53 for token in range(size)]
        return torch.tensor(mixed, dtype=torch.float64) * self.spread


def table_model(
    size: int = 4,
    seed: int = 0,
    *,
    spread: float = 4.0,
    horizon: int | None = None,
    tokens: Sequence[bytes] | None = None,
) -> Model:
    """A `guided.Model` around a `TableModel`; its tokens spell "a", "b", "c", … unless given."""
    spelled = list(tokens) if tokens is not None else [bytes([97 + i]) for i in range(size - 1)]
    vocabulary = Vocabulary.from_tokens([None, *spelled], stop_ids=[EOS])
    return Model(TableModel(len(spelled) + 1, seed, spread, horizon), vocabulary=vocabulary)


def enumerate_sequences(
    model: Model,
    prompt: Sequence[int],
    controls: Iterable[Control] = (),
    max_new_tokens: int = 4,
) -> dict[tuple[int, ...], float]:
    """The exact probability of every sequence that sampling under `controls` can end with.

    Sequences hold the stop token where one was drawn. Works on any model with a small vocabulary;
    every prefix is run through it, and through models that controls bring, without a cache.
    """
    found = enumerate_states(model, prompt, Pipeline(controls), max_new_tokens)
    return {tokens: weight for tokens, (weight, _) in found.items()}


def enumerate_states(
    model: Model, prompt: Sequence[int], pipeline: Pipeline, max_new_tokens: int = 4
) -> dict[tuple[int, ...], tuple[float, States]]:
    """The same, with the last states of the controls."""
    states = pipeline.begin(Context(tuple(prompt), model.vocabulary, max_new_tokens))
    if pipeline.reads_prompt:
        networks = {"": model, **pipeline.models}
        states = pipeline.read(states, {n: _prompt_log_p(m, prompt) for n, m in networks.items()})
    level: dict[Prefix, tuple[float, States]] = {(): (1.0, states)}
    done: dict[tuple[int, ...], tuple[float, States]] = {}
    while level:
        grown: dict[Prefix, tuple[float, States]] = {}
        for tokens, (weight, states) in level.items():
            if len(tokens) == max_new_tokens or pipeline.finish(states) is not None:
                done[tokens] = weight, states
                continue
            law, states = _law(model, pipeline, (*prompt, *tokens), states)
            for token in torch.nonzero(law).flatten().tolist():
                longer, probability = (*tokens, token), weight * float(law[token])
                if token in model.vocabulary.stop_ids:
                    done[longer] = probability, pipeline.stop(states, token)
                else:
                    grown[longer] = (probability, pipeline.step(states, token))
        level = grown
    return done


def _law(
    model: Model, pipeline: Pipeline, prefix: Sequence[int], states: States
) -> tuple[Tensor, States]:
    aux = {name: _raw(other, prefix) for name, other in pipeline.models.items()}
    logits, after = pipeline.apply(_raw(model, prefix), [states], aux)
    return logits[0].softmax(-1), after[0]


def _raw(model: Model, prefix: Sequence[int]) -> Tensor:
    """The raw logits `[1, V]` after a prefix."""
    ids = torch.tensor([list(prefix)])
    return model.network.forward(ids, None, None, None).logits[:, -1].double().clone()


def _prompt_log_p(model: Model, prompt: Sequence[int]) -> list[float]:
    """The log-probabilities of a prompt's tokens after the first."""
    return [
        float(_raw(model, prompt[:at]).log_softmax(-1)[0, prompt[at]])
        for at in range(1, len(prompt))
    ]
