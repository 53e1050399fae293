"""Types, enumerations, numbers, strings and formats."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import pytest

from guided.errors import UnsupportedSchemaError
from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.formats import format_language
from tests.grammars.json_schema.checking import check

ONE_OF_EACH: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 3,
    "number": 1.5,
    "string": "x",
    "array": [1],
    "object": {"a": 1},
}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_type_admits_its_values_and_no_others(name: str) -> None:
    admitted = [name, "integer"] if name == "number" else [name]
    check(
        {"type": name},
        [ONE_OF_EACH[n] for n in admitted],
        [v for n, v in ONE_OF_EACH.items() if n not in admitted],
    )


def test_the_empty_schema_admits_every_document() -> None:
    check({}, [*ONE_OF_EACH.values(), {"a": [{"b": [None, {}]}]}], [b"", b"{", b"nul", b"[1,]"])
    check(True, [1], [])


def test_a_list_of_types_is_their_union() -> None:
    check({"type": ["string", "null"]}, ["a", None], [1, True, [], {}])


def test_enum_keeps_the_values_that_satisfy_the_rest_of_the_schema() -> None:
    check(
        {"enum": [1, "one", "uno", None], "minLength": 4, "type": "string"}
        | {"enum": ["one", "three"]},
        ["three"],
        ["one", 1, None],
    )
    check(
        {"enum": [1, 5, "x", 2.5], "minimum": 2, "type": ["integer", "string"]}, [5, "x"], [1, 2.5]
    )


def test_const_of_an_object_is_written_with_all_its_members() -> None:
    check(
        {"const": {"a": [1, {"b": None}], "c": "é"}},
        [{"a": [1, {"b": None}], "c": "é"}, b'{"a":[1,{"b":null}],"c":"\xc3\xa9"}'],
        [{"a": [1, {}], "c": "é"}, {"a": [1, {"b": None}]}, {}],
    )


def test_false_is_not_zero_and_true_is_not_one() -> None:
    check({"const": 0}, [0], [False])
    check({"enum": [True]}, [True], [1])


def test_a_number_given_with_a_point_may_be_written_either_way() -> None:
    check({"const": 2.0}, [b"2", b"2.0"], [b"2.00", 3])


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"minimum": 3}, [3, 3.0, 4, 10, 3.001, 1e3], [2, 2.999, -4, 0]),
        ({"minimum": -2.5}, [-2.5, -2, 0, 7, -0.5], [-2.51, -3, -10]),
        ({"maximum": 100}, [100, 99.99, -5, 0, 100.0], [100.01, 101, 1000]),
        ({"exclusiveMinimum": 0}, [1, 0.5, 0.001], [0, -1, 0.0, b"-0"]),
        ({"exclusiveMaximum": 0.5}, [0.49, 0, -1], [0.5, 0.51, 1, b"0.50"]),
        ({"minimum": 1, "maximum": 12}, [1, 9, 10, 12, 11.5], [0, 13, 12.5, 20, 100]),
        ({"minimum": -3, "exclusiveMaximum": 0}, [-3, -1, -0.25], [0, -4, -3.5, 1]),
    ],
)
def test_ranges_are_exact(schema: dict[str, Any], valid: list[Any], invalid: list[Any]) -> None:
    check(schema | {"type": "number"}, valid, invalid)


def test_random_ranges_agree_with_exact_arithmetic() -> None:
    rng = random.Random(7)
    for _ in range(60):
        low, high = sorted(round(rng.uniform(-200, 200), rng.choice([0, 1, 2])) for _ in "ab")
        grammar = json_schema({"type": "number", "minimum": low, "exclusiveMaximum": high})
        for _ in range(60):
            number = rng.choice([low, high, round(rng.uniform(-220, 220), rng.choice([0, 1, 3]))])
            written = json.dumps(
                int(number) if rng.random() < 0.5 and number == int(number) else number
            )
            value = Fraction(written)
            if written.startswith("-") and not value:
                continue
            expected = Fraction(str(low)) <= value < Fraction(str(high))
            assert grammar.accepts(written.encode()) is expected, (low, high, written)


def test_draft_4_writes_exclusive_bounds_as_booleans() -> None:
    schema = {"minimum": 3, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": False}
    check(schema | {"$schema": "http://json-schema.org/draft-04/schema#"}, [4, 5, 3.5], [3, 6])


@pytest.mark.parametrize(
    ("step", "valid", "invalid"),
    [
        (3, [0, 3, 30, -9, 3.0], [1, 31, -2, 3.5]),
        (0.01, [0.5, 19.99, 7, 1.2], [0.001, 19.995]),
        (2.5, [2.5, 5, 0, 12.5, -7.5], [1, 2, 2.25, 6]),
        (1000, [0, 1000, 45000], [100, 1500]),
    ],
)
def test_multiple_of_is_exact(step: float, valid: list[Any], invalid: list[Any]) -> None:
    check({"type": "number", "multipleOf": step}, valid, invalid)


def test_integers_are_written_without_a_point_and_with_bounded_digits() -> None:
    check({"type": "integer"}, [0, -7, 10**30], [1.5, b"01", b"1.0", b"+1", b"1e2", b"1" * 60])


def test_lengths_count_code_points_and_escapes_count_once() -> None:
    check(
        {"type": "string", "minLength": 2, "maxLength": 3},
        ["ab", "éé", "😀😀😀", b'"\\n\\u0041"', b'"\\ud83d\\ude00a"'],
        ["a", "abcd", "😀", b'"\\ud83d\\ude00"'],
    )


def test_patterns_search_and_anchors_anchor() -> None:
    check({"type": "string", "pattern": "b+c"}, ["bc", "abbcd"], ["b", "ac"])
    check({"type": "string", "pattern": "^[a-c]{2}$"}, ["ab"], ["abc", "a", "ab\n"])


def test_pattern_and_lengths_hold_together() -> None:
    check(
        {"type": "string", "pattern": "^(ab)+$", "minLength": 3, "maxLength": 6},
        ["abab", "ababab"],
        ["ab", "abababab", "aba"],
    )
    check({"type": "string", "pattern": "é$", "maxLength": 2}, ["é", "aé"], ["aaé", "a"])


def test_quotes_backslashes_and_controls_are_escaped() -> None:
    schema = {"type": "string", "pattern": r'^[a"\\\n\u0001]*$'}
    check(schema, ['a"', "\\\\", "\n\x01", b'"\\u000a"'], [b'"\n"', b'"\\t"', b'"\\x"', b'"a\\"'])


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        (
            "date",
            ["2024-02-29", "2000-02-29", "1999-12-31"],
            ["2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01", "24-01-01"],
        ),
        (
            "time",
            ["08:30:06Z", "23:59:60Z", "08:30:06.28+01:00", "15:59:60-08:00", "05:44:60.5+05:45"],
            ["24:00:00Z", "08:30:06", "8:30:06Z", "15:59:60Z", "15:58:60-08:00", "23:59:60+01:00"],
        ),
        (
            "date-time",
            ["2024-02-29T23:59:59Z", "1990-12-31t15:59:50.1-08:00", "1998-12-31T15:59:60-08:00"],
            ["2024-02-29", "2024-02-29 10:00:00Z", "2023-02-29T00:00:00Z"],
        ),
        ("duration", ["P4DT12H30M5S", "P1W", "PT36H"], ["P", "PT", "4D", "P1D2H", "P2W1D"]),
        (
            "email",
            ["joe.bloggs@example.com", '"a b"@x.org', "a@[127.0.0.1]"],
            ["2962", "a@", ".a@b.c", "a..b@c.d", "joe bloggs@example.com"],
        ),
        ("hostname", ["www.example.com", "a", "h0-1.x"], ["-a", "a_b", "a..b", "", "x" * 64]),
        ("ipv4", ["192.168.0.1", "0.0.0.0"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
        (
            "ipv6",
            ["::1", "2001:db8::8a2e:370:7334", "::ffff:192.168.0.1", "1:2:3:4:5:6:7:8"],
            ["12345::", "1:2:3:4:5:6:7", "::1::", "1:2:3:4:5:6:7:8:9"],
        ),
        ("uuid", ["2EB8AA08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
        (
            "uri",
            ["http://a.b/c?d#e", "urn:oasis:names", "mailto:a@b.c"],
            ["//a.b", "a b", "http://a b"],
        ),
        ("uri-reference", ["/abc", "../x#y", "http://a.b", ""], ["\\\\a", "a b"]),
        ("json-pointer", ["", "/a~0b/~1", "/a/0"], ["a", "/~", "/~2"]),
        ("relative-json-pointer", ["1", "0/a", "2#"], ["01", "-1", "/a"]),
        ("uri-template", ["http://a/{b}{/c*}{?d,e:3}", "a'😀"], ["http://a/{b", "{}"]),
        (
            "idn-email",
            ["δ𝕏@a.com", '"δ"@a.com', "실례@실례.테스트"],
            ["δ@", "@a.com", "δ δ@a.com", "δ@-é.com"],
        ),
        (
            "idn-hostname",
            ["실례.테스트", "café-1.com", "a。b", "www.example.com"],
            ["Café.com", "-é", "é-", "éa--b", "a..é", "実例。。a", "é\u0301", "〮a", "א"],
        ),
        ("regex", ["^a+(b|[c-d]*)$", ""], ["^(abc]", "*"]),
        ("iri", ["http://ƒøø.ßår/?∂"], ["/abc"]),
    ],
)
def test_standard_formats_are_asserted(name: str, valid: list[str], invalid: list[str]) -> None:
    check({"type": "string", "format": name}, valid, invalid)


def test_international_host_names_are_what_idna_encodes() -> None:
    idna = pytest.importorskip("idna")
    language, rng = format_language("idn-hostname"), random.Random(0)
    every = (chr(code) for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000)
    letters = "".join(letter for letter in every if language.accepts(letter.encode()))
    for letter in letters:
        idna.encode(letter)
    for _ in range(3000):
        some = rng.choice([letters, letters[:60] + "abc-", "ß힣ぁ龥а"])
        labels = ["".join(rng.choices(some, k=rng.randint(1, 12))) for _ in range(4)]
        if language.accepts(".".join(labels).encode()):
            assert len(idna.encode(".".join(labels))) <= 253
    assert len(letters) > 10_000
    assert language.accepts("힣ß龥ぁ.".encode() * 3 + b"a")


def test_formats_apply_to_strings_only_and_unknown_formats_assert_nothing() -> None:
    check({"format": "date"}, [12, None, "2024-01-01"], ["x"])
    check({"type": "string", "format": "my-own-format"}, ["anything"], [3])


def test_a_format_and_a_length_hold_together() -> None:
    check({"type": "string", "format": "email", "maxLength": 255}, ["a@b.co"], ["a@", "nobody"])
    check(
        {"type": "string", "format": "hostname", "maxLength": 10},
        ["a.example"],
        ["abc.example.org"],
    )


def test_strings_about_which_readers_of_patterns_disagree_are_not_written() -> None:
    check({"type": "string", "pattern": r"^[\w\s]+$"}, ["a b", "a\u00a0b"], ["a\ufeffb", "é"])
    check({"type": "string", "pattern": r"^\W+$"}, ["-+"], ["é", "a"])
    check({"type": "string", "pattern": r"^[^\s]+$"}, ["é", "名"], ["a b"])
    check(
        {
            "type": "object",
            "patternProperties": {r"^\w+$": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        },
        [{"a": 1}, {"-": "x"}],
        [{"é": 1}, {"é": "x"}, {"a": "x"}, {"-\n": "x"}],
    )


def test_a_pattern_that_every_string_matches_asks_nothing() -> None:
    schema = {"type": "string", "pattern": "([0-9a-z]+)?", "maxLength": 4096}
    check(schema, ["", "é" * 4096, "\n"], ["a" * 4097])


def test_strings_with_a_pattern_are_not_very_long_where_counting_takes_too_much() -> None:
    schema = {"type": "string", "pattern": "^data:(a|b);[0-9a-z=]*$", "maxLength": 32767}
    check(schema, ["data:a;", "data:b;" + "0" * 4089], ["data:c;", "data:b;" + "0" * 4090])
    for size, keyword in ((5000, "pattern"), (3000, None)):
        bounded = schema | {"minLength": size}
        assert _refused(bounded) == keyword, size


def _refused(schema: Any) -> str | None:
    try:
        json_schema(schema)
    except UnsupportedSchemaError as error:
        return error.keyword
    return None


def test_steps_of_powers_of_ten_need_few_remainders() -> None:
    check({"multipleOf": 1000000}, [0, 1000000, -42000000], [1, 100000, 1500000])
    check({"multipleOf": 2500000}, [0, 5000000, 7500000], [500000, 1000000, 1])


def test_multiples_of_many_numbers_are_listed_where_a_range_holds_few() -> None:
    steps = [{"multipleOf": step} for step in (7.5, 13, 169)]
    holes = [{"not": {"multipleOf": step}} for step in (37, 11, 17, 19)]
    schema = {"minimum": -6000, "maximum": 6000, "allOf": [*steps, *holes]}
    check(schema, [2535, -5070, 5070.0], [0, 1267.5, 7605, 2535.5])


def test_integers_are_written_with_a_point_where_asked_for() -> None:
    ranged = {"type": "integer", "minimum": 3, "maximum": 12}
    check(ranged, [3, 12], [b"3.0"])
    check(ranged, [3, b"3.0", b"12.00"], [b"2.0", b"12.5", b"13.0", b"3."], numbers="any")
    check({"enum": [0, [1]]}, [0, b"0.0", b"[1.0]"], [b"1.0", b"[1.5]"], numbers="any")
    unique = {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}
    check(unique, [b"[1.0,2]"], [b"[1,1.0]"], numbers="any")


def test_formats_are_remarks_where_asked_for() -> None:
    check({"format": "date"}, ["2020-02-29"], ["x"])
    check({"format": "date"}, ["2020-02-29", "x"], [], formats="ignore")


def test_times_may_be_limited_in_length() -> None:
    grammar = json_schema({"type": "string", "format": "date-time", "maxLength": 24})
    assert grammar.accepts(b'"1998-12-31T23:59:60.123Z"')
    assert not grammar.accepts(b'"1998-12-31T23:59:60.1234Z"')
    assert not grammar.accepts(b'"1998-12-31T22:59:60Z"')
