"""What the grammar forces: keys, punctuation and literals, in the layout used so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided.controls.grammar_mask import MaskState
from guided.controls.pipeline import States
from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafters.remembered import Remembered
from guided.decoding.drafters.spelling import Spell, Speller
from guided.decoding.drafters.style import Style
from guided.decoding.drafts import ROOT, Draft, Nodes
from guided.decoding.known_grammar import engine_of
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.mask_apply import only_token

#: That the model spells forced text as the tokenizer does.
_CANONICAL = 0.95
#: How much likelier a literal is that stands in the text so far.
_SEEN = 8.0
_WORDS = re.compile(rb"\w[\w .-]*\w|\w")


class _Doubt(Enum):
    """What may be wrong with a token of a text that is sure to come."""

    NONE = auto()
    #: The model may spell it in another way.
    SPELLING = auto()
    #: It is the last one, and a longer one that begins like it is legal.
    MAY_GO_ON = auto()


_CHANCES = {_Doubt.NONE: 1.0, _Doubt.SPELLING: _CANONICAL, _Doubt.MAY_GO_ON: 0.5}
_Way = tuple[int, _Doubt]


class _Text:
    """What a branch has said, and the style of its structured part.

    `state` is the grammar's after the `count` tokens that have been read.
    """

    def __init__(self, prompt: Callable[[], bytes], state: GrammarState, style: Style) -> None:
        self._prompt = prompt
        self._data: bytearray | None = None
        self._pieces: list[bytes] = []
        self.state = state
        self.first = self.style = style
        self.count = 0

    @property
    def data(self) -> bytearray:
        """The bytes so far, the prompt's first; made when they are asked for, which is seldom."""
        found = self._data
        if found is None:
            found = self._data = bytearray(self._prompt())
        if self._pieces:
            found += b"".join(self._pieces)
            self._pieces.clear()
        return found

    def copy(self) -> _Text:
        twin = _Text(self._prompt, self.state, self.first)
        twin._data = None if self._data is None else bytearray(self._data)
        twin._pieces = list(self._pieces)
        twin.style, twin.count = self.style, self.count
        return twin

    def read(self, tokens: Sequence[int], state: GrammarState, pieces: Sequence[bytes]) -> None:
        """Takes in new tokens, spelled by `pieces`, after which the grammar is in `state`."""
        begin = 0
        before: GrammarState | None = self.state
        while before is not None and before.in_free_text and begin < len(tokens):
            before = before.advance(tokens[begin])
            begin += 1
            self.style = self.first
        # Token by token, which are met again and again: whole texts seldom are.
        style = self.style
        for piece in pieces[begin:] if begin else pieces:
            style = style.after(piece)
        self.style = style
        self._pieces += pieces
        self.count += len(tokens)
        self.state = state


