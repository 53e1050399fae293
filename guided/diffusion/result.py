"""What decoding a canvas returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DiffusionUsage:
    """What one row has cost.

    Attributes:
        passes: passes of the model that the row took part in ("NFE").
        guidance_passes: of those, passes that guidance asked for.
        sequences: sequences that those passes held for the row: two for each state under
            classifier-free guidance, one for each draft.
        positions: token positions that those passes computed; fewer where keys are kept.
        committed: tokens that decoding put into slots; fixed text and rescues not counted.
        drafted: states decoded ahead beyond the certain one.
        accepted: of those, how many came true.
    """

    passes: int = 0
    guidance_passes: int = 0
    sequences: int = 0
    positions: int = 0
    committed: int = 0
    drafted: int = 0
    accepted: int = 0

    @property
    def tokens_per_pass(self) -> float:
        """Tokens committed by one pass on average; 0 where there was none."""
        return self.committed / self.passes if self.passes else 0.0


@dataclass(frozen=True)
class Checks:
    """What a constraint was asked for one row, in drafts too.

    Attributes:
        checks: proposals that were checked.
        rejections: of those, how many were refused.
        unknown: of those, how many were not answered in time.
        rescued: slots filled with the constraint's own completion.
    """

    checks: int = 0
    rejections: int = 0
    unknown: int = 0
    rescued: int = 0


@dataclass(frozen=True)
class DiffusionResult:
    """One decoded canvas.

    Attributes:
        tokens: the text: the canvas up to its first stop token, without fillers of holes. Where a
            row failed, the mask's id stands for what is open.
        canvas: every slot.
        holes: what stands in each hole of the template, without fillers.
        finish_reason: "stop" (a stop token, and everything before it), "length" (every slot was
            filled), "early_commit" (a stopper filled the rest), "rescued" (the constraint's own
            completion filled the rest; where it does not fit slot for slot, `tokens` is its text
            and the canvas stays open), "dead_end" (nothing proposed was valid, and no completion
            was found or wanted), "unknown" (the same, and some checks were not answered).
        steps: the step that committed each slot; -1 where the template, an early end or nothing
            did.
        log_p: log-probability of each slot's token under the model's own law when it was
            committed, 0 where none was.
        log_q: the same under the law that it was drawn from; 0 for greedy choices.
        usage: what the row has cost.
        checks: what its constraint was asked.
    """

    tokens: tuple[int, ...]
    canvas: tuple[int, ...] = field(repr=False)
    holes: tuple[tuple[int, ...], ...] = field(repr=False)
    finish_reason: str
    steps: tuple[int, ...] = field(repr=False)
    log_p: tuple[float, ...] = field(repr=False)
    log_q: tuple[float, ...] = field(repr=False)
    usage: DiffusionUsage
    checks: Checks

    @property
    def is_complete(self) -> bool:
        """Whether decoding came to an end; else slots may be open, or break the constraint."""
        return self.finish_reason not in ("dead_end", "unknown")
