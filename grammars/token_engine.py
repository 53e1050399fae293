"""Tokens over a parser: which tokens may follow a configuration, and what completes it."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from guided.errors import VocabularyError
from guided.grammars.common_masks import keep_common
from guided.grammars.fork_safe import ENGINE, fork_safe
from guided.grammars.known_index import Block, record_of
from guided.grammars.likely import likely_texts
from guided.grammars.mask_work import work
from guided.grammars.memo import Parser
from guided.grammars.spacing import Spacing
from guided.grammars.spots import Spots
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.alike_states import are_alike
from guided.kernels.masking import list_tokens
from guided.kernels.memo_arrays import LEAST
from guided.kernels.trie import longest_token
from guided.kernels.ways import clamp_config, forced_bytes, shortest_path
from guided.kernels.wide_masks import HEADER, LEVELS, OFTEN, ROOM, fill_counted, fill_wide

#: Bytes that the masks of one grammar and vocabulary may take.
MASK_LIMIT = 128 << 20
#: Entries of the step table by tokens before it is started afresh.
_STEP_LIMIT = 1 << 20
#: Places in texts whose likely texts are kept.
_TEXT_LIMIT = 1 << 14
#: Configurations looked at before a search for a completion gives up.
_SEARCH_LIMIT = 300
#: States of a large automaton with which another one is compared.
_MOST_ALIKE = 8
#: Bytes of a shortest way that are laid out to find its first token.
_LOOK_AHEAD = 24

Mask = NDArray[np.int32]


class TokenEngine:
    """A parser seen through the tokens of one vocabulary. Thread-safe.

    Where some byte that the grammar may need is no token by itself, a legal prefix might have no
    spelling to the end; then every token is checked for a completion before it is allowed (by a
    bounded search: what it cannot complete is masked).
    """

    def __init__(self, parser: Parser, vocabulary: Vocabulary, limit: int = MASK_LIMIT) -> None:
        self.parser = parser
        self.vocabulary = vocabulary
        self._limit = max(1, limit // (4 * vocabulary.n_words))
        #: Masks that were made, and the farthest end after a token of each, by configuration.
        self.masks: OrderedDict[int, tuple[Mask, int]] = OrderedDict()
        self._clamped: dict[int, int] = {}
        self._texts: dict[Hashable, tuple[bytes, ...]] = {}
        self._first: dict[int, int] = {}
        self._bounds: dict[int, int] = {}
        self._longest_rest: dict[int, int] = {}
        self._hopeless: set[int] = set()
        self._kept = np.zeros(1 + 2 * len(parser.rules.fact), np.int64)
        #: Where kernels find the blocks that are kept, and for how many there is room.
        self.kept_address = int(self._kept.ctypes.data), len(self._kept)
        self._kept_view = self._kept.data
        self._blocks: dict[int, Block] = {}
        # States of large automata that blocks were made for, by automaton and node.
        self._alike: dict[Hashable, list[int]] = {}
        #: Whether some terminal counts characters.
        self.counted = bool(parser.rules.lexeme[:, LEAST].max(initial=-1) >= 0)
        self._stop_mask = vocabulary.stop_mask
        self._spots = Spots(self._stop_mask, _STEP_LIMIT)
        #: What is known at a configuration, by its number.
        self.spot = self._spots.at
        finalize(self, self._spots.unlink).atexit = False
        keep_common(vocabulary, TokenEngine)
        self._lock = fork_safe(threading.RLock(), ENGINE)
        self.careful = not parser.used_bytes <= vocabulary.alphabet
        if self.careful and not self._completable(parser.start):
            raise VocabularyError(
                "no sequence of tokens of this vocabulary was found to spell a text of the grammar"
            )

    @property
    def n_bytes(self) -> int:
        """Bytes that the kept masks take."""
        return len(self.masks) * 4 * self.vocabulary.n_words

    @property
    def stop_mask(self) -> Mask:
        """The mask that allows exactly the stop ids."""
        return self._stop_mask

    def after(self, config: int, token: int) -> int:
        """The configuration after `token`, 0 if it is not allowed (stop ids never are)."""
        spot = self.spot(config)
        known = spot.steps.get(token)
        if known is not None:
            return known.config
        if token in spot.forbidden:
            return 0
        data = self.vocabulary.grammar_bytes(token)
        found = 0 if data is None else self.parser.walk(config, data)[0]
        if found and self.careful and not self._completable(found):
            found = 0
        self._spots.link(spot, token, found)
        return found

    def mask(self, config: int) -> Mask:
        """The packed mask of `config`, read-only; stop ids are set where it is accepting."""
        return self._mask_and_reach(config)[0]

    def _mask_and_reach(self, config: int) -> tuple[Mask, int]:
        found = self.masks.get(config)
        if found is not None:
            return found
        with self._lock:
            representative = self.representative(config)
            found = self.masks.get(representative)
            if found is None:
                found = self._compute(representative)
                self.enter(representative, found)
        return found

    def enter(self, representative: int, made: tuple[Mask, int]) -> None:
        """Keeps the mask of a configuration, and an upper bound of the distance after it."""
        with self._lock:
            if len(self.masks) >= self._limit:
                self.spot(self.masks.popitem(last=False)[0]).mask = None
            self.masks[representative] = made
            self.spot(representative).mask = made[0]

    def forget_masks(self) -> None:
        """Has all masks made anew."""
        with self._lock:
            for config in self.masks:
                self.spot(config).mask = None
            self.masks.clear()

    def farthest(self, config: int) -> int:
        """Fewest bytes to the end after the token that leads farthest from it."""
        return self._mask_and_reach(config)[1] + self._counter_slack(config)

    def representative(self, config: int) -> int:
        """The configuration whose mask is that of `config`: counters are cut off where it ends."""
        if not self.counted:
            return config
        found = self._clamped.get(config)
        if found is None:
            if len(self._clamped) >= _STEP_LIMIT:
                self._clamped.clear()
            found = int(self.parser.call(clamp_config, config, self.vocabulary.longest))
            self._clamped[config] = found
        return found

    def _compute(self, config: int) -> tuple[Mask, int]:
        vocabulary = self.vocabulary
        if self.careful:
            tokens, targets = self.successors(config)
            kept = tokens[self._select(targets, self._completable)]
            mask = pack_tokens(kept, vocabulary.n_words)
            if self.parser.is_accepting(config):
                mask |= self._stop_mask
            mask.flags.writeable = False
            return mask, max((self.parser.distance(int(t)) for t in targets), default=0)
        return work(vocabulary, 1).one(self, config)

    def keep(self, place: int, block: Block, address: int) -> None:
        """Has kernels read a block from here on."""
        self._blocks[place] = block
        self._kept_view[place] = address

    def make_block(self, state: int, lex: int, root: int) -> None:
        """Has the tokens inside of terminal `lex` kept: from `state` on, or (-1) counted ones.

        `root`: the node of the tries that they go on from, -1 before the first byte.
        """
        parser, kept = self.parser, self.vocabulary.kept_masks
        place = 0 if state < 0 else 1 + parser.fact_of(lex, state)
        place += len(parser.rules.fact) if root >= 0 else 0
        if place in self._blocks:
            return
        key = (self._content(state, lex, root), root)
        block = kept.block(key)
        if block is None:
            block = self._counted_block(lex) if state < 0 else self._wide_block(lex, state, root)
            kept.keep_block(key, block)
        if state >= 0:
            kept.index_block(record_of(parser, lex, state, root), block)
        self.keep(place, block, int(block.ctypes.data))

    def _content(self, state: int, lex: int, root: int) -> Hashable:
        """Equal only where the same tokens may follow inside of the terminal."""
        content, is_small = self.parser.content(lex, state)
        if is_small or state < 0:
            return content
        vocabulary, known = self.vocabulary, self._alike.setdefault((content, root), [])
        for other in known[-_MOST_ALIKE:]:
            where = vocabulary.subtrees.deepest, vocabulary.longest, lex, state, other, root
            if self.parser.call(are_alike, vocabulary.handle, *where):
                return content, other
        known.append(state)
        return content, state

    def _counted_block(self, lex: int) -> Block:
        handle, n_words = self.vocabulary.handle, self.vocabulary.n_words
        places = 4 * len(self.vocabulary.tries.node)
        room = np.empty(HEADER + (LEVELS + 1) * n_words + places, np.int32)
        return room[: self.parser.call(fill_counted, handle, lex, n_words, room)].copy()

    def _wide_block(self, lex: int, state: int, root: int) -> Block:
        handle, n_words = self.vocabulary.handle, self.vocabulary.n_words
        room = self.vocabulary.kept_masks.room(HEADER + n_words + OFTEN + ROOM)
        below = self.vocabulary.subtrees[1:]
        length = self.parser.call(fill_wide, handle, *below, lex, state, root, n_words, room)
        return room[:length].copy()

    def successors(self, config: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(allowed tokens, configuration after each), stop ids left out."""
        room = self.vocabulary.size
        tokens = np.empty(room, np.int32)
        targets = np.empty(room, np.int32)
        _, count = self.parser.call(list_tokens, self.vocabulary.handle, config, tokens, targets)
        return tokens[:count], targets[:count]

    def mask_within(self, config: int, budget: int) -> Mask:
        """The mask of tokens after which a completion, with its stop token, fits into the rest."""
        mask, far = self._mask_and_reach(config)
        # One token now, at most one a byte for the rest, one to stop.
        if far + self._counter_slack(config) + 2 <= budget:
            return mask
        # The same in tokens instead of bytes, which is nearer but has to be worked out.
        longest = self._longest_rest.get(config)
        if longest is not None and longest + 1 <= budget:
            return mask
        tokens, targets = self.successors(config)
        if longest is None:
            self._longest_rest[config] = self._rest_after(targets)
            return self.mask_within(config, budget)
        keep = self._select(targets, lambda target: self.fits(target, budget - 1))
        limited = pack_tokens(tokens[keep], self.vocabulary.n_words)
        if self.parser.is_accepting(config) and budget >= 1:
            limited |= self._stop_mask
        return limited

    def _rest_after(self, targets: NDArray[np.int32]) -> int:
        """The most tokens that any of `targets` needs to the end, the stop token included."""
        if len(self._longest_rest) >= _STEP_LIMIT:
            self._longest_rest.clear()
        different = self._different(targets).tolist()
        if self.careful:
            different = [target for target in different if self._completable(target)]
        return max((self.bound(target) for target in different), default=1)

    def _different(self, targets: NDArray[np.int32]) -> NDArray[np.intp]:
        present = np.zeros(self.parser.n_configs, np.bool_)
        present[targets] = True
        return np.flatnonzero(present)

    def _select(self, targets: NDArray[np.int32], test: Callable[[int], bool]) -> NDArray[np.bool_]:
        """For every target whether it passes `test`, which each different one takes once."""
        different = self._different(targets)
        passed = [target for target in different.tolist() if test(target)]
        table = np.zeros(self.parser.n_configs, np.bool_)
        table[passed] = True
        return table[targets]

    def _counter_slack(self, config: int) -> int:
        # A clamped counter hides how many characters a lower bound still asks for.
        if self.representative(config) == config:
            return 0
        return self.parser.distance(config)

    def fits_after(self, config: int, token: int, budget: int) -> bool:
        """Whether `token` may come, and a completion with its stop token fits into the rest."""
        target = self.after(config, token)
        return target != 0 and self.fits(target, budget - 1)

    def fits(self, config: int, budget: int) -> bool:
        """Whether a completion of `config` with its stop token is known to fit."""
        if self.careful and not self._completable(config):
            return False
        return self.parser.distance(config) + 1 <= budget or self.bound(config) <= budget

    def bound(self, config: int) -> int:
        """Number of tokens that suffice from `config`, the stop token included."""
        path: list[int] = []
        at = config
        while at not in self._bounds and not self.parser.is_accepting(at):
            path.append(at)
            at = self.after(at, self._first_token(at))
        count = self._bounds.get(at, 1)
        self._bounds[at] = count
        for visited in reversed(path):
            count += 1
            self._bounds[visited] = count
        return self._bounds[config]

    def completion(self, config: int) -> list[int]:
        """Tokens of a short completion, the stop token left out."""
        tokens: list[int] = []
        while not self.parser.is_accepting(config):
            token = self._first_token(config)
            tokens.append(token)
            config = self.after(config, token)
        return tokens

    def _first_token(self, config: int) -> int:
        """The token with which the completion of `config` begins."""
        found = self._first.get(config)
        if found is not None:
            return found
        if self.careful:
            if not self._completable(config):
                raise VocabularyError("no sequence of tokens spells a completion")
            return self._first[config]
        buffer = np.empty(min(self.vocabulary.longest, _LOOK_AHEAD), np.uint8)
        _, count = self.parser.call(shortest_path, config, buffer)
        trie = self.vocabulary.whole_trie
        token, _ = longest_token(buffer[:count], trie.node, trie.root)
        if token < 0:
            raise VocabularyError(
                f"no token spells {bytes(buffer[:count])!r}, which the grammar needs"
            )
        self._first[config] = int(token)
        return int(token)

    def _completable(self, config: int) -> bool:
        """Whether some sequence of tokens leads from `config` to a word (best-first search)."""
        if self.parser.is_accepting(config) or config in self._first:
            return True
        if config in self._hopeless:
            return False
        origin: dict[int, tuple[int, int]] = {config: (0, -1)}
        queue = [(self.parser.distance(config), 0, config)]
        looked = 0
        while queue and looked < _SEARCH_LIMIT:
            _, depth, at = heapq.heappop(queue)
            looked += 1
            if self.parser.is_accepting(at) or at in self._first:
                self._remember(at, origin)
                return True
            tokens, targets = self.successors(at)
            for token, target in zip(tokens.tolist(), targets.tolist(), strict=True):
                if target not in origin and target not in self._hopeless:
                    origin[target] = (at, token)
                    rank = self.parser.distance(target) + depth + 1
                    heapq.heappush(queue, (rank, depth + 1, target))
        if not queue:
            self._hopeless.update(origin)
        else:
            self._hopeless.add(config)
        return False

    def _remember(self, at: int, origin: dict[int, tuple[int, int]]) -> None:
        while origin[at][1] >= 0:
            before, token = origin[at]
            self._first.setdefault(before, token)
            at = before

    def forced(self, config: int) -> bytes:
        """Bytes with which every completion continues."""
        buffer = np.empty(256, np.uint8)
        _, count = self.parser.call(forced_bytes, config, buffer)
        return bytes(buffer[:count])

    def likely_texts(self, config: int, spacing: Spacing, most: int) -> tuple[bytes, ...]:
        """Up to `most` texts, one of which is likely to come next."""
        key = (config, spacing.key, most)
        found = self._texts.get(key)
        if found is None:
            found = tuple(likely_texts(self.parser, config, spacing, most))
            if len(self._texts) >= _TEXT_LIMIT:
                self._texts.clear()
            self._texts[key] = found
        return found


def pack_tokens(tokens: NDArray[np.int32] | Sequence[int], n_words: int) -> Mask:
    """A packed mask with the bits of `tokens` set."""
    ids = np.asarray(tokens, np.int64)
    mask = np.zeros(n_words, np.uint32)
    np.bitwise_or.at(mask, ids // 32, np.uint32(1) << (ids % 32).astype(np.uint32))
    return mask.view(np.int32)
