"""What is read out of a tokenizer: its merges, and how it cuts text into pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np

from guided.byte_laws.boundaries import Boundaries
from guided.byte_laws.characters import LAST, Characters, Utf8, members
from guided.byte_laws.merges import Merges
from guided.byte_laws.pattern import Alphabet, Program, compiled
from guided.byte_laws.splitter import Cascade, PatternSplitter, Splitter, Whole
from guided.errors import VocabularyError

#: The pattern of GPT-2, which byte-level pre-tokenizers use by themselves.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MARK = "\u2581"
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>\Z")


def description_of(tokenizer: Any) -> dict[str, Any]:
    """What a Hugging Face tokenizer consists of.

    Raises:
        VocabularyError: no tokenizer of the tokenizers library, or no byte-pair encoder.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "to_str"):
        raise VocabularyError(
            f"{type(tokenizer).__name__} is not backed by the tokenizers library; byte laws need "
            "its merges"
        )
    description: dict[str, Any] = json.loads(backend.to_str())
    model = description["model"]
    if model.get("type") != "BPE":
        raise VocabularyError(
            f"the tokenizer is {model.get('type')}; byte laws need a byte-pair encoder (BPE)"
        )
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise VocabularyError(
                f"the tokenizer has {name}={model[name]!r}, which byte laws do not support"
            )
    return description


def merges_of(description: dict[str, Any], size: int) -> Merges:
    """The merges of a byte-pair encoder."""
    model = description["model"]
    vocabulary: dict[str, int] = model["vocab"]
    symbols = [token for text, token in vocabulary.items() if len(text) == 1]
    symbols += byte_tokens(description)
    rules = []
    for rule in model["merges"]:
        left, right = rule.split(" ") if isinstance(rule, str) else rule
        rules.append((vocabulary[left], vocabulary[right], vocabulary[left + right]))
    return Merges(size, symbols, rules)


def byte_tokens(description: dict[str, Any]) -> frozenset[int]:
    """Tokens that stand for single bytes of characters which have no token of their own."""
    if not description["model"].get("byte_fallback"):
        return frozenset()
    vocabulary: dict[str, int] = description["model"]["vocab"]
    return frozenset(token for text, token in vocabulary.items() if _BYTE_TOKEN.match(text))


def boundaries_of(description: dict[str, Any]) -> Boundaries:
    """The machine that tells where the tokenizer cuts.

    Raises:
        VocabularyError: a pre-tokenizer that is not supported, by name.
    """
    alphabet = Alphabet()
    programs = list(_programs(description.get("pre_tokenizer"), alphabet))
    sets = [members(expression) for expression in alphabet.sets]
    alias, own_set = _spelling_of_characters(description)
    characters = Characters([*sets, *([own_set] if own_set is not None else [])])
    splitters: list[Splitter] = [
        PatternSplitter(program, characters, keeps) for program, keeps in programs
    ]
    splitter = reduce(Cascade, splitters) if splitters else Whole()
    if own_set is None:
        return Boundaries(splitter, Utf8(characters))
    own = frozenset(i for i, sets_ in enumerate(characters.within) if len(sets) in sets_)
    return Boundaries(splitter, Utf8(characters, alias), own)


def _spelling_of_characters(description: dict[str, Any]) -> tuple[dict[int, int], Any]:
    """Bytes that stand for other characters; which characters have tokens, where not all have."""
    model = description["model"]
    if not model.get("byte_fallback"):
        return {}, None
    own = np.zeros(LAST + 1, np.bool_)
    own[[ord(text) for text in model["vocab"] if len(text) == 1]] = True
    return {0x20: ord(_MARK)}, own


def _programs(given: dict[str, Any] | None, alphabet: Alphabet) -> Iterator[tuple[Program, bool]]:
    """The patterns that cut, one after the other; and whether what matches nowhere stays."""
    if given is None:
        return
    kind = given["type"]
    if kind == "Sequence":
        for part in given["pretokenizers"]:
            yield from _programs(part, alphabet)
    elif kind == "ByteLevel":
        if given.get("use_regex", True):
            yield compiled(_GPT2, alphabet), True
    elif kind == "Digits":
        pattern = r"\p{N}" if given.get("individual_digits") else r"\p{N}+"
        yield compiled(pattern, alphabet), True
    elif kind == "Metaspace":
        if given.get("split", True):
            yield compiled(f"{_MARK}[^{_MARK}]*|[^{_MARK}]+", alphabet), True
    elif kind == "Split":
        yield _split(given, alphabet)
    else:
        raise VocabularyError(f"byte laws do not support the pre-tokenizer {kind}")


def _split(given: dict[str, Any], alphabet: Alphabet) -> tuple[Program, bool]:
    ((form, text),) = given["pattern"].items()
    pattern = text if form == "Regex" else re.escape(text)
    behavior = str(given.get("behavior", "")).lower()
    if behavior == "isolated":
        return compiled(pattern, alphabet), True
    if behavior == "removed" and given.get("invert"):
        return compiled(pattern, alphabet), False
    raise VocabularyError(
        f"byte laws do not support a pre-tokenizer that splits with behavior {behavior!r}"
    )
