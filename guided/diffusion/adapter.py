"""One call for every masked-diffusion model: sequences in, logits of their positions out."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from guided.decoding.attention import without_plans
from guided.decoding.network import context_length, logits_width
from guided.diffusion import cached_pass
from guided.diffusion.families import Family, family_of, given_family
from guided.diffusion.memory import Memory
from guided.diffusion.protocols import Span
from guided.diffusion.state import Ints
from guided.errors import ModelError, VocabularyError


class View(NamedTuple):
    """One sequence of a pass.

    Attributes:
        tokens: `[length]`, prompt and canvas.
        span: what to compute of it.
        first: first position whose prediction is wanted; at least one after `span.begin` where
            the model's logits are shifted.
        memory: keys and values that stand for what is not computed.
    """

    tokens: Ints
    span: Span
    first: int
    memory: Memory | None = None


class Output(NamedTuple):
    """Logits `[span.end - first, V]`, row `i` predicting position `first + i`; what was kept."""

    logits: Tensor
    memory: Memory | None = None


@dataclass
class Work:
    """What passes have cost: calls of the model, sequences in them, positions without padding."""

    passes: int = 0
    rows: int = 0
    positions: int = 0


class DiffusionAdapter:
    """A masked-diffusion model behind one convention: logits at a position predict that position.

    Nothing is assumed of the model but `forward(input_ids) -> .logits`; masks and positions are
    passed where its signature has them. Rows of different lengths stand padded on the left, or in
    passes of their own where the model takes no mask. Sets the model to `eval()`.

    Args:
        model: a Hugging Face model; remote code has to be loaded by the caller (`load`).
        tokenizer: says which ids are mask, padding and stop, where given.
        family: a `Family` or its name, for models that are not recognised.
        mask_id, stop_ids, pad_id, shift, block_length: instead of what model and family say.

    Raises:
        ModelError: no masked-diffusion model, no mask id, or ids that contradict each other.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        family: Family | str | None = None,
        mask_id: int | None = None,
        stop_ids: Iterable[int] | None = None,
        pad_id: int | None = None,
        shift: bool | None = None,
        block_length: int | None = None,
    ) -> None:
        self.family = _settled(model, family, shift, block_length)
        self.model = model.eval() if hasattr(model, "eval") else model
        self.tokenizer = tokenizer
        self.width = logits_width(model)
        sources = (tokenizer, getattr(model, "config", None))
        self.mask_id = self._mask_id(mask_id, sources)
        self.stop_ids = frozenset(self._stop_ids(sources) if stop_ids is None else stop_ids)
        self.pad_id = self._pad_id(pad_id, sources)
        if self.mask_id in self.stop_ids:
            raise ModelError(f"token {self.mask_id} cannot both be the mask and end the text")
        names = set(inspect.signature(getattr(model, "forward", model)).parameters)
        self.takes_mask = "attention_mask" in names
        self.takes_positions = "position_ids" in names
        if self.family.block_length is not None and not self.takes_mask:
            raise ModelError(
                f"{type(model).__name__} takes no mask; block-causal attention needs it"
            )

    def _mask_id(self, given: int | None, sources: Sequence[Any]) -> int:
        ids = (given, _first_id(sources, "mask_token_id"), self.family.mask_id)
        found = next((token for token in ids if token is not None), None)
        if found is None:
            raise ModelError(
                f"nothing says which token of {type(self.model).__name__} is the mask: neither its"
                " tokenizer nor its configuration has mask_token_id; give mask_id="
            )
        if found < 0 or (self.width is not None and found >= self.width):
            raise ModelError(
                f"mask_id {found} is outside of the {self.width} columns of the logits"
            )
        return found

    def _stop_ids(self, sources: Sequence[Any]) -> set[int]:
        """Ids that end a text: the first source's that names some, else the family's."""
        for name in ("eos_token_id", "sep_token_id"):
            for source in sources:
                value = getattr(source, name, None)
                found = value if isinstance(value, Iterable) else [] if value is None else [value]
                if ids := {token for token in found if self._is_id(token)}:
                    return ids | set(self.family.stop_ids)
        return set(self.family.stop_ids)

    def _is_id(self, token: Any) -> bool:
        return isinstance(token, int) and 0 <= token < (self.width or token + 1)

    def _pad_id(self, given: int | None, sources: Sequence[Any]) -> int:
        """What pads rows on the left: it is never attended to, so that any other token will do."""
        found = given if given is not None else _first_id(sources, "pad_token_id")
        if found == self.mask_id:
            if given is not None:
                raise ModelError(f"token {found} cannot both be the mask and padding")
            found = None
        return found if found is not None and self._is_id(found) else int(self.mask_id == 0)

    @property
    def block_length(self) -> int | None:
        """Block of block-causal attention; None where every position sees every other."""
        return self.family.block_length

    @property
    def shift(self) -> bool:
        """Whether the model's logits at a position predict the next one."""
        return self.family.shift

    @cached_property
    def max_positions(self) -> int | None:
        """Most positions, prompt included; None where nothing says."""
        found = context_length(self.model) if hasattr(self.model, "config") else None
        return found or self.family.max_positions

    @property
    def device(self) -> torch.device:
        """Where token ids belong."""
        return torch.device(getattr(self.model, "device", "cpu"))

    @cached_property
    def cache_refusal(self) -> str | None:
        """Why keys and values cannot be kept between passes; None: they can."""
        return cached_pass.refusal(self.model, self.takes_positions)

    def forward(self, views: Sequence[View], work: Work) -> list[Output]:
        """Logits of sequences, in their order; what that costs is added to `work`.

        Raises:
            VocabularyError: the logits are not as wide as before.
        """
        outputs: dict[int, Output] = {}
        for group in self._groups(views):
            chosen = [views[at] for at in group]
            work.passes += 1
            work.rows += len(chosen)
            work.positions += sum(view.span.end - view.span.begin for view in chosen)
            outputs.update(zip(group, self._pass(chosen), strict=True))
        return [outputs[at] for at in range(len(views))]

    def _groups(self, views: Sequence[View]) -> list[list[int]]:
        """Which sequences go through the model together."""
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for at, view in enumerate(views):
            partial = view.span.uses_memory
            length = 0 if self.takes_mask or partial else len(view.tokens)
            groups[partial, bool(view.span.keeps), length].append(at)
        return list(groups.values())

    def _pass(self, views: Sequence[View]) -> list[Output]:
        if any(view.span.keeps for view in views):
            logits, kept = cached_pass.run(self.model, self.pad_id, self.block_length, views)
        else:
            logits, kept = self._plain(views), [None] * len(views)
        self._check_width(logits)
        return [
            Output(self._aligned(rows, view), memory)
            for rows, view, memory in zip(logits, views, kept, strict=True)
        ]

    def _plain(self, views: Sequence[View]) -> list[Tensor]:
        """Logits `[length, V]` of whole sequences, through the model's own attention."""
        lengths = [len(view.tokens) for view in views]
        width = max(lengths)
        ids = np.full((len(views), width), self.pad_id, np.int64)
        for row, view in zip(ids, views, strict=True):
            row[width - len(view.tokens) :] = view.tokens
        pads = torch.tensor([width - length for length in lengths])
        given: dict[str, Any] = {}
        if bool(pads.any()) or self.block_length is not None or self.family.needs_mask:
            given["attention_mask"] = self._mask(pads, width)
            if self.takes_positions:
                at = torch.arange(width)[None] - pads[:, None]
                given["position_ids"] = at.clamp_min(0).to(self.device)
        with torch.no_grad(), without_plans(self.device):
            output = self.model(input_ids=torch.from_numpy(ids).to(self.device), **given)
        return [rows[width - n :] for rows, n in zip(output.logits, lengths, strict=True)]

    def _mask(self, pads: Tensor, width: int) -> Tensor:
        at = torch.arange(width)[None] - pads[:, None]
        if self.family.mask_form == "padding" and self.block_length is None:
            return (at >= 0).long().to(self.device)
        seen = visible(at, at, self.block_length)
        # Padding sees itself, so that no row of the scores is empty.
        seen |= torch.eye(width, dtype=torch.bool)
        seen = seen[:, None].to(self.device)
        if self.family.mask_form == "boolean":
            return seen
        dtype = getattr(self.model, "dtype", torch.float32)
        return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)

    def _aligned(self, rows: Tensor, view: View) -> Tensor:
        """The rows that predict the positions asked for."""
        begin = view.first - view.span.begin - self.shift
        return rows[begin : begin + view.span.end - view.first]

    def _check_width(self, logits: Sequence[Tensor]) -> None:
        found = logits[0].shape[-1]
        if self.width is None:
            self.width = found
        if found != self.width:
            raise VocabularyError(f"the model's logits have {found} columns, not {self.width}")


