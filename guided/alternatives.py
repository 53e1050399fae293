"""What else could have come: the laws at every token of sequences that were drawn before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from guided.controls.pipeline import apply_all
from guided.controls.token_index import token_index
from guided.decoding import Branch, Decoder
from guided.decoding.network import Network
from guided.decoding.reading import fitted

#: Logits that are held at once.
_MOST_LOGITS = 1 << 24


class Alternative(NamedTuple):
    """A token: its text, its probability under the raw model, and under the controlled law.

    `q` is None where the controls forbid it.
    """

    text: str
    p: float
    q: float | None


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """A token that was drawn, and what else could have come.

    Attributes:
        text: what it spells; special tokens by their names.
        log_p: under the raw model; `log_q`: under the law that it was drawn from.
        allowed: how many tokens the controls allowed.
        alternatives: the likeliest tokens, by `p`; the drawn one is among them.
    """

    text: str
    log_p: float
    log_q: float
    allowed: int
    alternatives: tuple[Alternative, ...]


def token_details(
    decoder: Decoder, branches: Sequence[Branch], top: int = 5
) -> list[list[TokenDetail]]:
    """For every branch, finished or not, the details of its tokens.

    The texts are read again in batches, beside everything that the decoder holds and counts; no
    branch is changed. The controls are led over the tokens once more.

    Args:
        top: how many of the likeliest tokens, by the raw and by the controlled law, are told.
    """
    details: list[list[TokenDetail]] = [[] for _ in branches]
    for group in _groups(branches, decoder.network.width):
        some = [branches[index] for index in group]
        for index, found in zip(group, _read(decoder, some, top), strict=True):
            details[index] = found
    return details


def _groups(branches: Sequence[Branch], width: int) -> list[list[int]]:
    """Branches of similar length, as many together as there is room for one of their pieces."""
    most = max(1, _MOST_LOGITS // (64 * width))
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for index, branch in sorted(enumerate(branches), key=lambda pair: len(pair[1].text)):
        if branch.tokens:
            models = tuple((name, id(x)) for name, x in branch.pipeline.models.items())
            groups.setdefault(models, []).append(index)
    return [some[at : at + most] for some in groups.values() for at in range(0, len(some), most)]


def _read(decoder: Decoder, branches: Sequence[Branch], top: int) -> list[list[TokenDetail]]:
    """The details of branches that bring the same auxiliary models."""
    models = branches[0].pipeline.models
    networks = {"": decoder.network} | {name: model.network for name, model in models.items()}
    longest = max(len(branch.tokens) for branch in branches)
    states = [branch.first for branch in branches]
    spell = _Spelling(decoder)
    details: list[list[TokenDetail]] = [[] for _ in branches]
    column = -longest
    for logits in _pieces(networks, [branch.text for branch in branches], longest):
        for at in range(logits[""].shape[1]):
            going = [i for i, branch in enumerate(branches) if len(branch.tokens) >= -column]
            raw = logits[""][going, at].double()
            width = decoder.network.width
            aux = {name: fitted(logits[name][going, at], width).to(raw) for name in models}
            pipelines = [branches[i].pipeline for i in going]
            law, after = apply_all(pipelines, raw.clone(), [states[i] for i in going], aux)
            for i, p, q, state in zip(
                going, raw.log_softmax(-1), law.log_softmax(-1), after, strict=True
            ):
                branch = branches[i]
                details[i].append(_detail(branch, len(branch.tokens) + column, p, q, spell, top))
                token = branch.tokens[column]
                states[i] = state
                if token not in decoder.vocabulary.stop_ids:
                    states[i] = branch.pipeline.step(state, token)
            column += 1
    return details


def _pieces(networks: Mapping[str, Network], texts: Sequence[Sequence[int]], longest: int) -> Any:
    """The logits before each of the last `longest` columns, piece by piece, by network.

    Rows end in the same column; what stands left of a row's own beginning means nothing.
    """
    device = networks[""].device
    width = max(map(len, texts))
    pads = torch.tensor([width - len(text) for text in texts], device=device)[:, None]
    ids = torch.tensor([[0] * (width - len(text)) + list(text) for text in texts], device=device)
    at = torch.arange(width, device=device)[None]
    mask, positions = (at >= pads).long(), (at - pads).clamp(min=0)
    step = max(1, _MOST_LOGITS // (len(texts) * networks[""].width))
    caches: dict[str, Any] = dict.fromkeys(networks)
    begin = dict.fromkeys(networks, 0)
    # The last token is followed by nothing that is asked for.
    for start in range(width - 1 - longest, width - 1, step):
        end = min(start + step, width - 1)
        piece: dict[str, Tensor] = {}
        for name, network in networks.items():
            first = begin[name]
            passed = network.forward(
                ids[:, first:end],
                mask[:, :end] if pads.any() else None,
                positions[:, first:end] if pads.any() else None,
                caches[name],
                kept=end - start,
            )
            piece[name], caches[name] = passed.logits, passed.cache
            begin[name] = end if passed.cache is not None else 0
        yield piece


class _Spelling:
    """What tokens are called; bytes that are no character by their numbers."""

    def __init__(self, decoder: Decoder) -> None:
        self._texts = token_index(decoder.vocabulary).texts
        self._names = {token: name for name, token in decoder.vocabulary.specials.items()}
        self._stops = decoder.vocabulary.stop_ids

    def __call__(self, token: int) -> str:
        if token in self._names:
            return self._names[token]
        text = self._texts[token].decode(errors="backslashreplace")
        return text or ("<stop>" if token in self._stops else f"<{token}>")


def _detail(
    branch: Branch, at: int, p: Tensor, q: Tensor, spell: _Spelling, top: int
) -> TokenDetail:
    token, most = branch.tokens[at], min(top, len(p))
    shown = {token, *p.topk(most).indices.tolist()}
    allowed = q.isfinite()
    shown.update(i for i in q.topk(most).indices.tolist() if bool(allowed[i]))
    alternatives = [
        Alternative(spell(i), float(p[i].exp()), float(q[i].exp()) if bool(allowed[i]) else None)
        for i in shown
    ]
    alternatives.sort(key=lambda each: (-each.p, each.text))
    return TokenDetail(
        spell(token), branch.log_p[at], branch.log_q[at], int(allowed.sum()), tuple(alternatives)
    )


__all__ = ["Alternative", "TokenDetail", "token_details"]
