"""The pipeline orders controls by stage, groups rows, and refuses contradictions."""

from __future__ import annotations

import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

from guided.controls import (
    BanTokens,
    Control,
    FromProcessor,
    GrammarMask,
    LogitBias,
    MinP,
    Pipeline,
    PrefixMask,
    RepetitionPenalty,
    Stage,
    StopStrings,
    Temperature,
    TopK,
    TopP,
)
from guided.controls.pipeline import apply_all
from guided.controls.protocol import Context
from guided.errors import ControlError
from guided.grammars.vocabulary import Vocabulary
from guided.testing import WordGrammar, check_control_laws

VOCABULARY = Vocabulary.from_tokens([None, b"a", b"b", b"ab", b"c", b"ca"], [0])
WORDS = WordGrammar([b"abc", b"ca", b"cab"])
CONTEXT = Context((1, 2), VOCABULARY, 9)


def law(controls: list[Control], logits: list[float], tokens: tuple[int, ...] = ()) -> list[float]:
    pipeline = Pipeline(controls)
    states = pipeline.begin(CONTEXT)
    for token in tokens:
        states = pipeline.step(states, token)
    edited, _ = pipeline.apply(torch.tensor([logits], dtype=torch.float64), [states])
    return edited[0].softmax(-1).tolist()


@pytest.mark.parametrize(
    "control",
    [
        Temperature(0.7),
        RepetitionPenalty(1.3),
        LogitBias({1: 2.0, 4: -1.0}),
        TopK(2),
        TopP(0.6),
        MinP(0.2),
        BanTokens([3]),
        GrammarMask(WORDS),
        GrammarMask(WORDS, within_budget=False),
        PrefixMask(b"ab"),
        StopStrings(["bc"]),
        FromProcessor(RepetitionPenaltyLogitsProcessor(1.5)),
        FromProcessor(NoRepeatNGramLogitsProcessor(2), Stage.MASK),
    ],
    ids=lambda control: type(control).__name__,
)
def test_every_control_obeys_the_laws(control: Control) -> None:
    check_control_laws(control, VOCABULARY, [(3, 4), (1, 2, 4)], max_new_tokens=8)


def test_the_laws_catch_a_control_with_a_counter() -> None:
    class Counting(Control):
        stage = Stage.LAW
        calls = 0

        def apply(self, logits, states, aux=None):  # type: ignore[no-untyped-def]
            self.calls += 1
            logits[:, 1] += self.calls
            return logits, states

    with pytest.raises(AssertionError, match="intact"):
        check_control_laws(Counting(), VOCABULARY, [(3, 4)])


def test_controls_are_sorted_by_stage() -> None:
    pipeline = Pipeline([TopK(2), GrammarMask(WORDS), Temperature(0.5), BanTokens([1])])
    kinds = [type(control) for control in pipeline.controls]
    assert kinds == [Temperature, GrammarMask, BanTokens, TopK]


def test_truncation_counts_legal_tokens_only() -> None:
    logits = [9.0, 1.0, 8.0, 0.0, 2.0, 7.0]
    kept = law([TopK(2), BanTokens([0, 2, 5])], logits)
    assert [token for token, p in enumerate(kept) if p > 0] == [1, 4]


def test_truncation_never_empties_a_row() -> None:
    logits = [0.0, 1.0, 1.0, 1.0, -3.0, 2.0]
    for control in (TopP(1e-9), MinP(1.0), TopK(1)):
        assert [t for t, p in enumerate(law([control], logits)) if p > 0] == [5]


def test_top_p_keeps_the_fewest_tokens_that_reach_the_mass() -> None:
    probabilities = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.04, 0.01], dtype=torch.float64)
    logits = probabilities.log().tolist()
    for mass, kept in ((0.3, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.999, 6)):
        assert sum(p > 0 for p in law([TopP(mass)], logits)) == kept


def test_repetition_penalty_agrees_with_hugging_face() -> None:
    logits = [0.5, 1.0, -2.0, 0.3, 0.0, 4.0]
    theirs = RepetitionPenaltyLogitsProcessor(1.7)(
        torch.tensor([[1, 2, 5]]), torch.tensor([logits], dtype=torch.float64)
    )
    assert law([RepetitionPenalty(1.7)], logits, (5,)) == pytest.approx(
        theirs[0].softmax(-1).tolist()
    )


def test_rows_with_different_pipelines_get_their_own_laws() -> None:
    pipelines = [
        Pipeline([Temperature(0.5), GrammarMask(WORDS)]),
        Pipeline([BanTokens([0])]),
        Pipeline([Temperature(0.5), GrammarMask(WordGrammar([b"b"]))]),
        Pipeline([]),
    ]
    states = [pipeline.begin(CONTEXT) for pipeline in pipelines]
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together, _ = apply_all(pipelines, logits.clone(), states)
    for row, pipeline in enumerate(pipelines):
        alone, _ = pipeline.apply(logits[row : row + 1].clone(), [states[row]])
        assert torch.equal(alone[0], together[row])
    # Grammars differ, yet one call serves both.
    assert pipelines[0].group == pipelines[2].group


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ([Temperature(1), Temperature(2)], "2 controls of kind Temperature"),
        ([GrammarMask(WORDS), GrammarMask(WORDS)], "GrammarMask"),
        ([lambda ids, scores: scores], "FromProcessor"),
    ],
)
def test_contradictions_are_refused(controls: list[Control], message: str) -> None:
    with pytest.raises(ControlError, match=message):
        Pipeline(controls)


def test_two_corrections_are_refused() -> None:
    class First(Control):
        stage = Stage.CORRECTION

    class Second(Control):
        stage = Stage.CORRECTION

    with pytest.raises(ControlError, match="come last"):
        Pipeline([First(), Second()])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Temperature(0),
        lambda: Temperature(float("nan")),
        lambda: TopK(0),
        lambda: TopP(1.5),
        lambda: MinP(-1),
        lambda: RepetitionPenalty(0),
        lambda: LogitBias({1: float("-inf")}),
        lambda: StopStrings([""]),
        lambda: GrammarMask(WORDS, thinking_budget=-1),
        lambda: FromProcessor(3),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ControlError):
        make()  # type: ignore[operator]


def test_token_ids_outside_of_the_logits_are_refused() -> None:
    for control in (BanTokens([6]), LogitBias({-1: 1.0})):
        with pytest.raises(ControlError, match="outside of the 6 logits"):
            control.begin(CONTEXT)


def test_an_impure_processor_is_refused() -> None:
    class Counting:
        calls = 0

        def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return scores + self.calls

    with pytest.raises(ControlError, match="no pure function"):
        FromProcessor(Counting()).begin(CONTEXT)
