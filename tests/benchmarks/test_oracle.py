"""The judges of the fuzz runs judge rightly."""

import re

import pytest

pytest.importorskip("jsonschema")

from harness import data, oracle


def test_the_instances_of_our_own_set_are_labelled_rightly():
    for case in data.load(data.OWN_SET):
        judge = oracle.validator(case.schema)
        for instance in case.instances:
            fault = oracle.schema_fault(judge, instance.text)
            assert (fault is None) == instance.valid, (case.name, instance.text, fault)


@pytest.mark.parametrize(
    ("schema", "text", "valid"),
    [
        ('{"multipleOf": 0.01}', "19.99", True),
        ('{"multipleOf": 0.01}', "19.995", False),
        ('{"type": "integer"}', "3.0", True),
        ('{"type": "integer", "maximum": 9007199254740992}', "9007199254740993", False),
        ("{}", "NaN", False),
        ("{}", "[1,]", False),
        ('{"pattern": "^\\\\s$"}', '"\\ufeff"', True),
        ('{"pattern": "^\\\\w$"}', '"\\u00e4"', False),
    ],
)
def test_numbers_are_exact_and_patterns_are_read_as_ecmascript(schema: str, text: str, valid: bool):
    assert (oracle.schema_fault(oracle.validator(schema), text) is None) == valid


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^[\s\]]$", "]", True),
        (r"^(?<year>\d{4})$", "2024", True),
        (r"^[^]$", "\n", True),
        (r"^[]$", "x", False),
        (r"^\-\_\/$", "-_/", True),
        (r"^[[a]$", "[", True),
    ],
)
def test_ecmascript_patterns_are_translated(pattern: str, text: str, matches: bool):
    assert bool(re.search(oracle.python_pattern(pattern), text)) == matches


def test_repeated_names_are_noticed():
    assert oracle.repeats_a_name('[{"b": {"a": 1, "a": 2}}]')
    assert not oracle.repeats_a_name('[{"a": {"a": 1}}]')


def test_lark_and_re_judge_whole_texts():
    assert oracle.grammar_fault('start: "a"+', "aa") is None
    assert oracle.grammar_fault('start: "a"+', "ab")
    assert oracle.regex_fault("a+", "aa") is None
    assert oracle.regex_fault("a+", "aab")
