"""infill: every hole is filled, and the whole follows the grammar."""

import json
import re

import pytest
import torch

import guided
from guided.errors import BudgetError, DeadEndError, InputError, ModelError
from guided.grammars.canvas import Canvas, Verdict
from guided.grammars.vocabulary import Vocabulary
from guided.infilling.marked_text import MarkedText
from guided.infilling.middle_tokens import middle_tokens
from guided.testing import MaskModel, byte_tokenizer, fake_model

LIST = r"\[[0-9](, [0-9])*\]"
CHARACTERS = [b"?", *(bytes([c]) for c in b"[], 0123"), None]


def mask_model(seed: int = 0) -> guided.DiffusionModel:
    model = MaskModel(len(CHARACTERS), seed)
    return guided.DiffusionModel(model, vocabulary=Vocabulary.from_tokens(CHARACTERS, []))


def test_marked_text_is_split_at_its_marks() -> None:
    marked = MarkedText.parsed("a<h>b\nc<h>", "<h>")
    assert marked.pieces == ("a", "b\nc", "")
    assert marked.holes == 2
    assert marked.before([b"X"]) == b"aXb\nc"
    assert marked.filled([b"XY", None], "<h>") == b"aXYb\nc<h>"
    assert (marked.echo(0), marked.echo(1)) == (b"b", b"")


def test_an_echo_ends_with_the_first_line_that_is_not_blank() -> None:
    assert MarkedText(("", "\n    return x\n\nmore")).echo(0) == b"\n    return x"
    assert MarkedText(("", "\n \n")).echo(0) == b""


def test_a_causal_model_fills_holes_from_left_to_right() -> None:
    found = guided.infill(fake_model("2, 5"), "[1, <hole>, 9]", regex=LIST)
    assert re.fullmatch(LIST, found.text)
    assert found.text.startswith("[1, ")
    assert found.text.endswith(", 9]")
    (region,) = found.regions
    assert found.text[region.begin : region.end] == region.text
    assert found.value == found.text
    assert found.checks > 0


def test_what_a_causal_model_wants_is_written_where_it_is_allowed() -> None:
    found = guided.infill(fake_model("7"), "[1, <hole>, 9]", regex=LIST)
    assert found.text == "[1, 7, 9]"
    assert found.regions[0].finish_reason == "stop"


def test_a_model_that_goes_on_with_the_fixed_text_has_ended_the_hole() -> None:
    found = guided.infill(fake_model("7, 9]"), "[1, <hole>, 9]", regex=LIST)
    assert found.text == "[1, 7, 9]"
    assert found.regions[0].finish_reason == "echo"
    free = guided.infill(fake_model("7, 9]"), "[1, <hole>, 9]")
    assert free.text == "[1, 7, 9]"


def test_several_holes_of_a_schema_give_a_value() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "yy"]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    text = '{"a": <hole>, "b": "<hole>"}'
    found = guided.infill(fake_model("zzz"), text, schema=schema, max_new_tokens=4)
    assert found.is_complete
    assert found.value == json.loads(found.text)
    assert found.value["b"] in ("x", "yy")


def test_a_hole_that_the_model_cannot_close_is_rescued_by_the_grammar() -> None:
    options = {"regex": r"a(bc)+d", "max_new_tokens": 1}
    found = guided.infill(fake_model("b"), "a<hole>d", **options)
    assert re.fullmatch(r"a(bc)+d", found.text)
    assert found.regions[0].finish_reason == "rescued"
    left = guided.infill(fake_model("b"), "a<hole>d", rescue=False, **options)
    assert not left.is_complete
    assert left.value is None
    assert left.text == "a<hole>d"
    with pytest.raises(DeadEndError, match="hole 0 could not be filled"):
        left.check()


def test_holes_behind_one_that_failed_are_open() -> None:
    found = guided.infill(
        fake_model("b"), "a<hole>d<hole>", regex=r"a(bc)+de", max_new_tokens=1, rescue=False
    )
    assert [region.finish_reason for region in found.regions] == ["dead_end", "open"]


def test_checks_that_are_never_answered_leave_the_text_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Canvas, "verdict", Verdict.UNKNOWN)
    monkeypatch.setattr(Canvas, "completion", lambda self: None)
    found = guided.infill(fake_model("7"), "[1, <hole>, 9]", regex=LIST, attempts=3)
    assert found.regions[0].finish_reason == "unknown"
    assert found.unknown > 0
    assert found.text == "[1, <hole>, 9]"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_masked_diffusion_model_fills_all_holes_at_once(temperature: float) -> None:
    text = "[<hole>, 1<hole>"
    found = guided.infill(
        mask_model(), text, regex=LIST, prompt="0", max_new_tokens=[4, 1], temperature=temperature
    )
    assert re.fullmatch(LIST, found.text)
    assert [len(region.text) for region in found.regions] == [4, 1]
    for region in found.regions:
        assert found.text[region.begin : region.end] == region.text


