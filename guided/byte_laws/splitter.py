"""Where a tokenizer cuts text into pieces, told character by character as soon as it is certain."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, Protocol, TypeAlias

from guided.byte_laws.characters import Characters
from guided.byte_laws.pattern import Program
from guided.errors import VocabularyError

#: What a machine remembers; hashable. Its start is where no character has been read.
Memory: TypeAlias = tuple[object, ...]
#: For each position that has become certain, in order: is the text cut there, before a character.
Cuts: TypeAlias = tuple[bool, ...]
_END = -1


class Splitter(Protocol):
    """A machine that reads classes of characters.

    It tells of every position but the first, the one before the first character, whether the text
    is cut there; late, where that depends on what follows.
    """

    start: Memory

    def step(self, memory: Memory, char: int) -> tuple[Cuts, Memory | None]:
        """What becomes certain by one more character; None: there is no such text."""

    def end(self, memory: Memory) -> Cuts | None:
        """What becomes certain by the text's end: all the rest; None: there is no such text."""


class Whole:
    """Cuts nowhere."""

    start: Memory = ()

    def step(self, memory: Memory, char: int) -> tuple[Cuts, Memory | None]:
        return ((False,) if memory else ()), ("inside",)

    def end(self, memory: Memory) -> Cuts | None:
        return ()


class _Search(NamedTuple):
    """A piece that is being looked for.

    Attributes:
        threads: instructions that wait for the next character, best first.
        pending: characters after the best match so far; all of them if there is none.
        matched: whether there is one.
        in_gap: whether what stands before the piece is no match.
    """

    threads: tuple[int, ...]
    pending: tuple[int, ...] = ()
    matched: bool = False
    in_gap: bool = False


class PatternSplitter:
    """Cuts before and after every match of a pattern, like `re.finditer` finds them.

    The pattern runs as a Pike machine whose set of threads, in the order of their preference, is
    the state. A match is known to be the one when all better threads have ended; what was read
    after it is read again as the next piece.

    Args:
        keeps_gaps: whether what matches nowhere is a piece too; otherwise there is no such text.

    Raises:
        VocabularyError: a pattern that matches the empty text, or that needs possessive
            quantifiers.
    """

    def __init__(self, program: Program, characters: Characters, keeps_gaps: bool = True) -> None:
        self.code, self.within = program.code, characters.within
        self.keeps_gaps = keeps_gaps
        self._first = _Search((program.start,))
        self.start: Memory = self._first
        self._live = cache(self._live_uncached)
        self._moved = cache(self._moved_uncached)
        ends = (_END, *range(len(characters)))
        if any(self._live((program.start,), char)[1] for char in ends):
            raise VocabularyError("the tokenizer splits text by a pattern that matches nothing")
        self._check_atomic(program)

    def _check_atomic(self, program: Program) -> None:
        """A possessive repetition is a greedy one where giving back could not help."""
        for wanted, after in program.atomic:
            goes_on = [self._live((after,), char) for char in range(len(self.within))]
            hits = all(hit for _, hit in goes_on) and self._live((after,), _END)[1]
            for char, (threads, _) in enumerate(goes_on):
                reads = any(self.code[at].set in self.within[char] for at in threads)
                if wanted in self.within[char] and reads and not hits:
                    raise VocabularyError(
                        "the tokenizer splits text by a pattern with a possessive quantifier that "
                        "is no greedy one, which byte laws do not support"
                    )

    def step(self, memory: Memory, char: int) -> tuple[Cuts, Memory | None]:
        cuts: list[bool] = []
        after = self._read(_Search(*memory), (char,), cuts)  # type: ignore[arg-type]
        return tuple(cuts), after

    def end(self, memory: Memory) -> Cuts | None:
        cuts: list[bool] = []
        search = _Search(*memory)  # type: ignore[arg-type]
        while search.pending or search.matched:
            if self._live(search.threads, _END)[1]:
                search = self._match(search, cuts)
            again, rest = self._over(search, cuts)
            if again is None:
                return None
            if not rest:
                break
            found = self._read(again, rest, cuts)
            if found is None:
                return None
            search = found
        return tuple(cuts)

    def _read(self, search: _Search, chars: tuple[int, ...], cuts: list[bool]) -> _Search | None:
        threads, pending, matched, in_gap = search
        todo = list(reversed(chars))
        while todo:
            char = todo.pop()
            reading, hit = self._live(threads, char)
            if hit:
                _, pending, matched, in_gap = self._match(
                    _Search(threads, pending, matched, in_gap), cuts
                )
            moved = self._moved(reading, char)
            pending = (*pending, char)
            if moved:
                threads = moved
                continue
            over, rest = self._over(_Search(threads, pending, matched, in_gap), cuts)
            if over is None:
                return None
            threads, pending, matched, in_gap = over
            todo += reversed(rest)
        return _Search(threads, pending, matched, in_gap)

    def _match(self, search: _Search, cuts: list[bool]) -> _Search:
        """The piece reaches at least up to here."""
        inside = len(search.pending)
        if not search.matched:
            if search.in_gap:
                cuts.append(True)
            inside -= 1
        cuts += [False] * inside
        return _Search(search.threads, (), True, False)

    def _over(self, search: _Search, cuts: list[bool]) -> tuple[_Search | None, tuple[int, ...]]:
        """The piece cannot become longer: where the search goes on, and what it reads again."""
        if search.matched:
            if search.pending:
                cuts.append(True)
            return self._first, search.pending
        if not self.keeps_gaps:
            return None, ()
        if search.in_gap:
            cuts.append(False)
        return _Search(self._first.threads, in_gap=True), search.pending[1:]

    def _live_uncached(self, threads: tuple[int, ...], char: int) -> tuple[tuple[int, ...], bool]:
        """The reading threads that are better than a match, given the next character; is there one.

        A match is what has been read so far.
        """
        reading: list[int] = []
        seen: set[int] = set()
        todo = list(reversed(threads))
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            one = self.code[at]
            if one.kind == "match":
                return tuple(reading), True
            if one.kind == "read":
                reading.append(at)
            elif one.kind == "fork":
                todo += reversed(one.targets)
            elif (char != _END and one.set in self.within[char]) == one.wanted:
                todo += one.targets
        return tuple(reading), False

    def _moved_uncached(self, threads: tuple[int, ...], char: int) -> tuple[int, ...]:
        """Where the threads that read this character go on."""
        found: dict[int, None] = {}
        for at in threads:
            one = self.code[at]
            if one.set in self.within[char]:
                found.setdefault(one.targets[0])
        return tuple(found)


