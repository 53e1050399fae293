"""Prompt lookup: what followed the last tokens when they stood before."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar
from weakref import WeakKeyDictionary

from guided.decoding.branch import Branch
from guided.decoding.drafters.copying import CopyIndex, Places, index_of
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import ROOT, Draft
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary

#: Prompts whose indices are kept for branches that are opened later.
_PROMPTS = 8
#: Nodes from which on a quarter of the draft goes to a second guess.
_FORKED = 8
#: Tokens that match by chance, of a match that is in doubt; sets how chances rise with length.
_DOUBT = 1.5


class Lookup(Drafter):
    """Copies from the prompt and from the branch's own tokens.

    The last n tokens are looked for, the longest n first, the latest place first. A copy that was
    under way goes on after a token that differed (input-guided aggressive decoding, Ge et al.
    2022). No model, no training; right for output that repeats its input: extraction, editing,
    code.

    Args:
        vocabulary: where given, tokens that differ only by a space or quote before them match, so
            that a value after `"` is found in running text.
        n_max: tokens of the longest n-gram that is looked up; longer matches are told apart by
            following them backwards.
        longest: most tokens of one copy.
    """

    name: ClassVar[str] = "lookup"

    def __init__(
        self, vocabulary: Vocabulary | None = None, *, n_max: int = 4, longest: int = 32
    ) -> None:
        if n_max < 1 or longest < 1:
            raise InputError(f"n_max={n_max} and longest={longest} must be at least 1")
        self.n_max = n_max
        self.longest = longest
        self._bare = None if vocabulary is None else bare_ids(vocabulary)
        self._prompts: OrderedDict[tuple[int, ...], dict[int, Places]] = OrderedDict()
        self._indices: WeakKeyDictionary[Branch, CopyIndex] = WeakKeyDictionary()

    def propose(self, request: Request) -> list[Draft]:
        """A chain, or two where there is room; a tree has no laws."""
        is_forked = not request.keeps_laws
        return [
            self._guess(branch, room, is_forked)
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def fork(self, branch: Branch, child: Branch) -> None:
        index = self._indices.get(branch)
        if index is not None:
            self._indices[child] = index.copy()

    def _guess(self, branch: Branch, room: int, is_forked: bool) -> Draft:
        draft = Draft()
        index = self._index(branch)
        found = index.candidates() if room > 0 else []
        if not found:
            return draft
        index.start(*found[0])
        # Where the last tokens stood in one place only, they tell more.
        first = (found[0][0] + (len(found) == 1), found[0][1])
        spare = room // 4 if is_forked and room >= _FORKED else 0
        self._copy(draft, branch, index, first, room - spare)
        if spare:
            for candidate in found[1:]:
                if self._token(branch, candidate[1]) != draft.tokens[0]:
                    self._copy(draft, branch, index, candidate, spare)
                    break
        return draft

    def _copy(
        self,
        draft: Draft,
        branch: Branch,
        index: CopyIndex,
        candidate: tuple[int, int],
        room: int,
    ) -> None:
        matched, place = candidate
        count = min(room, self.longest, len(index.tokens) - place)
        first = len(draft.tokens)
        draft.tokens += self._tokens(branch, place, count)
        draft.parents += [ROOT, *range(first, first + count - 1)][:count]
        # Given that all before it were right, the match is that much longer.
        lengths = range(matched, matched + count)
        draft.chances += [(length + 0.5) / (length + 0.5 + _DOUBT) for length in lengths]
        draft.sources += [self.name] * count

    def _tokens(self, branch: Branch, place: int, count: int) -> list[int]:
        prompt, end = branch.prompt, place + count
        begin = max(0, place - len(prompt))
        return [*prompt[place:end], *branch.tokens[begin : max(0, end - len(prompt))]]

    def _token(self, branch: Branch, place: int) -> int:
        prompt = branch.prompt
        return prompt[place] if place < len(prompt) else branch.tokens[place - len(prompt)]

    def _index(self, branch: Branch) -> CopyIndex:
        """The index of all that the branch has said so far."""
        index = self._indices.get(branch)
        if index is None:
            known = self._seen(branch.prompt)
            index = CopyIndex(known, self._prompt_index(branch.prompt), self.n_max)
            self._indices[branch] = index
        new = branch.tokens[len(index.tokens) - len(branch.prompt) :]
        if new:
            index.extend(self._seen(new))
        return index

    def _seen(self, tokens: tuple[int, ...] | list[int]) -> list[int]:
        """The tokens as they are compared."""
        bare = self._bare
        return list(tokens) if bare is None else [bare[token] for token in tokens]

    def _prompt_index(self, prompt: tuple[int, ...]) -> dict[int, Places]:
        table = self._prompts.get(prompt)
        if table is None:
            table = self._prompts[prompt] = index_of(self._seen(prompt), self.n_max)
            if len(self._prompts) > _PROMPTS:
                self._prompts.popitem(last=False)
        return table


def bare_ids(vocabulary: Vocabulary) -> list[int]:
    """For every token the one that spells it without a space, quote or bracket before it.

    A token is its own where there is no such token.
    """
    spellings = vocabulary.spellings
    bare = list(range(vocabulary.size))
    for token, data in enumerate(vocabulary.tokens):
        if data is not None and (rest := data.lstrip(b" \n\"'([{")):
            bare[token] = spellings.get(rest, token)
    return bare
