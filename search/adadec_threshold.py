"""The entropy from which AdaDec looks ahead, learned from reference solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from guided.errors import InputError
from guided.model import Model
from guided.search.logistic import Logistic, fit

#: Fewer positions give no threshold worth the name.
_LEAST = 20


@dataclass(frozen=True, slots=True)
class Threshold:
    """What was learned.

    Attributes:
        theta: the entropy in nats from which the model's first choice is not to be trusted.
        curve: P(the first choice is the reference's | entropy), on balanced data.
        cutoff: the probability at which `theta` lies on the curve.
        accuracy: share of held-out positions where "below theta" says whether the first choice is
            the reference's.
        majority: the same for saying always what is more frequent.
        auc: how likely the entropy is higher at a position where the first choice is wrong than at
            one where it is right; a half says nothing.
        positions: tokens of the solutions; `held_out`: those of them for `accuracy`.
        first: share of positions where the first choice is the reference's.
    """

    theta: float
    curve: Logistic
    cutoff: float
    accuracy: float
    majority: float
    auc: float
    positions: int
    held_out: int
    first: float


def learn_threshold(
    model: Model, solutions: Sequence[tuple[str, str]], *, seed: int = 42
) -> Threshold:
    """The threshold for `AdaDec(theta=...)` (He et al. 2025, arXiv 2506.08980).

    The model reads each prompt with its reference solution; at every position of the solution its
    entropy tells, by a logistic regression on balanced data, how likely its first choice is the
    reference's. The cut-off is the one that is most accurate on a fifth of the positions, which
    the fit has not seen.

    Args:
        solutions: pairs of a prompt and its solution.

    Raises:
        InputError: too little data; a text longer than the model's context; a model that is
            always right, never right, or no less right where it is less sure.
    """
    texts = [_encode(model, number, *pair) for number, pair in enumerate(solutions)]
    count = sum(len(tokens) - begin for tokens, begin in texts)
    if count < _LEAST:
        raise InputError(f"the solutions have {count} tokens; a threshold needs {_LEAST} at least")
    parts = [observe(model, tokens, begin) for tokens, begin in texts]
    entropies = torch.cat([entropy for entropy, _ in parts])
    return threshold(entropies, torch.cat([first for _, first in parts]), seed=seed)


def _encode(model: Model, number: int, prompt: str, solution: str) -> tuple[list[int], int]:
    """The tokens of prompt and solution, and where those begin that the prompt alone has not."""
    tokens, own = model.encode(prompt + solution), model.encode(prompt)
    same = (a == b for a, b in zip(tokens, own, strict=False))
    begin = next((at for at, equal in enumerate(same) if not equal), min(len(tokens), len(own)))
    if model.context_length is not None and len(tokens) > model.context_length:
        raise InputError(
            f"solution {number} has {len(tokens)} tokens with its prompt; the model's context "
            f"holds {model.context_length}"
        )
    # The first token of all comes from no law.
    return tokens, max(1, begin)


def observe(model: Model, tokens: Sequence[int], begin: int) -> tuple[Tensor, Tensor]:
    """The entropy in nats `[n]` before each token from `begin` on, and whether it ranks first."""
    if begin >= len(tokens):
        return torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool)
    device = model.network.device
    ids = torch.tensor([list(tokens[:-1])], device=device)
    with torch.inference_mode():
        logits = model.network.forward(ids, None, None, None, kept=len(tokens) - begin).logits[0]
    law = logits.double().log_softmax(-1)
    entropy = -(law.exp() * torch.where(law.isfinite(), law, 0)).sum(-1)
    first = law.argmax(-1) == torch.tensor(list(tokens[begin:]), device=device)
    return entropy.cpu(), first.cpu()


def threshold(entropies: Tensor, first: Tensor, *, seed: int = 42) -> Threshold:
    """The threshold from entropies `[n]` and whether the first choice was the reference's `[n]`.

    Raises:
        InputError: see `learn_threshold`.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(entropies), generator=generator)
    cut = len(order) * 4 // 5
    training = _balanced(first, order[:cut], generator)
    if entropies[training].min() == entropies[training].max():
        raise InputError("the model's entropy is the same everywhere; it says nothing about errors")
    curve = fit(entropies[training], first[training])
    if not curve.slope < 0:
        raise InputError(
            "the model is not less often right where its entropy is higher, so no threshold of the "
            "entropy says when to look ahead"
        )
    held_out = order[cut:]
    cutoff, accuracy = _cutoff(curve, entropies[held_out], first[held_out])
    share = float(first[held_out].double().mean())
    return Threshold(
        theta=curve.crossing(cutoff),
        curve=curve,
        cutoff=cutoff,
        accuracy=accuracy,
        majority=max(share, 1 - share),
        auc=_auc(entropies[first], entropies[~first]),
        positions=len(entropies),
        held_out=len(held_out),
        first=float(first.double().mean()),
    )


def _balanced(first: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """As many of the chosen positions of either kind; the more frequent kind is thinned out."""
    kinds = [chosen[first[chosen]], chosen[~first[chosen]]]
    count = min(map(len, kinds))
    if count == 0:
        word = "always" if len(kinds[0]) else "never"
        raise InputError(
            f"the model's first choice is {word} that of the solutions; there is nothing to learn "
            "from them"
        )
    return torch.cat(
        [kind[torch.randperm(len(kind), generator=generator)[:count]] for kind in kinds]
    )


def _cutoff(curve: Logistic, entropies: Tensor, first: Tensor) -> tuple[float, float]:
    """The most accurate cut-off of 0.01 to 0.99, of equals the one nearest to a half."""
    best = (-1.0, -1.0, 0.5)
    for percent in range(1, 100):
        chance = percent / 100
        trusted = entropies < curve.crossing(chance)
        accuracy = float((trusted == first).double().mean())
        best = max(best, (accuracy, -abs(chance - 0.5), chance))
    return best[2], best[0]


def _auc(right: Tensor, wrong: Tensor) -> float:
    """How often an entropy of `wrong [n]` is above one of `right [m]`; equal ones count half."""
    ordered = right.sort().values
    below = torch.searchsorted(ordered, wrong.contiguous())
    up_to = torch.searchsorted(ordered, wrong.contiguous(), right=True)
    return float((below + up_to).double().mean() / (2 * len(right)))
