"""Ways to decode, by their names in the field: values that say which parts go together."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol

from guided.diffusion.blocks import FixedBlocks, WholeCanvas
from guided.diffusion.caches import DualCache, NoCache, PrefixCache
from guided.diffusion.freedave import DraftAndVerify
from guided.diffusion.law import Warp
from guided.diffusion.protocols import (
    BlockScheduler,
    CachePolicy,
    LogitsTransform,
    Scorer,
    Selector,
)
from guided.diffusion.rules import Rules
from guided.diffusion.scorers import Perturbed, Probability, StopLast, scorer_named
from guided.diffusion.selectors import (
    BoundedEntropy,
    ConfidentOrScheduled,
    DreamSchedule,
    Factor,
    FixedSchedule,
    Threshold,
)
from guided.diffusion.stoppers import GapConverged
from guided.diffusion.transforms import StopBan
from guided.errors import InputError

CacheName = Literal["none", "prefix", "dual"]
_CACHES: dict[str, CachePolicy] = {
    "none": NoCache(),
    "prefix": PrefixCache(),
    "dual": DualCache(),
}


class Decoding(Protocol):
    """A way to decode."""

    def rules(self, model_block: int | None) -> Rules:
        """The parts that it is put together from.

        Args:
            model_block: the model's own block, if its attention is block-causal.

        Raises:
            InputError: settings that contradict each other.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DecodingSettings(ABC):
    """What every decoding can be told.

    Attributes:
        block_length: slots of a block, decoded from left to right; None: the model's own block if
            it is block-causal, else the decoding's default.
        temperature: 0 takes the likeliest token.
        top_k, top_p: cut off the unlikely tail; they need a temperature.
        remasking: which proposals come first: "low_confidence", "margin", "entropy", "random",
            "left_to_right", or a `Scorer`.
        confidence: "raw" scores a token by the model's own law, "sampling" by the law it was drawn
            from.
        cfg_scale: weight w of classifier-free guidance: (w + 1) times the law given the prompt
            minus w times the law without it. 0: none, no further sequences.
        cache: which keys and values are kept while a block is decoded: "none", "prefix", "dual".
        stop: "ban" never ends the text, "last" commits tokens that end it after all others.
        ends_early: whether a row ends when its text does; the text is the same, passes are saved.
    """

    block_length: int | None = None
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    remasking: str | Scorer = "low_confidence"
    confidence: Literal["raw", "sampling"] = "raw"
    cfg_scale: float = 0.0
    cache: CacheName = "none"
    stop: Literal["free", "ban", "last"] = "free"
    ends_early: bool = True

    #: Blocks where neither the user nor the model says otherwise; None: the whole canvas.
    default_block: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cfg_scale) and self.cfg_scale > -1):
            raise InputError(f"cfg_scale must be finite and above -1, not {self.cfg_scale}")
        if self.cache not in _CACHES:
            raise InputError(f"cache is one of {sorted(_CACHES)}, not {self.cache!r}")
        if self.stop not in ("free", "ban", "last"):
            raise InputError(f'stop is "free", "ban" or "last", not {self.stop!r}')
        if not self.temperature and (self.top_k is not None or self.top_p != 1):
            raise InputError("top_k and top_p change nothing at temperature 0; set a temperature")
        scorer_named(self.remasking)
        self._warp()

    def rules(self, model_block: int | None) -> Rules:
        """The parts that it is put together from."""
        blocks = self._blocks(model_block)
        scorer = self._scorer()
        transforms: tuple[LogitsTransform, ...] = (StopBan(),) if self.stop == "ban" else ()
        return Rules(
            blocks=blocks,
            selector=self._selector(blocks),
            scorer=StopLast(scorer) if self.stop == "last" else scorer,
            cache=_CACHES[self.cache],
            warp=self._warp(),
            transforms=transforms,
            cfg_scale=self.cfg_scale,
            ends_early=self.ends_early,
        )

    def _warp(self) -> Warp:
        return Warp(self.temperature, self.top_k, self.top_p, self.confidence)

    def _blocks(self, model_block: int | None) -> BlockScheduler:
        if self.block_length is not None:
            return FixedBlocks(self.block_length, aligned=model_block is not None)
        if model_block is not None:
            return FixedBlocks(model_block, aligned=True)
        return WholeCanvas() if self.default_block is None else FixedBlocks(self.default_block)

    def _scorer(self) -> Scorer:
        return scorer_named(self.remasking)

    @abstractmethod
    def _selector(self, blocks: BlockScheduler) -> Selector:
        """How many proposals a step commits."""


