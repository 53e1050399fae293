"""The command line: what it prints, where, and the status it leaves."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

import guided.loading
from guided.cli import main
from guided.grammars.regex import regex
from guided.testing import fake_model

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCRIPT = '{"name": "Mira", "age": 34}'


@pytest.fixture
def schema(tmp_path: Path) -> str:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is loaded: whatever its name, it says SCRIPT."""
    monkeypatch.setattr(guided.loading, "load", lambda name: fake_model(SCRIPT))


def say(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    """`text` on standard input."""
    data = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def write(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"guided \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["generate", "model"],
        ["generate", "model", "prompt", "--regex", "a", "--choices", "b"],
        ["generate", "model", "prompt", "--n", "many"],
    ],
)
def test_wrong_usage_has_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_generate_prints_the_object_that_follows_the_schema(
    schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "any", "--schema", schema, "Who? "]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "Mira", "age": 34}


def test_generate_reads_the_prompt_from_standard_input(
    schema: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "Who? ")
    assert main(["generate", "any", "--schema", schema, "-"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "Mira"


def test_generate_reads_the_schema_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, json.dumps(SCHEMA))
    assert main(["generate", "any", "--schema", "-", "Who? "]) == 0
    assert json.loads(capsys.readouterr().out)["age"] == 34


def test_one_standard_input_cannot_be_two_things(
    schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "any", "--schema", "-", "-"]) == 1
    assert main(["check", "-", "-"]) == 1
    assert capsys.readouterr().err.count("standard input") == 2


def test_generate_with_a_regex_prints_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "any", "--regex", "[a-c]{2}[0-9]", "x"]) == 0
    assert re.fullmatch("[a-c]{2}[0-9]\n", capsys.readouterr().out)


@pytest.mark.parametrize("words", ["red,green", '["red", "green"]'])
def test_generate_with_choices_prints_one_of_them(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "any", "--choices", words, "x"]) == 0
    assert capsys.readouterr().out in {"red\n", "green\n"}


def test_generate_with_a_lark_grammar_prints_a_text_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sums.lark"
    path.write_text('start: D ("+" D)*\nD: /[0-9]/\n')
    assert main(["generate", "any", "--grammar", str(path), "x", "--max-new-tokens", "8"]) == 0
    assert re.fullmatch(r"[0-9](\+[0-9])*\n", capsys.readouterr().out)


def test_generate_prints_a_line_for_each_of_n(
    schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", "any", "--schema", schema, "Who? ", "--n", "3", "--temperature", "1"]
    assert main([*arguments, "--seed", "5", "--max-new-tokens", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(set(json.loads(line)) == {"name", "age"} for line in lines)


def test_generate_json_prints_the_full_result(
    schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "any", "--schema", schema, "Who? ", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["value"] == {"name": "Mira", "age": 34}
    assert result["text"] == SCRIPT
    assert len(result["tokens"]) == len(result["log_p"]) == result["usage"]["tokens"]
    assert result["fields"]["/age"]["text"] == "34"


def test_describe_writes_the_fields_into_the_prompt(
    schema: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = '{"name": "told", "age": 1}'
    model = fake_model({"Fields: name (string), age (integer)": told, "Who": SCRIPT})
    monkeypatch.setattr(guided.loading, "load", lambda name: model)
    assert main(["generate", "any", "--schema", schema, "Who?", "--describe"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "told"


def test_chat_without_a_chat_template_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", "any", "Who?", "--chat"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("guided: ")
    assert "chat template" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--regex", "a(b"], "column"),
        (["--regex", r"(a)\1"], "column"),
        (["--choices", "[1]"], "list of strings"),
        (["--schema", "/no/such/file.json"], "/no/such/file.json"),
        (["--max-new-tokens", "0"], "max_new_tokens"),
    ],
)
def test_generate_tells_what_is_wrong_without_a_traceback(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "any", "x", *arguments]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("guided: ")
    assert says in told.err
    assert "Traceback" not in told.err


def test_a_bad_output_type_is_told_before_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: str) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(guided.loading, "load", load)
    assert main(["generate", "any", "x", "--regex", "a(b"]) == 1


def test_invalid_json_is_shown_with_a_caret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"type": "object",\n "properties": }')
    assert main(["check", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "line 2" in lines[0]
    assert lines[-2].index("}") == lines[-1].index("^")


def test_text_that_is_not_utf8_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, b'"\xff"')
    assert main(["check", "-"]) == 1
    assert "not UTF-8 at byte 1" in capsys.readouterr().err


def test_check_says_that_a_schema_compiles(schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", schema]) == 0
    assert capsys.readouterr().out == f"{schema}: compiles\n"


def test_check_judges_every_instance(
    schema: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path, "good.json", {"name": "Ä", "age": 3})
    swapped = write(tmp_path, "swapped.json", {"age": 3, "name": "Bo"})
    bad = write(tmp_path, "bad.json", {"name": "Bo", "age": -3})
    assert main(["check", schema, good, swapped]) == 0
    assert main(["check", schema, good, bad]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{good}: accepted"
    assert lines[1] == f"{swapped}: accepted, with its keys in another order"
    assert lines[3].startswith(f"{bad}: refused")


def test_check_tells_why_if_jsonschema_is_there(
    schema: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jsonschema")
    bad = write(tmp_path, "bad.json", {"name": "Bo"})
    assert main(["check", schema, bad]) == 1
    assert "'age' is a required property" in capsys.readouterr().out


def test_check_works_without_jsonschema(
    schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("guided.schema_check.find_spec", lambda name: None)
    bad = write(tmp_path, "bad.json", {"name": "Bo"})
    long = write(tmp_path, "long.json", {"name": 70 * "o", "age": "x"})
    wrong = write(tmp_path, "wrong.json", [1])
    assert main(["check", schema, bad, long, wrong]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f'{bad}: refused: it leaves the grammar after {{"name": "Bo" (13 characters)',
        f'{long}: refused: it leaves the grammar after …{50 * "o"}", "age":  (90 characters)',
        f"{wrong}: refused: it leaves the grammar after its beginning",
    ]


def test_a_grammar_says_how_far_it_goes_along() -> None:
    grammar = regex("ab+c|ad")
    reached = {text: grammar.reach(text) for text in (b"abbc", b"abbx", b"x", b"", b"adc")}
    assert list(reached.values()) == [4, 3, 0, 0, 2]


def test_check_reads_an_instance_from_standard_input(
    schema: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, '{"name": "\\ud800", "age": 1}')
    main(["check", schema, "-"])
    assert capsys.readouterr().out.startswith("standard input: ")


def test_check_of_an_unsupported_schema_names_the_pointer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = {"properties": {"a": {"$ref": "https://example.org/a.json"}}}
    assert main(["check", write(tmp_path, "remote.json", remote)]) == 1
    assert "/properties/a" in capsys.readouterr().err


def test_explain_lists_every_keyword_with_its_pointer(
    schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", schema]) == 0
    out = capsys.readouterr().out
    for word in ("/properties/age", "minimum", "required", "additionalProperties"):
        assert word in out


def test_explain_json_is_machine_readable(schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", schema, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    found = {(entry["pointer"], entry["keyword"]): entry["status"] for entry in entries}
    assert found["#/properties/age", "minimum"] == "enforced"


def test_ctrl_c_has_the_status_of_a_shell(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> PreTrainedTokenizerFast:
        raise KeyboardInterrupt

    monkeypatch.setattr(guided.loading, "load", interrupted)
    assert main(["generate", "any", "--schema", schema, "x"]) == 130
