"""The languages beyond JSON are what their texts say, and go through the harness."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("mistral_common")

import beyond_json
from harness.beyond_json.readers import kbnf_regex, kbnf_text
from harness.beyond_json.subjects import SUBJECTS

from guided.grammars.gbnf import gbnf
from guided.grammars.regex import regex


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_texts_are_what_they_are_said_to_be(subject):
    grammar = gbnf(subject.text) if subject.kind == "grammar" else regex(subject.text)
    assert subject.valid
    assert subject.invalid
    for text in subject.valid:
        assert grammar.accepts(text.encode()), text
    for text in subject.invalid:
        assert not grammar.accepts(text.encode()), text
    if subject.kind == "regex":
        assert all(re.fullmatch(subject.text, text) for text in subject.valid)
        assert not any(re.fullmatch(subject.text, text) for text in subject.invalid)


def test_guided_judges_every_text_of_the_quick_run_rightly(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(beyond_json, "QUICK", ("arithmetic, left recursive", "web address"))
    options = beyond_json.arguments(
        ["--quick", "--engines", "guided", "--json", str(tmp_path / "out.json")]
    )
    beyond_json.run(options).finish(options.json)
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in written["figures"]}
    for name in ("compiled", "wrong_acceptances", "wrong_rejections"):
        assert figures[name]["holds"], name
    assert figures["tbm_mean"]["value"] > 0


def test_an_unknown_engine_is_named_in_the_error():
    with pytest.raises(SystemExit):
        beyond_json.arguments(["--engines", "no-such-engine"])


def test_gbnf_is_rewritten_for_kbnf():
    rewritten = kbnf_text('\nroot ::= a-b "x;" [^"]{2} # why\na-b ::= "root" | [a-z]+\n')
    assert rewritten.split() == [
        "r_root", "::=", "r_a_b", '"x;"', '#"[^\\\\x{10FFFF}\\"]{2}"', ";",
        "r_a_b", "::=", '"root"', "|", '#"[a-z]"+', ";",
    ]  # fmt: skip
    assert kbnf_regex(r"\d") == '#"\\\\d"'
