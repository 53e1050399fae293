"""Holes filled by a causal model, from left to right, each token checked against the whole text.

What a check asks: can the text be completed, with what stands in the holes so far, this token, any
bytes after it, the fixed piece behind the hole, and any bytes in the holes that follow?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from guided.controls.token_index import token_index
from guided.decoding.rng import Purpose, fold, stream
from guided.diffusion.constraint import Policy
from guided.diffusion.law import Warp
from guided.errors import BudgetError, LogitsError
from guided.grammars.canvas import Verdict
from guided.grammars.grammar import Grammar
from guided.healing import heal
from guided.infilling.fillings import OPEN, FilledRegion, Filling
from guided.infilling.gap_grammar import GapGrammar
from guided.infilling.marked_text import MarkedText
from guided.infilling.middle_tokens import MiddleTokens
from guided.kernels import gumbel
from guided.model import Model


@dataclass(frozen=True)
class Proposal:
    """A token that may come next, and its log-probability under the model's own law."""

    token: int
    log_p: float


@dataclass
class CausalInfiller:
    """Fills the holes of one text.

    Args:
        grammar: what the whole text must follow; None: anything.
        prompt: read before the text.
        limits: most tokens of each hole.
        middle: the tokenizer's fill-in-the-middle tokens, if they are to be used.
    """

    model: Model
    marked: MarkedText
    grammar: Grammar | None
    prompt: str
    limits: Sequence[int]
    warp: Warp
    policy: Policy
    seed: int
    middle: MiddleTokens | None
    done: Filling = field(default_factory=Filling)

    def run(self) -> Filling:
        """The holes, filled in order; after one that could not be filled, the others are open.

        Raises:
            BudgetError: the fixed text contradicts the grammar.
            LogitsError: NaN in the logits.
        """
        gaps = None
        if self.grammar is not None:
            gaps = GapGrammar(self.grammar, self.model.vocabulary, self.marked)
            if gaps.verdict(self._fillings) is Verdict.NO:
                raise BudgetError(
                    "the fixed text contradicts the grammar: whatever is put into the holes, the"
                    f" whole is not in its language{gaps.contradiction(self._fillings)}"
                )
        while len(self.done.regions) < self.marked.holes:
            region = RegionWriter(self, gaps, len(self.done.regions)).run()
            self.done.regions.append(region)
            self.done.usage.tokens += len(region.tokens)
            if not region.is_complete:
                rest = self.marked.holes - len(self.done.regions)
                self.done.regions += [OPEN] * rest
        return self.done

    @property
    def _fillings(self) -> list[bytes]:
        return [region.data for region in self.done.regions]


