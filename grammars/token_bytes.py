"""Reads the exact bytes of every token out of a Hugging Face tokenizer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from guided.errors import VocabularyError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")


def tokenizer_bytes(tokenizer: Any) -> tuple[list[bytes | None], dict[str, int]]:
    """(bytes of every id, ids of special tokens by text) of a Hugging Face tokenizer.

    Raises:
        VocabularyError: the tokenizer has no byte mapping that could be exact.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None) or getattr(
        tokenizer, "_tokenizer", None
    )
    if backend is None or not hasattr(backend, "to_str"):
        raise VocabularyError(
            f"{type(tokenizer).__name__} is not backed by the tokenizers library, so the bytes of "
            "its tokens are unknown; build a Vocabulary with Vocabulary.from_tokens instead"
        )
    description = json.loads(backend.to_str())
    read = _reader(description, type(tokenizer).__name__)
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=False)
    added = {int(item["id"]): item for item in description.get("added_tokens") or ()}
    last = max([*vocabulary.values(), *added.keys()], default=-1)
    tokens: list[bytes | None] = [None] * (last + 1)
    for text, token in vocabulary.items():
        if token not in added:
            tokens[token] = read(text)
    specials: dict[str, int] = {}
    for token, item in added.items():
        if item["special"]:
            specials[item["content"]] = token
        else:
            tokens[token] = _added_bytes(item["content"], read)
    return tokens, specials


def _reader(description: dict[str, Any], name: str) -> Callable[[str], bytes]:
    kinds = _decoder_kinds(description.get("decoder"))
    model = description.get("model") or {}
    if "ByteLevel" in kinds:
        return _byte_level_bytes
    if "ByteFallback" in kinds or model.get("byte_fallback"):
        return _byte_fallback_bytes
    found = ", ".join(sorted(kinds)) or "no decoder"
    raise VocabularyError(
        f"{name} ({model.get('type', 'unknown model')}, {found}) has no byte mapping: supported "
        "are byte-level BPE and tokenizers with byte fallback"
    )


def _decoder_kinds(decoder: dict[str, Any] | None) -> set[str]:
    if not decoder:
        return set()
    kinds = {decoder["type"]}
    for inner in decoder.get("decoders") or ():
        kinds |= _decoder_kinds(inner)
    return kinds


@cache
def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE writes for bytes (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in printable}
    others = (b for b in range(256) if b not in set(printable))
    table.update({chr(256 + k): b for k, b in enumerate(others)})
    return table


def _byte_level_bytes(text: str) -> bytes:
    alphabet = _byte_level_alphabet()
    try:
        return bytes(alphabet[c] for c in text)
    except KeyError:
        # Tokens outside of the alphabet can only be plain text that was added by hand.
        return text.encode()


def _byte_fallback_bytes(text: str) -> bytes:
    match = _BYTE_TOKEN.match(text)
    if match:
        return bytes([int(match.group(1), 16)])
    return text.replace("\u2581", " ").encode()


def _added_bytes(text: str, read: Callable[[str], bytes]) -> bytes:
    # Added tokens are matched as text; only byte-fallback readers rewrite the space mark.
    return text.replace("\u2581", " ").encode() if read is _byte_fallback_bytes else text.encode()