class Cascade:
    """Cuts by one splitter, and every piece by another."""

    def __init__(self, first: Splitter, second: Splitter) -> None:
        self.first, self.second = first, second
        self.start: Memory = (first.start, (), second.start)

    def step(self, memory: Memory, char: int) -> tuple[Cuts, Memory | None]:
        first, waiting, second = memory
        is_first = memory == self.start
        cuts, first = self.first.step(first, char)  # type: ignore[arg-type]
        if first is None:
            return (), None
        if is_first:
            _, second = self.second.step(self.second.start, char)
            return (), None if second is None else (first, (), second)
        found = self._pass(cuts, (*waiting, char), second)  # type: ignore[misc,arg-type]
        return ((), None) if found is None else (found[0], (first, *found[1]))

    def end(self, memory: Memory) -> Cuts | None:
        first, waiting, second = memory
        cuts = self.first.end(first)  # type: ignore[arg-type]
        found = None if cuts is None else self._pass(cuts, waiting, second)  # type: ignore[arg-type]
        if found is None:
            return None
        rest = self.second.end(found[1][1])
        return None if rest is None else (*found[0], *rest)

    def _pass(
        self, cuts: Cuts, waiting: tuple[int, ...], second: Memory
    ) -> tuple[Cuts, tuple[tuple[int, ...], Memory]] | None:
        """Hands the characters on before which it is certain whether the first one cuts."""
        found: list[bool] = []
        for is_cut, char in zip(cuts, waiting, strict=False):
            if is_cut:
                rest = self.second.end(second)
                if rest is None:
                    return None
                found += [*rest, True]
                second = self.second.start
            more, after = self.second.step(second, char)
            if after is None:
                return None
            found += more
            second = after
        return tuple(found), (waiting[len(cuts) :], second)
