"""How a tokenizer would write a text: the tokens that a model expects to see."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from guided.errors import VocabularyError
from guided.grammars.vocabulary import Vocabulary

#: Tokens that spell a text.
Spell = Callable[[bytes], list[int]]
_KEPT = 4096


def spell_as(tokenizer: Any, vocabulary: Vocabulary) -> Spell:
    """A function that spells text as the Hugging Face `tokenizer` does, exactly in bytes.

    What the tokenizer changes (a normaliser) or cannot read (no UTF-8, the names of special
    tokens) is spelled by the longest tokens.
    """
    encode = _plain_encoder(tokenizer)

    def spell(data: bytes) -> list[int]:
        try:
            ids = encode(data.decode())
        except UnicodeDecodeError:
            return vocabulary.encode(data)
        spelled = b"".join(vocabulary.grammar_bytes(token) or b"" for token in ids)
        if spelled == b" " + data:
            # SentencePiece puts a blank before every text.
            head = vocabulary.grammar_bytes(ids[0]) or b""
            ids, spelled = [*vocabulary.encode(head[1:]), *ids[1:]], data
        return ids if spelled == data else vocabulary.encode(data)

    return spell


def _plain_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """The tokenizer's encoding without special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return lambda text: list(backend.encode(text, add_special_tokens=False).ids)
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])


class Speller:
    """Tokens of a text that goes on from another one; repeated questions cost nothing."""

    def __init__(self, vocabulary: Vocabulary, spell: Spell | None = None) -> None:
        self.vocabulary = vocabulary
        self._spell = spell or vocabulary.encode
        self._kept: OrderedDict[tuple[bytes, bytes], tuple[int, ...]] = OrderedDict()

    def after(self, before: bytes, text: bytes) -> tuple[int, ...]:
        """The tokens of `text` after `before`; one that begins in `before` is no use."""
        key = (before, text)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = tuple(self._after(before, text))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def _after(self, before: bytes, text: bytes) -> list[int]:
        # A context that is cut within a character cannot be spelled as a text.
        before = before.lstrip(bytes(range(0x80, 0xC0)))
        ids = self._spelled(before + text)
        at = 0
        for index, token in enumerate(ids):
            if at == len(before):
                return ids[index:]
            at += len(self.vocabulary.grammar_bytes(token) or b"")
            if at > len(before):
                break
        # The tokenizer would have written `before` in another way: too late for that.
        return self._spelled(text)

    def _spelled(self, data: bytes) -> list[int]:
        try:
            return self._spell(data)
        except VocabularyError:
            # Words of WordPiece spell no space at the end: that guess is none.
            return []
