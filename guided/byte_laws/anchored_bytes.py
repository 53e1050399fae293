"""Anchored decoding between models of different vocabularies: byte by byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast, overload

import torch
from torch import Tensor

from guided.byte_laws.byte_law import ByteLaw, Opening
from guided.byte_laws.spelling import END
from guided.byte_laws.weighing import Normalize
from guided.controls.ledger import Account, Charge, Ledger, Schedule, Terms
from guided.controls.prompt_debt import Debt, check_debt, prefix_debt
from guided.decoding.rng import stream, uniform
from guided.decoding.usage import Usage
from guided.errors import ControlError, DecodingError, InputError, ModelError
from guided.kernels import anchoring
from guided.kernels.anchoring import Status
from guided.model import Message, Model, Prompt, is_many

DEFAULT_K = 1.0
#: Bytes that a token of English text has, roughly: what makes debts comparable.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class ByteResult:
    """One text that was drawn byte by byte.

    Attributes:
        text: what was generated, without the beginning of a character that was cut off.
        data: all bytes drawn.
        log_risky: log-probability of every symbol, the end included, under the risky model.
        log_safe: under the safe model, at the same temperature; `log_q`: under the law drawn from.
        finish_reason: "stop" (the end was drawn), "length" (`max_new_bytes`, or what a model can
            address), "interrupt" (Ctrl-C).
        certificate: what every symbol might have cost and has cost, in nats.
        usage: what the whole call has cost, both models together.
    """

    text: str
    data: bytes = field(repr=False)
    log_risky: tuple[float, ...] = field(repr=False)
    log_safe: tuple[float, ...] = field(repr=False)
    log_q: tuple[float, ...] = field(repr=False)
    finish_reason: str
    certificate: Ledger
    usage: Usage = field(repr=False)


@dataclass(slots=True, eq=False)
class _Text:
    """A text that is being drawn; `row` names its random stream."""

    account: Account
    row: int
    data: bytearray = field(default_factory=bytearray)
    log_p: list[tuple[float, float, float]] = field(default_factory=list)
    finish_reason: str | None = None
    is_lost: bool = False


class AnchoredBytes:
    """Draws bytes from the risky model's law, as far as a budget allows to leave the safe one's.

    What `guided.Anchored` does for every token this does for every byte, so that the models need
    not have the same vocabulary; the paper's AnchoredBytes (arXiv 2602.07120). How exact both
    laws of the next byte are: see `ByteLaw`. KL(law of outputs || the safe model's) is at most k
    times the bytes, less the prompt's debt; the safe model's law of outputs is the one that its
    byte laws, as computed, make at the same temperature.

    A byte that the risky model holds impossible can only be drawn from the safe model alone; from
    there on all comes from the safe model.

    Args:
        risky, safe: two models with byte-pair encoders.
        k: nats for every byte; a token has about four. 0: the safe model alone.
        debt: what the prompt owes before anything may be spent, in nats: "prefix" measures how
            much likelier the risky model finds its bytes (the mean of the `n_debt` worst, the first
            byte left out, times four); a number; None for none.
        n_debt: how many of the prompt's bytes are averaged.
        schedule: see `guided.Anchored`.
        disjoint: what happens where no byte is possible under both models: "error", or "safe" to
            draw from the safe law there.
        normalize: see `ByteLaw`.

    Raises:
        ControlError: a number out of range, an unknown word.
        ModelError: what is no model.
        VocabularyError: a tokenizer that byte laws do not support.

    Example:
        >>> import guided
        >>> risky, safe = (guided.load(f"examples/models/tiny-{name}") for name in ("lm", "math"))
        >>> anchored = guided.AnchoredBytes(risky, safe, k=0.5)
        >>> result = anchored.run("Kim has 3", max_new_bytes=8)
        >>> result.certificate.spent <= 0.5 * 8
        True
    """

    def __init__(
        self,
        risky: Model,
        safe: Model,
        k: float = DEFAULT_K,
        *,
        debt: Debt = "prefix",
        n_debt: int = 5,
        schedule: Schedule = "banked",
        disjoint: Literal["error", "safe"] = "error",
        normalize: Normalize = "tokens",
    ) -> None:
        for name, model in (("risky", risky), ("safe", safe)):
            if not isinstance(model, Model):
                raise ModelError(f"{name} is a {type(model).__name__}, no guided.Model")
        Terms(k, 1, "kl", schedule)
        check_debt(debt, n_debt)
        if disjoint not in ("error", "safe"):
            raise ControlError(f"disjoint must be 'error' or 'safe', not {disjoint!r}")
        self.k, self.debt, self.n_debt = k, debt, n_debt
        self.schedule: Schedule = schedule
        self.disjoint = disjoint
        self.risky = ByteLaw(risky, normalize=normalize)
        self.safe = ByteLaw(safe, normalize=normalize)

    @overload
    def run(
        self,
        prompt: str | list[Message],
        *,
        max_new_bytes: int = ...,
        temperature: float = ...,
        seed: int = ...,
    ) -> ByteResult: ...
    @overload
    def run(
        self,
        prompt: list[str] | list[list[Message]],
        *,
        max_new_bytes: int = ...,
        temperature: float = ...,
        seed: int = ...,
    ) -> list[ByteResult]: ...
    def run(
        self,
        prompt: str | list[Message] | list[str] | list[list[Message]],
        *,
        max_new_bytes: int = 256,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> ByteResult | list[ByteResult]:
        """One text drawn for the prompt, or for each of a list; the same alone and in a list.

        Args:
            max_new_bytes: most symbols, the end included; they are what brings budget.
            temperature: of both models' byte laws, before anything else.

        Raises:
            InputError: no prompts, numbers out of range, a prompt without tokens.
            DecodingError: no byte is possible under both models.
        """
        if max_new_bytes < 1:
            raise InputError(f"max_new_bytes must be at least 1, not {max_new_bytes}")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise InputError(
                f"temperature must be above 0, not {temperature}: a chosen byte has all the mass, "
                "so its divergence from the safe model is -log p of the text, which no budget "
                "bounds"
            )
        prompts = cast(list[Prompt], prompt if is_many(prompt) else [prompt])
        before = self.risky.decoder.usage + self.safe.decoder.usage
        terms = Terms(self.k, max_new_bytes, "kl", self.schedule)
        run = _Run(self, prompts, terms, temperature, seed)
        run.draw(max_new_bytes)
        usage = self.risky.decoder.usage + self.safe.decoder.usage - before
        results = [_result(text, usage) for text in run.texts]
        return results if is_many(prompt) else results[0]


class _Run:
    """Texts that are drawn together."""

    def __init__(
        self,
        owner: AnchoredBytes,
        prompts: Sequence[Prompt],
        terms: Terms,
        temperature: float,
        seed: int,
    ) -> None:
        self.owner, self.temperature, self.seed = owner, temperature, seed
        laws = owner.risky, owner.safe
        risky, safe = ([law.opening(prompt) for prompt in prompts] for law in laws)
        self.texts = [
            _Text(Account(terms, debt), stream(seed, [*a.tokens, *a.data], 0))
            for a, debt in zip(risky, self._debts(risky, safe), strict=True)
        ]
        self.risky, self.safe = (
            law.start([law.advanced(opening) for opening in some], read=True)
            for law, some in zip(laws, (risky, safe), strict=True)
        )

    def _debts(self, risky: Sequence[Opening], safe: Sequence[Opening]) -> list[float]:
        owner = self.owner
        if owner.debt != "prefix":
            return [float(owner.debt or 0.0)] * len(risky)
        pairs = zip(risky, safe, owner.risky.score(risky), owner.safe.score(safe), strict=True)
        return [_debt(*pair, owner.n_debt) for pair in pairs]

    def draw(self, most: int) -> None:
        """Draws all texts to their ends."""
        try:
            for _ in range(most):
                if not self._step():
                    break
        except KeyboardInterrupt:
            self._finish("interrupt")
        self._finish("length")
        self.risky.close()
        self.safe.close()

    def _finish(self, reason: str) -> None:
        for text in self.texts:
            text.finish_reason = text.finish_reason or reason

    def _step(self) -> bool:
        """One symbol of each text; False where all have ended."""
        going = self._going()
        if not going:
            return False
        safe, risky = self._laws()
        budgets = torch.tensor([t.account.next_budget for t in self.texts], dtype=torch.float64)
        found = anchoring.anchor(safe[going], risky[going], budgets[going])
        pushed: list[int | None] = [None] * len(self.texts)
        for at, row in enumerate(going):
            text = self.texts[row]
            law, theta, cost = found.law[at], float(found.theta[at]), float(found.cost[at])
            if found.status[at] != Status.OK:
                self._refuse(int(found.status[at]), text)
                theta, cost = 0.0, 0.0
            law = safe[row] if theta == 0 else law.log_softmax(-1)
            symbol = drawn(law, uniform(self.seed, text.row, len(text.log_p)))
            text.account = text.account.charged(Charge(float(budgets[row]), theta, cost))
            text.log_p.append(
                (float(risky[row, symbol]), float(safe[row, symbol]), float(law[symbol]))
            )
            pushed[row] = symbol
        self._push(pushed, risky)
        return True

    def _going(self) -> list[int]:
        """The texts that have not ended and that both models can still read."""
        limits = [
            law.model.context_length or math.inf for law in (self.owner.risky, self.owner.safe)
        ]
        for text, *lengths in zip(self.texts, self.risky.n_tokens, self.safe.n_tokens, strict=True):
            if any(n >= limit for n, limit in zip(lengths, limits, strict=True)):
                text.finish_reason = text.finish_reason or "length"
        return [row for row, text in enumerate(self.texts) if text.finish_reason is None]

    def _laws(self) -> tuple[Tensor, Tensor]:
        """Both models' log laws `[n, 257]`, after temperature; the safe one for texts lost."""
        safe = self.safe.law().div(self.temperature).log_softmax(-1)
        lost = torch.tensor([text.is_lost for text in self.texts])
        risky = self.risky.law().div(self.temperature).log_softmax(-1)
        risky[lost] = safe[lost]
        return safe, risky

    def _refuse(self, status: int, text: _Text) -> None:
        if status != Status.DISJOINT:
            raise DecodingError(f"a byte law at position {len(text.log_p)} is no law ({status})")
        if self.owner.disjoint == "error":
            raise DecodingError(
                f"no byte is possible under both models at position {len(text.log_p)}; give "
                "disjoint='safe' to draw from the safe model there"
            )

    def _push(self, symbols: Sequence[int | None], risky: Tensor) -> None:
        for row, (text, symbol) in enumerate(zip(self.texts, symbols, strict=True)):
            if symbol is None:
                continue
            text.is_lost = text.is_lost or bool(risky[row, symbol] == -torch.inf)
            if symbol == END:
                text.finish_reason = "stop"
            else:
                text.data.append(symbol)
        self.safe.push(symbols)
        self.risky.push(
            [None if t.is_lost else s for t, s in zip(self.texts, symbols, strict=True)]
        )


def drawn(law: Tensor, number: float) -> int:
    """The symbol that a number in [0, 1) draws from a log law `[257]`."""
    mass = law.exp().cumsum(0)
    at = int(torch.searchsorted(mass, number * mass[-1], right=True))
    return min(at, int(torch.nonzero(law > -torch.inf)[-1]))


def _debt(
    risky: Opening, safe: Opening, log_risky: Sequence[float], log_safe: Sequence[float], most: int
) -> float:
    """The debt of a prompt by the bytes that both models have a law for, but its first."""
    common = 0
    longest = min(len(risky.data), len(safe.data))
    while common < longest and risky.data[-1 - common] == safe.data[-1 - common]:
        common += 1
    if common == len(risky.data) == len(safe.data):
        common -= 1
    if common <= 0:
        return 0.0
    gaps = prefix_debt(log_risky[-common:], log_safe[-common:], range(common), most)
    return BYTES_PER_TOKEN * gaps


def _result(text: _Text, usage: Usage) -> ByteResult:
    data = bytes(text.data)
    return ByteResult(
        text=whole_characters(data),
        data=data,
        log_risky=tuple(risky for risky, _, _ in text.log_p),
        log_safe=tuple(safe for _, safe, _ in text.log_p),
        log_q=tuple(own for _, _, own in text.log_p),
        finish_reason=text.finish_reason or "length",
        certificate=text.account.ledger(),
        usage=replace(usage),
    )


def whole_characters(data: bytes) -> str:
    """The text of UTF-8 bytes without an unfinished character at its end."""
    for cut in range(min(4, len(data) + 1)):
        try:
            return data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace")