class GrammarText(Drafter):
    """Drafts the text that a `GrammarMask` leaves no choice about, in canonical tokens.

    White space follows the layout that the output has used so far, at first that of `json.dumps`.
    Where only a few literals are possible (enums, truth values, the end of a list or one more
    item) each is a branch of the tree, those first that the prompt or the output contain.

    Args:
        vocabulary: of the model.
        spell: how the tokenizer writes a text (`spell_as`); the longest tokens if not given,
            which most models find odd.
        literals: most branches of a tree; 1: stop at every choice.
    """

    name: ClassVar[str] = "grammar"

    def __init__(
        self, vocabulary: Vocabulary, spell: Spell | None = None, *, literals: int = 6
    ) -> None:
        self.vocabulary = vocabulary
        self.literals = literals
        self._speller = Speller(vocabulary, spell)
        self._ends = _Ends(vocabulary)
        self._silent = frozenset(vocabulary.specials.values()) | vocabulary.stop_ids
        self._style = Style.first()
        self._texts_of: Remembered[list[bytes]] = Remembered()
        self._ways: Remembered[list[_Way]] = Remembered()
        self._sure: Remembered[Nodes | None] = Remembered()

    def propose(self, request: Request) -> list[Draft]:
        """A tree of literals; where laws are to be kept the likeliest alone."""
        most = 1 if request.keeps_laws else self.literals
        return [
            self._guess(branch, room, most) if room > 0 else Draft()
            for branch, room in zip(request.branches, request.room, strict=True)
        ]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Learns how often tokens at the end of forced text were the right ones."""
        for seen in observations:
            self._ends.settle(seen.branch)

    def fork(self, branch: Branch, child: Branch) -> None:
        text = branch.notes.get(self)
        if text is not None:
            child.notes[self] = text.copy()

    def style(self, branch: Branch, state: GrammarState) -> Style:
        """The layout that a branch has used so far."""
        return self._text(branch, state).style

    def spelled(self, before: Sequence[int], text: bytes) -> tuple[int, ...]:
        """The tokens of `text` after others, of which the last few count (`context`)."""
        return self._speller.after(self._bytes_of(before), text)

    def guess(self, branch: Branch, room: int) -> Draft:
        """A tree of literals for one branch."""
        return self._guess(branch, room, self.literals)

    def _guess(self, branch: Branch, room: int, most: int) -> Draft:
        state = grammar_state(branch)
        if state is None or state.is_finished:
            return Draft()
        if self._ends in branch.notes:
            self._ends.settle(branch)
        text = self._text(branch, state)
        engine = engine_of(state)
        likely = self._likely(engine, state, text.style)
        if not likely:
            return Draft()
        before = context(branch)
        if len(likely) == 1:
            sure = self._only(engine, state, before, likely[0])
            if sure is not None and len(sure.chances) <= room:
                return Draft.of(*sure)
        weights = _weights(likely, text.data)
        order = sorted(range(len(likely)), key=lambda index: -weights[index])[:most]
        chosen = [(likely[index], weights[index] / sum(weights)) for index in order]
        ways = [(self._way(engine, state, before, text), share) for text, share in chosen]
        return self._tree(branch, ways, room)

    def _only(
        self,
        engine: TokenEngine | None,
        state: GrammarState,
        before: tuple[int, ...],
        text: bytes,
    ) -> Nodes | None:
        """The draft of the only text that is likely, where nothing said so far changes it."""
        known, key = self._sure.of(engine), (state.key, before, text)
        if key in known:
            return known[key]
        way = self._way(engine, state, before, text)
        found = None
        if all(doubt is not _Doubt.MAY_GO_ON for _, doubt in way):
            tokens, chances = [token for token, _ in way], [_CHANCES[doubt] for _, doubt in way]
            found = Draft.chain(tokens, chances, self.name).nodes
        known[key] = found
        return found

    def _tree(self, branch: Branch, ways: Sequence[tuple[list[_Way], float]], room: int) -> Draft:
        draft = Draft()
        nodes: dict[tuple[int, int], int] = {}
        shares: list[float] = []
        for way, share in ways:
            parent = ROOT
            for token, doubt in way:
                node = nodes.get((parent, token))
                if node is None:
                    if len(draft) >= room:
                        break
                    chance = _CHANCES[doubt]
                    if doubt is _Doubt.MAY_GO_ON:
                        # What follows is a choice, with which the end may be one token.
                        path = [draft.tokens[node] for node in draft.path(parent)]
                        chance = self._ends.chance(branch, path, token)
                    node = nodes[parent, token] = draft.add(token, parent, chance, self.name)
                    shares.append(0.0)
                shares[node] += share
                parent = node
        if len(ways) > 1:
            for node, parent in enumerate(draft.parents):
                draft.chances[node] *= shares[node] / (shares[parent] if parent != ROOT else 1.0)
        return draft

    def _likely(self, engine: TokenEngine | None, state: GrammarState, style: Style) -> list[bytes]:
        """The texts that are likely to come next."""
        known, key = self._texts_of.of(engine), (state.key, style)
        found = known.get(key)
        if found is None:
            texts = state.likely_texts(style.spacing, self.literals)
            found = known[key] = [text for text in texts if text]
        return found

    def _way(
        self,
        engine: TokenEngine | None,
        state: GrammarState,
        before: tuple[int, ...],
        text: bytes,
    ) -> list[_Way]:
        """The tokens that spell a text, as far as they are legal, and how sure each is."""
        known, key = self._ways.of(engine), (state.key, before, text)
        found = known.get(key)
        if found is None:
            found = known[key] = self._found_way(state, before, text)
        return found

    def _found_way(self, state: GrammarState, before: Sequence[int], text: bytes) -> list[_Way]:
        way = []
        tokens = self.spelled(before, text)
        for index, token in enumerate(tokens):
            following = state.advance(token)
            if following is None:
                break
            way.append((token, self._doubt(state, token, index == len(tokens) - 1)))
            state = following
        return way

    def _doubt(self, state: GrammarState, token: int, is_last: bool) -> _Doubt:
        data = self.vocabulary.grammar_bytes(token) or b""
        may_be_alone = len(data) == 1 or data[0] not in self.vocabulary.single_bytes
        if may_be_alone and only_token(state.mask()) == token:
            return _Doubt.NONE
        if is_last and self._ends.may_go_on(state, token):
            return _Doubt.MAY_GO_ON
        return _Doubt.SPELLING

    def _bytes_of(self, tokens: Sequence[int]) -> bytes:
        spelling = self.vocabulary.tokens
        return b"".join([spelling[token] or b"" for token in tokens])

    def _text(self, branch: Branch, state: GrammarState) -> _Text:
        text: _Text | None = branch.notes.get(self)
        if text is None:
            start = _state_in(branch.first) or state.grammar.start(self.vocabulary)
            prompt = partial(self.vocabulary.decode, branch.prompt)
            text = branch.notes[self] = _Text(prompt, start, self._style)
        if text.count < len(branch.tokens):
            new = branch.tokens[text.count :]
            spelling, silent = self.vocabulary.tokens, self._silent
            pieces = [(spelling[token] or b"") if token not in silent else b"" for token in new]
            text.read(new, state, pieces)
        return text


def context(branch: Branch) -> tuple[int, ...]:
    """The last token of a branch, with which what follows might be merged.

    It hardly ever merges with more, and the fewer tokens count, the more often an answer is known.
    """
    return (branch.tokens[-1] if branch.tokens else branch.prompt[-1],)


class _Ends:
    """How often the last token of a text was right where a longer one was legal, for each token."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._longer: dict[int, NDArray[np.int64]] = {}
        self._right: dict[int, int] = {}
        self._tried: dict[int, int] = {}

    def may_go_on(self, state: GrammarState, token: int) -> bool:
        """Whether a longer token that begins like `token` is legal."""
        longer = self._longer.get(token)
        if longer is None:
            data = self._vocabulary.grammar_bytes(token) or b""
            ids = [i for text, i in self._vocabulary.spellings.items() if text.startswith(data)]
            longer = self._longer[token] = np.array([i for i in ids if i != token], np.int64)
        mask = state.mask()
        return bool(((mask[longer >> 5] >> (longer & 31)) & 1).any())

    def chance(self, branch: Branch, path: list[int], token: int) -> float:
        """The share of times that `token` was right, and a note to see whether it will be now."""
        # How many tokens the branch had, the tokens drafted, and the one in question.
        note = (len(branch.tokens), path, token)
        notes: list[tuple[int, list[int], int]] = branch.notes.setdefault(self, [])
        if note not in notes:
            notes.append(note)
        return (self._right.get(token, 0) + 1) / (self._tried.get(token, 0) + 2)

    def settle(self, branch: Branch) -> None:
        """Counts what has become of the notes on `branch`."""
        for begin, path, token in branch.notes.pop(self, ()):
            said = branch.tokens[begin : begin + len(path) + 1]
            if len(said) > len(path) and said[:-1] == path:
                self._tried[token] = self._tried.get(token, 0) + 1
                self._right[token] = self._right.get(token, 0) + (said[-1] == token)


def grammar_state(branch: Branch) -> GrammarState | None:
    """Where the branch stands in its grammar, None if it has none."""
    return _state_in(branch.states)


def _state_in(states: States) -> GrammarState | None:
    """Where controls with these states stand in their grammar."""
    for state in states:
        if isinstance(state, MaskState):
            return state.grammar
    return None


def _weights(texts: list[bytes], said: bytearray) -> list[float]:
    """How likely each text is beside the others: more so if its words were said before."""
    if len(texts) == 1:
        return [1.0]
    shared = min(_common(texts[0], other) for other in texts[1:])
    weights = []
    for text in texts:
        # The word in which the texts divide.
        begin = shared
        while begin > 0 and _WORDS.fullmatch(text[begin - 1 : begin]):
            begin -= 1
        words = _WORDS.search(text, begin)
        is_near = words is not None and words.start() <= shared + 2
        was_said = is_near and words is not None and words.group() in said
        weights.append(_SEEN if was_said else 1.0)
    return weights


def _common(left: bytes, right: bytes) -> int:
    """Length of the common beginning."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
