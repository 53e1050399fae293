"""Reads the exact bytes of every token out of a Hugging Face tokenizer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from guided.errors import VocabularyError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")


class TokenBytes(NamedTuple):
    """What a tokenizer's ids spell.

    Attributes:
        tokens: bytes of every id, as they stand after other text; None where it spells nothing.
        specials: ids of special tokens by their text.
        drops_first_space: whether a text does not begin with the space that its first token has.
    """

    tokens: list[bytes | None]
    specials: dict[str, int]
    drops_first_space: bool = False


def tokenizer_bytes(tokenizer: Any) -> TokenBytes:
    """What the ids of a Hugging Face tokenizer spell.

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
    is_word_piece = (description.get("decoder") or {}).get("type") == "WordPiece"
    if is_word_piece:
        read = _word_piece_reader(backend.decoder)
    else:
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
            tokens[token] = _added_bytes(item["content"], read, is_word_piece)
    return TokenBytes(tokens, specials, is_word_piece)


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
        "are byte-level BPE, tokenizers with byte fallback, and WordPiece"
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


def _word_piece_reader(decoder: Any) -> Callable[[str], bytes]:
    """What tokens spell after others, by the decoder itself.

    It decodes token by token: a word gets a space in front (which is cleaned away before some
    punctuation), a continuation loses its mark. The first token of a text gets no space; one that
    would then be more than its space apart from what it is later is left out.
    """

    def read(text: str) -> bytes:
        later = decoder.decode(["a", text])[1:]
        if later.startswith(" ") and decoder.decode([text]) != later[1:]:
            return b""
        return str(later).encode()

    return read


def _added_bytes(text: str, read: Callable[[str], bytes], is_word_piece: bool) -> bytes:
    # Added tokens are matched as text; only byte-fallback readers rewrite the space mark.
    if is_word_piece:
        return read(text)
    return text.replace("\u2581", " ").encode() if read is _byte_fallback_bytes else text.encode()