@dataclass(frozen=True, kw_only=True)
class LLaDA(DecodingSettings):
    """LLaDA's loop: blocks from left to right, each filled in as many steps (arXiv:2502.09992).

    Attributes:
        steps: of the whole canvas, a multiple of the number of blocks; None: one slot a step.
    """

    steps: int | None = None

    def _selector(self, blocks: BlockScheduler) -> Selector:
        return FixedSchedule(self.steps, blocks)


@dataclass(frozen=True, kw_only=True)
class Dream(DecodingSettings):
    """Dream's loop over the whole canvas (arXiv:2508.15487).

    Attributes:
        steps: of the whole canvas; None: one for each slot.
        alg: "origin" (each slot by chance), "maskgit_plus", "topk_margin" or "entropy".
        alg_temp: above 0, slots are drawn by the softmax of scores / alg_temp.
        schedule: "exact" reveals equal shares of slots; "dream" rounds as the released code does,
            whose first step may reveal nothing. "origin" always has Dream's times.
    """

    steps: int | None = None
    alg: Literal["origin", "maskgit_plus", "topk_margin", "entropy"] = "entropy"
    alg_temp: float = 0.0
    schedule: Literal["exact", "dream"] = "exact"
    confidence: Literal["raw", "sampling"] = "sampling"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alg not in ("origin", "maskgit_plus", "topk_margin", "entropy"):
            raise InputError(f"Dream has no alg {self.alg!r}")
        if self.remasking != "low_confidence":
            raise InputError("Dream's order is chosen by alg, not by remasking")
        if self.schedule not in ("exact", "dream"):
            raise InputError(f'schedule is "exact" or "dream", not {self.schedule!r}')
        if self.alg_temp < 0 or (self.alg_temp and self.alg == "origin"):
            raise InputError('alg_temp must be at least 0, and 0 with alg="origin"')
        if self.block_length is not None or self.cache != "none":
            raise InputError("Dream decodes the whole canvas: it has neither blocks nor caches")

    def _blocks(self, model_block: int | None) -> BlockScheduler:
        if model_block is not None:
            raise InputError(
                "Dream decodes the whole canvas; this model's attention is block-causal"
            )
        return WholeCanvas()

    def _scorer(self) -> Scorer:
        scorer = scorer_named("random" if self.alg == "origin" else self.alg)
        return Perturbed(scorer, self.alg_temp) if self.alg_temp else scorer

    def _selector(self, blocks: BlockScheduler) -> Selector:
        if self.alg != "origin" and self.schedule == "exact":
            return FixedSchedule(self.steps, blocks)
        return DreamSchedule(self.steps, independent=self.alg == "origin")


@dataclass(frozen=True, kw_only=True)
class FastDLLM(DecodingSettings):
    """Fast-dLLM: as many slots a step as the model is sure of (arXiv:2505.22618).

    Attributes:
        threshold: slots whose score reaches it are committed; above 1: one slot a step.
        factor: instead of a threshold: the best n with (n + 1)(1 - c_n) < factor; 0: one a step.
    """

    threshold: float | None = None
    factor: float | None = None
    default_block: ClassVar[int | None] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None and self.factor is not None:
            raise InputError("FastDLLM takes a threshold or a factor, not both")
        if self.factor is not None and not 0 <= self.factor < math.inf:
            raise InputError(f"factor must be finite and at least 0, not {self.factor}")
        if self.threshold is not None and math.isnan(self.threshold):
            raise InputError("threshold is not a number")
        if self.factor is not None and not isinstance(scorer_named(self.remasking), Probability):
            raise InputError('factor needs probabilities: remasking="low_confidence"')

    def _selector(self, blocks: BlockScheduler) -> Selector:
        if self.factor is not None:
            return Factor(self.factor)
        return Threshold(0.9 if self.threshold is None else self.threshold)


