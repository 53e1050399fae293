"""Where text is cut, character by character, against the tokenizers library."""

from __future__ import annotations

import json
import random
from functools import reduce
from typing import Any

import pytest
from tokenizers import Regex, pre_tokenizers
from transformers import AutoTokenizer

from guided.byte_laws.characters import Characters, Utf8, members
from guided.byte_laws.pattern import Alphabet, compiled
from guided.byte_laws.splitter import Cascade, PatternSplitter, Splitter
from guided.errors import VocabularyError

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    "gpt2": [GPT2],
    "llama3": [LLAMA3],
    "cl100k": [CL100K],
    "o200k": [O200K],
    "digits": [r"\p{N}"],
    "digits, then gpt2": [r"\p{N}", GPT2],
    "deepseek": [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", LLAMA3],
    "lazy and nested": [r"(?:a|b)*?c|[[:a-c]d]x{2,3}?|\.{2}|(?=x).d"],
    "far": [r"abc(?!d)|ab|[a-d]\s"],
}
LETTERS = [
    "a",
    "b",
    "c",
    "d",
    "x",
    "s",
    "R",
    "e",
    "E",
    "É",
    "ſ",
    "日",
    "ǅ",
    "1",
    "²",
    "٣",
    " ",
    "  ",
]
LETTERS += ["\n", "\r", "\t", "\u00a0", "'", "'s", "'rE", ".", ",", "/", "🎉", "\u0301", "\u200b"]


def machine(patterns: list[str]) -> tuple[Splitter, Characters]:
    alphabet = Alphabet()
    programs = [compiled(pattern, alphabet) for pattern in patterns]
    characters = Characters([members(expression) for expression in alphabet.sets])
    splitters: list[Splitter] = [PatternSplitter(one, characters) for one in programs]
    return reduce(Cascade, splitters), characters


def cuts(splitter: Splitter, characters: Characters, text: str) -> list[int]:
    """Where the machine cuts; checks that it tells no position twice."""
    memory, told = splitter.start, []
    for char in text:
        more, after = splitter.step(memory, int(characters.of[ord(char)]))
        assert after is not None
        told += more
        memory = after
    told += splitter.end(memory) or ()
    assert len(told) == max(0, len(text) - 1)
    return [at + 1 for at, is_cut in enumerate(told) if is_cut]


def wanted_cuts(splitter: Any, text: str) -> list[int]:
    return [begin for _, (begin, _) in splitter.pre_tokenize_str(text) if begin]


@pytest.mark.parametrize("name", PATTERNS)
def test_text_is_cut_where_the_tokenizers_library_cuts_it(name: str) -> None:
    patterns = PATTERNS[name]
    splitter, characters = machine(patterns)
    library = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    )
    draw = random.Random(name)
    for _ in range(300):
        text = "".join(draw.choices(LETTERS, k=draw.randrange(1, 14)))
        assert cuts(splitter, characters, text) == wanted_cuts(library, text), text


def test_the_embedded_tokenizers_pattern_is_followed() -> None:
    tokenizer = AutoTokenizer.from_pretrained("examples/models/tiny-lm").backend_tokenizer
    (pattern,) = [
        part["pattern"]["Regex"]
        for part in json.loads(tokenizer.to_str())["pre_tokenizer"]["pretokenizers"]
        if part["type"] == "Split"
    ]
    splitter, characters = machine([pattern])
    library = pre_tokenizers.Split(Regex(pattern), "isolated")
    draw = random.Random(1)
    words = [" is", " (string", " isle", '": ', '"}, "', " neighbour", "s", "\n", '",', " [", "x"]
    for _ in range(300):
        text = "".join(draw.choices([*words, *LETTERS], k=draw.randrange(1, 10)))
        assert cuts(splitter, characters, text) == wanted_cuts(library, text), text


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (r"a(?<=b)", "the group"),
        (r"\ba", r"\\b"),
        ("^a", "'\\^' here"),
        ("a(?!bc)", "more than one character"),
        ("a*", "matches nothing"),
        ("[a-z&&[aeiou]]", "&&"),
        (r"(a)\1", r"\\1"),
        ("(?:ab)++c", "possessive quantifier after a group"),
        ("a++a", "possessive quantifier that is no greedy one"),
        ("(a", "unmatched \\("),
        ("a)", "unmatched \\)"),
        ("[a", "unmatched \\["),
        ("a{1001}", "repetitions"),
    ],
)
def test_what_a_pattern_must_not_hold_is_refused_by_name(pattern: str, named: str) -> None:
    with pytest.raises(VocabularyError, match=named):
        machine([pattern])


def test_utf8_is_read_byte_by_byte_and_nothing_else() -> None:
    characters = Characters([members(r"\p{L}"), members(r"\p{N}")])
    utf8 = Utf8(characters)
    for point in [0, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]:
        state = 0
        encoded = chr(point).encode()
        for byte in encoded[:-1]:
            state = utf8.step(state, byte)
            assert state > 0
            assert int(characters.of[point]) in utf8.endings[state]
        assert utf8.step(state, encoded[-1]) == ~int(characters.of[point])
    for wrong in [
        b"\x80",
        b"\xc0",
        b"\xc1",
        b"\xe0\x80",
        b"\xed\xa0",
        b"\xf0\x80",
        b"\xf4\x90",
        b"\xf5",
    ]:
        state = 0
        for byte in wrong[:-1]:
            state = utf8.step(state, byte)
        assert utf8.step(state, wrong[-1]) == 0
    assert len(utf8.endings) < 400