def test_a_completion_of_other_lengths_than_the_holes_is_no_filling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if no answer came in time: then nothing says beforehand that two slots are too few.
    monkeypatch.setattr(Canvas, "verdict", Verdict.UNKNOWN)
    monkeypatch.setattr("guided.diffusion.constraint.Checker.allows", lambda self, each: False)
    text = "[<hole>]"
    found = guided.infill(mask_model(), text, regex=LIST, prompt="0", max_new_tokens=2)
    assert not found.is_complete
    assert found.text == text
    with pytest.raises(DeadEndError):
        found.check()


def test_slots_that_nothing_valid_fits_into_are_refused() -> None:
    with pytest.raises(BudgetError):
        guided.infill(mask_model(), "[<hole>]", regex=LIST, prompt="0", max_new_tokens=2)


@pytest.mark.parametrize("model", [mask_model, lambda: fake_model("1")])
def test_fixed_text_that_contradicts_the_grammar_is_refused(model) -> None:
    with pytest.raises(BudgetError, match=r"contradicts the grammar.*'\]' cannot follow '\]'"):
        guided.infill(model(), "[1<hole>]]", regex=LIST, prompt="0")


@pytest.mark.parametrize("model", [mask_model, lambda: fake_model("1")])
def test_text_that_lacks_only_its_end_is_refused_as_such(model) -> None:
    with pytest.raises(BudgetError, match=r"contradicts the grammar.*no text ends with '1'"):
        guided.infill(model(), "[<hole>1", regex=LIST, prompt="0")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("no mark", {}, "the text has no hole"),
        ("<hole><hole>", {}, "two holes without text between"),
        ("a<hole>", {"hole": ""}, "must be some text"),
        ("a<hole>", {"max_new_tokens": 0}, "at least 1"),
        ("a<hole>", {"max_new_tokens": [1, 2]}, "2 numbers for 1 holes"),
        ("a<hole>", {"layout": "middle"}, "no fill-in-the-middle tokens"),
        ("a<hole>", {"decoding": guided.diffusion.LLaDA()}, "for masked-diffusion models"),
        ("a<hole>", {"attempts": 0}, "at least 1"),
        ("a<hole>", {"regex": "a", "grammar": 'start: "a"'}, "contradict each other"),
    ],
)
def test_calls_that_cannot_work_are_refused(text: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        guided.infill(fake_model("x"), text, **options)


def test_a_model_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ModelError):
        guided.infill(fake_model("x"), "a<hole>", kind="masked-diffusion")
    with pytest.raises(InputError, match="for causal models"):
        guided.infill(mask_model(), "[<hole>", layout="prefix")


def test_a_model_with_middle_tokens_reads_the_text_behind_the_hole() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(list(MIDDLE), special_tokens=True)
    model = fake_model("7", tokenizer)
    read: list[list[int]] = []
    law = model.hf_model.law

    def remembering(prefix: tuple[int, ...]) -> torch.Tensor:
        read.append(list(prefix))
        return law(prefix)

    model.hf_model.law = remembering
    found = guided.infill(model, "[1, <hole>, 9]", regex=LIST, layout="middle")
    assert found.text == "[1, 7, 9]"
    shown = tokenizer.decode(read[0])
    assert shown == "<|fim_prefix|>[1, <|fim_suffix|>, 9]<|fim_middle|>"
    read.clear()
    guided.infill(model, "[1, <hole>, 9]", regex=LIST, layout="prefix")
    assert "9]" not in tokenizer.decode(read[0])


MIDDLE = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


class MiddleTokenizer:
    """Only the special tokens of one."""

    def get_vocab(self) -> dict[str, int]:
        names = (*MIDDLE, "<|endoftext|>")
        return {name: number for number, name in enumerate(names)}


def test_fill_in_the_middle_tokens_are_recognised() -> None:
    found = middle_tokens(MiddleTokenizer())
    assert found is not None
    assert found.prompt([9], [5], [6, 7]) == [9, 0, 5, 1, 6, 7, 2]
    assert found.ends == {3}
    assert middle_tokens(object()) is None
