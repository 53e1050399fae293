"""The bytes of every token of a tokenizer, and tries over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import VocabularyError
from guided.grammars import disk_cache
from guided.grammars.block_store import BlockStore
from guided.grammars.ir import special_bytes
from guided.grammars.kept_masks import KeptMasks
from guided.grammars.once import once
from guided.grammars.token_bytes import tokenizer_bytes
from guided.grammars.token_tries import (
    FORMAT,
    Subtrees,
    TokenTries,
    build_tries,
    kept_tries,
    sliced_tries,
    subtrees_of,
)
from guided.kernels.handles import Handle, handle_of
from guided.kernels.trie import SKIP, longest_token

#: Tries of vocabularies with as many tokens take longer to make than to read from disk.
_LARGE = 1 << 14


class Vocabulary:
    """What every token id spells, exactly in bytes. Immutable.

    Args:
        tokens: bytes of every id; None (or no bytes) where an id spells nothing.
        stop_ids: ids that end a sequence.
        specials: ids of special tokens by their text; no text ever matches them.
        size: width of the model's logits where it exceeds the number of tokens.
        drops_first_space: whether a text does not begin with the space that its first token has,
            as the decoders of WordPiece tokenizers write it.

    Raises:
        VocabularyError: no token spells anything, ids out of range.
    """

    def __init__(
        self,
        tokens: Sequence[bytes | None],
        stop_ids: Iterable[int],
        specials: Mapping[str, int] | None = None,
        size: int | None = None,
        drops_first_space: bool = False,
    ) -> None:
        width = len(tokens) if size is None else size
        if width < len(tokens) and any(tokens[width:]):
            raise VocabularyError(
                f"the logits have {width} columns but the tokenizer has {len(tokens)} tokens"
            )
        padded = [t or None for t in tokens[:width]]
        padded += [None] * (width - len(padded))
        self.size = width
        self.tokens: tuple[bytes | None, ...] = tuple(padded)
        self.stop_ids = frozenset(int(i) for i in stop_ids)
        self.specials: Mapping[str, int] = dict(specials or {})
        self.drops_first_space = drops_first_space
        if not any(self.tokens):
            raise VocabularyError("no token of this vocabulary spells any text")
        for name, ids in (("stop id", self.stop_ids), ("special token", self.specials.values())):
            for token in ids:
                if not 0 <= token < width:
                    raise VocabularyError(f"{name} {token} is outside of the {width} logits")

    @classmethod
    def from_tokens(
        cls,
        tokens: Sequence[bytes | None],
        stop_ids: Iterable[int],
        specials: Mapping[str, int] | None = None,
        width: int | None = None,
    ) -> Vocabulary:
        """A vocabulary of given tokens."""
        return cls(tokens, stop_ids, specials, width)

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        width: int | None = None,
        stop_ids: Iterable[int] | None = None,
    ) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer (byte-level BPE, byte-fallback, WordPiece).

        Raises:
            VocabularyError: the tokenizer has no exact byte mapping (named), or the logits are
                narrower than the vocabulary.
        """
        found = tokenizer_bytes(tokenizer)
        if stop_ids is None:
            eos = getattr(tokenizer, "eos_token_id", None)
            stop_ids = [] if eos is None else [eos]
        return cls(found.tokens, stop_ids, found.specials, width, found.drops_first_space)

    @once
    def key(self) -> str:
        """A hash of the content: equal vocabularies have equal keys."""
        digest = hashlib.blake2b(digest_size=16)
        lengths, text = self._laid_out
        digest.update(lengths.astype("<u4").tobytes())
        digest.update(text)
        digest.update(repr(sorted(self.stop_ids)).encode())
        digest.update(repr(sorted(self.specials.items())).encode())
        if self.drops_first_space:
            digest.update(b"drops first space")
        return digest.hexdigest()

    def __reduce__(self) -> tuple[object, ...]:
        # What is made of the tokens holds addresses.
        return Vocabulary, (self.tokens, self.stop_ids, dict(self.specials), self.size)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Vocabulary) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Vocabulary(size={self.size}, stop_ids={sorted(self.stop_ids)})"

    @property
    def n_words(self) -> int:
        """Number of int32 words of a packed mask."""
        return (self.size + 31) // 32

    @once
    def stop_mask(self) -> NDArray[np.int32]:
        """The packed mask that allows exactly the stop ids, read-only."""
        bits = np.zeros(32 * self.n_words, np.uint8)
        bits[sorted(self.stop_ids)] = 1
        mask = np.packbits(bits, bitorder="little").view(np.int32)
        mask.flags.writeable = False
        return mask

    @once
    def spellings(self) -> Mapping[bytes, int]:
        """Token ids by the bytes that a grammar sees; specials under `special_bytes`."""
        table: dict[bytes, int] = {}
        special_ids = set(self.specials.values())
        for token, data in enumerate(self._grammar_bytes):
            if data is not None and token not in special_ids:
                table.setdefault(data, token)
        for text, token in self.specials.items():
            if token not in self.stop_ids:
                table[special_bytes(text)] = token
        return table

    def grammar_bytes(self, token: int) -> bytes | None:
        """The bytes that `token` stands for in a grammar, None if it stands for nothing."""
        if not 0 <= token < self.size:
            return None
        return self._grammar_bytes[token]

    @once
    def _laid_out(self) -> tuple[NDArray[np.int64], bytes]:
        """The length of every token (0 where it spells nothing), and all tokens in a row."""
        texts = [data or b"" for data in self.tokens]
        return np.fromiter(map(len, texts), np.int64, len(texts)), b"".join(texts)

    @once
    def _grammar_bytes(self) -> list[bytes | None]:
        # Byte 0xFF never occurs in text and opens the spelling of special tokens.
        table = list(self.tokens)
        lengths, data = self._laid_out
        places = np.flatnonzero(np.frombuffer(data, np.uint8) == 0xFF)
        for token in np.searchsorted(np.cumsum(lengths), places, side="right").tolist():
            table[token] = None
        for text, token in self.specials.items():
            table[token] = special_bytes(text)
        for token in self.stop_ids:
            table[token] = None
        return table

    @once
    def single_bytes(self) -> frozenset[int]:
        """The bytes that are tokens by themselves."""
        short = np.flatnonzero(self._laid_out[0] == 1).tolist()
        found = [self._grammar_bytes[token] for token in short]
        return frozenset(data[0] for data in found if data is not None and len(data) == 1)

    @once
    def alphabet(self) -> frozenset[int]:
        """`single_bytes` and the byte that opens special tokens."""
        return self.single_bytes | {0xFF}

    @once
    def is_closed(self) -> bool:
        """Whether every byte of every token is a token by itself."""
        used: set[int] = set()
        for text in self.spellings:
            if not text.startswith(b"\xff"):
                used.update(text)
        return used <= self.single_bytes

    @once
    def longest(self) -> int:
        """Length in bytes of the longest token."""
        return max(map(len, filter(None, self._grammar_bytes)))

    def encode(self, data: bytes) -> list[int]:
        """Tokens that spell `data` exactly, as it stands after other text; longest match first.

        Raises:
            VocabularyError: some byte has no token.
        """
        ids: list[int] = []
        buffer = np.frombuffer(bytearray(data), np.uint8)
        trie = self.whole_trie
        at = 0
        while at < len(data):
            token, length = longest_token(buffer[at : at + self.longest], trie.node, trie.root)
            if token < 0:
                raise VocabularyError(f"no token spells byte {data[at]:#04x} at offset {at}")
            ids.append(int(token))
            at += int(length)
        return ids

    def decode(self, ids: Iterable[int]) -> bytes:
        """The text of the given tokens; specials and stop ids spell nothing."""
        special = set(self.specials.values()) | self.stop_ids
        text = b"".join(self.tokens[i] or b"" for i in ids if i not in special)
        return text.removeprefix(b" ") if self.drops_first_space else text

    @once
    def tries(self) -> TokenTries:
        """The tokens in tries by slice, for the mask walk; kept on disk where there are many."""
        if self.size < _LARGE:
            return self._make_tries()
        name = f"tries-{FORMAT}-{self.key}"
        tries = kept_tries(disk_cache.load(name), self.size)
        if tries is None:
            tries = self._make_tries()
            disk_cache.save(name, tries._asdict())
        return tries

    @once
    def handle(self) -> Handle:
        """`tries` as kernels take them."""
        tries = self.tries
        if (tries.next_same < 0).all():
            # Looking for equal tokens would be most of the work.
            tries = tries._replace(next_same=tries.next_same[:0])
        return handle_of(tries)

    @once
    def widest_node(self) -> int:
        """The node of `tries` of the first byte that most tokens begin with, for the mask walk."""
        roots = self.tries.root[-1]
        roots = roots[roots >= 0]
        return int(roots[np.argmax(self.tries.node[roots, SKIP] - roots)])

    @once
    def subtrees(self) -> Subtrees:
        """What lies below each node of the trie of all tokens in `tries`."""
        return subtrees_of(self.tries)

    @once
    def kept_masks(self) -> KeptMasks:
        """What masks of different grammars have in common."""
        store = BlockStore(self.key) if self.size >= _LARGE else None
        return KeptMasks(self.n_words, store=store)

    def _make_tries(self) -> TokenTries:
        spelled = {t: data for t, data in enumerate(self._grammar_bytes) if data is not None}
        ids = sorted(spelled, key=spelled.__getitem__)
        return sliced_tries([spelled[token] for token in ids], ids, self.size, self.stop_ids)

    @once
    def whole_trie(self) -> TokenTries:
        """All tokens in one trie (duplicates keep the first spelling's id)."""
        texts = sorted(self.spellings)
        ids = [self.spellings[text] for text in texts]
        return build_tries([(texts, ids)], self.size, self.stop_ids)