class RegionWriter:
    """Writes into one hole."""

    def __init__(self, infiller: CausalInfiller, gaps: GapGrammar | None, hole: int) -> None:
        self.infiller, self.gaps, self.hole = infiller, gaps, hole
        self.model, self.done = infiller.model, infiller.done
        self.before = [region.data for region in infiller.done.regions]
        self.echo = infiller.marked.echo(hole)
        vocabulary = self.model.vocabulary
        self.texts = token_index(vocabulary).texts
        middle = infiller.middle
        self.stops = frozenset(vocabulary.stop_ids) | (middle.ends if middle else frozenset())
        self.read, self.healed = self._prompt()
        self.stream = stream(infiller.seed, self.read, hole)
        self.tokens: list[int] = []
        self.log_p: list[float] = []
        self.data = b""
        self.was_unknown = False
        self._cache: object = None

    def _prompt(self) -> tuple[list[int], bytes]:
        """What the model reads, and the bytes that its first tokens must repeat."""
        infiller = self.infiller
        text = infiller.prompt + infiller.marked.before(self.before).decode(errors="replace")
        if infiller.middle is None:
            tokens, healed = heal(self.model.encode(text), self.model.vocabulary)
            return tokens, healed
        encode = self.model.tokenizer
        start = [token for token in self.model.encode("") if token in self._specials()]
        before = encode(text, add_special_tokens=False)["input_ids"]
        behind = encode(infiller.marked.after(self.hole), add_special_tokens=False)["input_ids"]
        return infiller.middle.prompt(start, list(before), list(behind)), b""

    def _specials(self) -> frozenset[int]:
        return frozenset(getattr(self.model.tokenizer, "all_special_ids", None) or ())

    def run(self) -> FilledRegion:
        """The hole when it is filled, or when that has failed."""
        limit = self.infiller.limits[self.hole] + (
            len(self.model.vocabulary.encode(self.healed)) if self.healed else 0
        )
        logits = self._forward(self.read)
        while len(self.tokens) < limit:
            reason = self._step(logits)
            if reason:
                return self._ended(reason)
            if self._has_echoed():
                return self._ended("echo")
            logits = self._forward(self.tokens[-1:])
        return self._ended("length" if self._may_close(self.text) else "failed")

    @property
    def text(self) -> bytes:
        """What has been written into the hole."""
        return self.data[len(self.healed) :]

    def _forward(self, tokens: Sequence[int]) -> Tensor:
        ids = torch.tensor([list(tokens)], device=self.model.device)
        network = self.model.network
        if not network.has_cache:
            ids = torch.tensor([[*self.read, *self.tokens]], device=self.model.device)
        result = network.forward(ids, None, None, self._cache)
        self._cache = result.cache
        self.done.usage.passes += 1
        self.done.usage.positions += ids.shape[1]
        logits = result.logits[0, -1].cpu()
        if bool(torch.isnan(logits).any()):
            raise LogitsError(f"the model's logits hold NaN (hole {self.hole})")
        return logits if logits.dtype.itemsize >= 4 else logits.float()

    def _step(self, logits: Tensor) -> str:
        """Takes the next token; says why the hole ends, where it does."""
        refusals = 0
        for proposal in self._proposals(logits):
            if proposal.token in self.stops:
                if len(self.data) >= len(self.healed) and self._may_close(self.text):
                    return "stop"
            elif self._allows(proposal.token):
                self.tokens.append(proposal.token)
                self.log_p.append(proposal.log_p)
                self.data += self.texts[proposal.token]
                return ""
            elif self._echoes(proposal.token):
                return "echo"
            else:
                refusals += 1
            if refusals >= self.infiller.policy.resamples:
                break
        closes = len(self.data) >= len(self.healed) and self._may_close(self.text)
        return "complete" if closes else "failed"

    def _proposals(self, logits: Tensor) -> Iterator[Proposal]:
        """Tokens by Gumbel noise: each is a draw from the law without those before it."""
        warped = self.infiller.warp.apply(logits[None])[0].double()
        if self.infiller.warp.temperature:
            key = fold((self.infiller.seed, self.stream, len(self.tokens), Purpose.TOKEN))
            warped = warped + gumbel.noise([key], len(warped), warped.device)[0]
        log_p = logits.double().log_softmax(-1)
        for token in warped.argsort(descending=True, stable=True).tolist():
            if warped[token] == -torch.inf:
                return
            if token in self.stops or self._agrees(token):
                yield Proposal(token, float(log_p[token]))

    def _agrees(self, token: int) -> bool:
        """Whether the token spells something, and first of all the healed end of the prompt."""
        text = self.texts[token]
        rest = self.healed[len(self.data) :]
        return bool(text) and (text.startswith(rest) or rest.startswith(text))

    def _allows(self, token: int) -> bool:
        after = (self.data + self.texts[token])[len(self.healed) :]
        if self.gaps is None or not after:
            return True
        return self._answered(self.gaps.verdict(self.before, after))

    def _may_close(self, text: bytes) -> bool:
        if self.gaps is None:
            return True
        return self._answered(self.gaps.verdict([*self.before, text]))

    def _answered(self, verdict: Verdict) -> bool:
        self.done.checks += 1
        if verdict is Verdict.UNKNOWN:
            self.done.unknown += 1
            self.was_unknown = True
            return self.infiller.policy.unknown == "accept"
        return verdict is Verdict.YES

    def _echoes(self, token: int) -> bool:
        """Whether a refused token is where the fixed text behind the hole begins.

        If so, what of that text has been written is taken back.
        """
        if self.infiller.middle is not None or not self.echo:
            return False
        text = (self.data + self.texts[token])[len(self.healed) :]
        for at in range(max(0, len(self.text) - len(self.echo)), len(text)):
            rest = text[at:]
            if self.echo.startswith(rest) or rest.startswith(self.echo):
                if not self._may_close(text[:at]):
                    return False
                self.data = (self.data + self.texts[token])[: len(self.healed) + at]
                return True
        return False

    def _has_echoed(self) -> bool:
        """Whether the fixed text behind the hole was written; if so, it is taken back."""
        if self.infiller.middle is not None or not self.echo:
            return False
        at = self.text.rfind(self.echo)
        if at < 0 or len(self.text) - at > len(self.echo) or not self._may_close(self.text[:at]):
            return False
        self.data = self.data[: len(self.healed) + at]
        return True

    def _ended(self, reason: str) -> FilledRegion:
        tokens, log_p = tuple(self.tokens), tuple(self.log_p)
        if reason != "failed":
            return FilledRegion(self.text, tokens, log_p, reason)
        if self.gaps is not None and self.infiller.policy.rescue:
            found = self.gaps.witness(self.before, self.text)
            if found is not None:
                return FilledRegion(found, tokens, log_p, "rescued")
        return FilledRegion(self.text, tokens, log_p, "unknown" if self.was_unknown else "dead_end")