@dataclass(frozen=True, kw_only=True)
class EntropyBound(DecodingSettings):
    """Slots of least entropy, as long as together they stay below a bound (arXiv:2505.24857).

    Attributes:
        gamma: nats; 0: one slot a step (more where the model is certain).
    """

    gamma: float = 0.1
    remasking: str | Scorer = "entropy"
    default_block: ClassVar[int | None] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gamma >= 0:
            raise InputError(f"gamma must be at least 0, not {self.gamma}")
        if self.remasking != "entropy":
            raise InputError('the entropy bound orders slots by entropy: remasking="entropy"')

    def _selector(self, blocks: BlockScheduler) -> Selector:
        return BoundedEntropy(self.gamma)


@dataclass(frozen=True, kw_only=True)
class Confident(DecodingSettings):
    """Dimple's confident decoding: what the model is sure of, else what the schedule says.

    Structure priors are templates (arXiv:2505.16990).

    Attributes:
        threshold: slots whose score is above it are committed.
        steps: at most; None: one for each slot. The last commits all that is left.
    """

    threshold: float = 0.95
    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block_length is not None:
            raise InputError("confident decoding fills the whole canvas: it has no blocks")

    def _selector(self, blocks: BlockScheduler) -> Selector:
        return ConfidentOrScheduled(self.threshold, self.steps)


@dataclass(frozen=True)
class FreeDave:
    """Another decoding in fewer passes: steps are drafted ahead and verified (arXiv:2510.00294).

    The tokens are those of `of`, at any temperature.

    Attributes:
        d: states in one pass.
        of: the decoding to speed up.

    Raises:
        InputError: d below 1.
    """

    d: int = 4
    of: Decoding = field(default_factory=LLaDA)

    def __post_init__(self) -> None:
        if self.d < 1:
            raise InputError(f"FreeDave needs d of at least 1, not {self.d}")

    def rules(self, model_block: int | None) -> Rules:
        """Those of the other decoding, with a verifier.

        Raises:
            InputError: the other decoding depends on its own history, or has a verifier already.
        """
        rules = self.of.rules(model_block)
        for part in (rules.selector, rules.scorer):
            if part.reads_history:
                raise InputError(
                    f"FreeDave cannot draft for {type(part).__name__}, which reads what earlier"
                    " steps left behind: drafts would change it"
                )
        if rules.verifier is not None:
            raise InputError("FreeDave is not applied twice")
        return replace(rules, verifier=DraftAndVerify(self.d))


@dataclass(frozen=True)
class Prophet:
    """Another decoding, ended once the answer is decided: the rest is committed at once.

    Attributes:
        of: the decoding to end early.
        gaps: mean distance of the two best logits that suffices in the first, second and last
            third of the way (arXiv:2508.19982).
        answer: slots `(begin, end)` of the answer; None: all that are open.

    With a dual cache it looks once a block, where the pass covers the canvas.
    """

    of: Decoding = field(default_factory=LLaDA)
    gaps: Sequence[float] = (7.5, 5.0, 2.5)
    answer: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.gaps) != 3 or any(math.isnan(gap) for gap in self.gaps):
            raise InputError(f"Prophet needs three gaps, not {self.gaps}")
        if self.answer is not None and not 0 <= self.answer[0] < self.answer[1]:
            raise InputError(f"the answer's slots are (begin, end), not {self.answer}")

    def rules(self, model_block: int | None) -> Rules:
        """Those of the other decoding, with one more stopper."""
        rules = self.of.rules(model_block)
        first, second, last = self.gaps
        stopper = GapConverged((first, second, last), self.answer)
        return replace(rules, stoppers=(*rules.stoppers, stopper))