def visible(queries: Tensor, columns: Tensor, block_length: int | None) -> Tensor:
    """Which columns queries see, `[n, q, c]`, by their positions; those below 0 are padding."""
    seen = (columns >= 0)[:, None, :] & (queries >= 0)[:, :, None]
    if block_length is None:
        return seen
    return seen & (columns[:, None, :] // block_length <= queries[:, :, None] // block_length)


def _settled(
    model: Any, family: Family | str | None, shift: bool | None, block_length: int | None
) -> Family:
    """The family of a model, with what the caller knows better."""
    found = given_family(family)
    if found is None:
        found = family_of(getattr(model, "config", None), type(model).__name__)
    if found is None:
        raise ModelError(
            f"{type(model).__name__} is not known as a masked-diffusion model, and a causal model"
            " cannot fill masks. If it is one, say whose conventions it follows:"
            ' DiffusionAdapter(model, family="LLaDA", mask_id=...)'
        )
    changes: Mapping[str, Any] = {
        **({} if shift is None else {"shift": shift}),
        **({} if block_length is None else {"block_length": block_length}),
    }
    if changes.get("block_length") and found.mask_form == "padding":
        changes = {**changes, "mask_form": "boolean"}
    return replace(found, **changes) if changes else found


def _first_id(sources: Sequence[Any], name: str) -> int | None:
    ids = (getattr(source, name, None) for source in sources)
    return next((token for token in ids if isinstance(token, int)), None)


def is_masked_diffusion(model: Any) -> bool:
    """Whether a Hugging Face model, or a `guided.Model` of one, is decoded by filling masks."""
    inner = getattr(model, "hf_model", model)
    if isinstance(inner, DiffusionAdapter):
        return True
    return family_of(getattr(inner, "config", None), type(inner).__name__) is not None
