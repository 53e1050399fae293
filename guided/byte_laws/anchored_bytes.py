"""Anchored decoding between models of different vocabularies: byte by byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from guided.byte_laws.byte_model import ByteModel, over_bytes
from guided.byte_laws.byte_prompts import is_chat
from guided.byte_laws.reading import SILENT
from guided.byte_laws.spelling import END
from guided.byte_laws.weighing import Normalize
from guided.controls.anchored import SAFE, Anchored, Anchoring
from guided.controls.ledger import Form, Ledger, Schedule
from guided.controls.prompt_debt import Debt, prefix_debt
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context
from guided.errors import ControlError

#: Bytes that a token of English text has, roughly: what makes debts comparable.
BYTES_PER_TOKEN = 4


class AnchoredBytes(Anchored):
    """`Anchored` byte by byte, so that the safe model may have any vocabulary.

    The paper's AnchoredByte (arXiv 2602.07120). Both models are taken as models over bytes
    (`ByteModel`; how exact their laws are: `ByteLaw`), and every byte, and the end of the text, is
    drawn from the law nearest to the risky model's within the budget. What is guaranteed is what
    `Anchored` guarantees, with bytes in the place of tokens: `k`, `horizon` and `max_new_tokens`
    count bytes, and results consist of bytes. Penalties and other controls about tokens are refused
    beside it.

    What the risky model cannot say at all can only be drawn from the safe model alone; from there
    on all comes from the safe model.

    Args:
        safe_model: a `guided.Model` with a byte-pair encoder as tokenizer, like the risky one's.
        k: nats for every byte; a token has about four. 1 if not given, and with a ledger its own.
        horizon: bytes that bring budget, `max_new_tokens` if not given.
        debt: see `Anchored`; "prefix" measures the prompt's bytes, without the first, times four.
        n_debt: how many of the prompt's bytes, the worst ones, are averaged.
        form, schedule, disjoint, ledger: see `Anchored`.
        normalize: of both models' byte laws, see `ByteLaw`.

    Raises:
        ControlError: a number out of range, an unknown word, a ledger with other terms.
        ModelError: `safe_model` is none.
        VocabularyError: a tokenizer that byte laws do not support.

    Example:
        >>> import guided
        >>> risky, safe = (guided.load(f"examples/models/tiny-{name}") for name in ("lm", "math"))
        >>> result = guided.run(risky, "Kim has 3", controls=[guided.AnchoredBytes(safe, k=0.5)],
        ...                     temperature=1, max_new_tokens=8)
        >>> result.certificate.spent <= 0.5 * 8
        True
    """

    default_k: ClassVar[float] = 1.0

    def __init__(
        self,
        safe_model: Any,
        k: float | None = None,
        horizon: int | None = None,
        debt: Debt = "prefix",
        n_debt: int = 5,
        form: Form = "kl",
        *,
        schedule: Schedule = "banked",
        disjoint: Literal["error", "safe"] = "error",
        ledger: Ledger | None = None,
        normalize: Normalize = "tokens",
    ) -> None:
        super().__init__(
            over_bytes(safe_model, normalize), k, horizon, debt, n_debt, form,
            schedule=schedule, disjoint=disjoint, ledger=ledger,
        )  # fmt: skip
        self.normalize: Normalize = normalize

    def over(self, model: Any) -> ByteModel:
        return over_bytes(model, self.normalize)

    def begin(self, context: Context) -> Anchoring:
        if self.reads_prompt and is_chat(context.prompt):
            raise ControlError(
                "the debt of chat messages cannot be measured byte by byte, as every model has its "
                "own template around them; give debt= in nats, or None"
            )
        return super().begin(context)

    def debt_of(
        self, risky: Sequence[float], safe: Sequence[float], counts: Sequence[int]
    ) -> float:
        own, other = ([i for i in counts if not math.isnan(log_p[i])] for log_p in (risky, safe))
        common = [i for i in own if i in set(other)]
        # Where both texts begin with the same byte, nothing stands before it that could be known.
        if own == other and own[:1] != [0]:
            common = common[1:]
        return BYTES_PER_TOKEN * prefix_debt(risky, safe, common, self.n_debt)

    def apply(
        self, logits: Tensor, states: Sequence[Anchoring], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Anchoring]]:
        safe = aux[SAFE]
        # The risky model says nothing, or nothing that the other controls leave.
        can_go_on = (logits[:, :END] > -torch.inf).any(-1)
        silent = ~can_go_on & (logits[:, END] < SILENT / 1e6)
        if bool(silent.any()):
            logits = torch.where(silent[:, None], safe.to(logits), logits)
        return super().apply(logits, states, aux)
