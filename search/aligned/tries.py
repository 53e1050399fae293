"""Prefix tries that are kept between calls, for several prompts and grammars of one model."""

from __future__ import annotations

import weakref
from pathlib import Path

from guided.errors import InputError
from guided.search.aligned.prefix_trie import PrefixTrie
from guided.search.aligned.trie_file import load_tries, save_tries
from guided.search.aligned.trie_key import TrieKey

#: Bytes that tries may take, if nobody says otherwise.
MEMORY = 256 << 20


class Tries:
    """What draws have shown, by what they were drawn from; give it to one call after the other.

    A trie is found again where model, prompt, controls, grammar and limit of tokens are the same,
    and a new one is begun where they are not. Not for several threads at the same time.

    Args:
        memory: most bytes of all tries, about. Beyond it whole tries go, those first that were
            unused for longest, and then what a trie knows about unlikely prefixes.

    Raises:
        InputError: no room for anything.

    Example:
        >>> tries = Tries()
        >>> ASAp(n=100, tries=tries).run(model, prompt, regex=pattern)
        >>> tries.save("tries.npz")
    """

    def __init__(self, *, memory: int = MEMORY) -> None:
        if memory < 1 << 16:
            raise InputError(f"memory={memory} bytes leave no room for a trie; give 65536 or more")
        self.memory = memory
        self._tries: dict[TrieKey, PrefixTrie] = {}
        self._holders: dict[TrieKey, weakref.ref[object]] = {}

    def __len__(self) -> int:
        return len(self._tries)

    def __contains__(self, key: object) -> bool:
        return key in self._tries

    def __getitem__(self, key: TrieKey) -> PrefixTrie:
        return self._tries[key]

    def keys(self) -> list[TrieKey]:
        """What the tries are about, that used last at the end."""
        return list(self._tries)

    @property
    def n_bytes(self) -> int:
        """Memory of all tries, about."""
        return sum(trie.n_bytes for trie in self._tries.values())

    def lease(self, key: TrieKey, holder: object) -> PrefixTrie:
        """The trie of `key`, for `holder` alone until it is released or the holder is gone.

        A trie must not change while somebody draws by it: whoever comes second, like an equal
        prompt in the same call, gets a trie of its own, which is not kept.

        Raises:
            InputError: what is here was learnt from another model.
        """
        if any(known.model != key.model for known in self._tries):
            raise InputError(
                "these tries were learnt from another model (its weights, their type or its "
                "vocabulary differ); give new ones: Tries()"
            )
        if self._is_leased(key):
            return PrefixTrie()
        self._holders[key] = weakref.ref(holder)
        known = self._tries.pop(key, None)
        trie = self._tries[key] = PrefixTrie() if known is None else known
        return trie

    def release(self, key: TrieKey, holder: object) -> None:
        """Gives a trie back; nothing happens if it was not leased to `holder`."""
        before = self._holders.get(key)
        if before is not None and before() is holder:
            del self._holders[key]

    def make_room(self, trie: PrefixTrie, keeps_bounds: bool) -> None:
        """Keeps within `memory`, while `trie` is in use; see `PrefixTrie.shrink`."""
        over = self.n_bytes - self.memory
        for key in list(self._tries):
            if over > 0 and not self._is_leased(key):
                over -= self._tries.pop(key).n_bytes
        trie.shrink(min(self.memory, max(0, trie.n_bytes - over)), keeps_bounds)

    def _is_leased(self, key: TrieKey) -> bool:
        holder = self._holders.get(key)
        return holder is not None and holder() is not None

    def save(self, path: str | Path) -> None:
        """Writes all tries to a file, exactly; an old one is replaced once the new one is whole.

        Raises:
            OSError: the file cannot be written; an old one is still there.
        """
        save_tries(path, self._tries)

    @classmethod
    def load(cls, path: str | Path, *, memory: int = MEMORY) -> Tries:
        """The tries of a file, exactly as they were saved.

        Raises:
            OSError: the file cannot be opened.
            InputError: it is damaged, holds something else, or is of another version.
        """
        tries = cls(memory=memory)
        tries._tries.update(load_tries(path))
        return tries
