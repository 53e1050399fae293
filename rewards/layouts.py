"""How a question and the steps of its solution become tokens, and where their scores are read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from guided.errors import ModelError, RewardError

#: Pieces whose tokens are remembered, for each tokenizer.
_PIECES = 1 << 12


@dataclass(frozen=True, slots=True)
class Written:
    """What a process reward model reads.

    Attributes:
        tokens: up to the last position that a score is read at.
        reads: that position of every step, ascending.
    """

    tokens: tuple[int, ...]
    reads: tuple[int, ...]


class Layout(Protocol):
    """The way in which a model wants to be shown a solution; a frozen dataclass."""

    def check(self, tokenizer: Any) -> None:
        """Raises ModelError if the tokenizer lacks what the layout needs."""
        ...

    def write(
        self, tokenizer: Any, question: str, steps: Sequence[str], is_complete: bool
    ) -> Written:
        """The tokens of a question and at least one step.

        Args:
            is_complete: whether the text has ended by itself with the last step.

        Raises:
            RewardError: the text holds a separator of its own, so that steps and separators do
                not match.
        """
        ...


def token_of(tokenizer: Any, text: str, what: str) -> int:
    """The id of the one token that spells `text`; ModelError if it is not one token."""
    ids = ids_of(tokenizer, text)
    if len(ids) != 1:
        raise ModelError(
            f"the tokenizer spells {what} {text!r} with {len(ids)} tokens, not one; is it the "
            "tokenizer of this process reward model?"
        )
    return int(ids[0])


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text alone, without special tokens around it."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


#: The tokens of pieces that were spelled lately.
_SPELLED: WeakKeyDictionary[Any, OrderedDict[str, list[int]]] = WeakKeyDictionary()


def spelled(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """What `ids_of` gives for every text, which must not be changed.

    A solution is scored anew with every step that it grows by; all but that step were spelled
    before.
    """
    known = _SPELLED.setdefault(tokenizer, OrderedDict())
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        # One call for all: a call costs more than what it spells.
        known.update(zip(new, tokenizer(new, add_special_tokens=False)["input_ids"], strict=True))
    found = [known[text] for text in texts]
    while len(known) > _PIECES:
        known.popitem(last=False)
    return found


def joined(tokenizer: Any, chunks: Sequence[str], read: Sequence[bool], specials: bool) -> Written:
    """All chunks spelled as one text; read at the last tokens of the chunks marked in `read`.

    Raises:
        RewardError: a token goes over the end of such a chunk.
    """
    text = "".join(chunks)
    made = tokenizer(text, add_special_tokens=specials, return_offsets_mapping=True)
    ends = [end for end, wanted in zip(accumulate(map(len, chunks)), read, strict=True) if wanted]
    spans = [
        (place, start, stop)
        for place, (start, stop) in enumerate(made["offset_mapping"])
        if stop > start
    ]
    reads, at = list[int](), 0
    for end in ends:
        while at + 1 < len(spans) and spans[at + 1][1] < end:
            at += 1
        if not spans or spans[at][2] != end:
            raise RewardError(f"no token ends where the step ends, after {text[:end][-40:]!r}")
        reads.append(spans[at][0])
    return Written(tuple(made["input_ids"][: reads[-1] + 1]), tuple(reads))


def check_offsets(tokenizer: Any) -> None:
    """Raises ModelError unless the tokenizer can say which characters a token stands for."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("this format needs a fast tokenizer, which knows where its tokens stand")


def check_template(tokenizer: Any) -> None:
    """Raises ModelError unless the tokenizer has a chat template."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise ModelError("this format needs a tokenizer with a chat template")


def check_count(written: Written, separator: int, name: str) -> Written:
    """`written`, if its separators are those at its reads, no more.

    Raises:
        RewardError: they are not.
    """
    found = [at for at, token in enumerate(written.tokens) if token == separator]
    if found != list(written.reads):
        raise RewardError(
            f"{len(found)} separators {name!r} for {len(written.reads)} steps; the text that is "
            "scored holds one of its own"
        )
    return written


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """A chat: the question, then all steps as one answer, `separator` after each.

    Attributes:
        separator: one (special) token.
        system: the system message; none if None.
    """

    separator: str
    system: str | None = None

    def check(self, tokenizer: Any) -> None:
        check_offsets(tokenizer)
        check_template(tokenizer)
        token_of(tokenizer, self.separator, "the separator")

    def write(
        self, tokenizer: Any, question: str, steps: Sequence[str], is_complete: bool
    ) -> Written:
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages.append({"role": "user", "content": question})
        head = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        chunks = [head, *(step + self.separator for step in steps)]
        written = joined(tokenizer, chunks, [False] + [True] * len(steps), specials=False)
        separator = token_of(tokenizer, self.separator, "the separator")
        return check_count(written, separator, self.separator)


@dataclass(frozen=True, slots=True)
class TaggedText:
    """Plain text: the question, a blank, then the steps, `tag` after each, `between` them.

    Attributes:
        tag: ends in one token, at which the score is read.
    """

    tag: str
    between: str = "\n"

    def check(self, tokenizer: Any) -> None:
        check_offsets(tokenizer)
        self._id(tokenizer)

    def _id(self, tokenizer: Any) -> int:
        made = tokenizer(f"1{self.tag}", add_special_tokens=False, return_offsets_mapping=True)
        start, end = made["offset_mapping"][-1]
        # Tokenizers differ in whether the blank before the tag belongs to its token.
        if end - start < len(self.tag.strip()):
            raise ModelError(
                f"the tokenizer has no token for the tag {self.tag!r}; is it the tokenizer of "
                "this process reward model?"
            )
        return int(made["input_ids"][-1])

    def write(
        self, tokenizer: Any, question: str, steps: Sequence[str], is_complete: bool
    ) -> Written:
        chunks, read = [f"{question} "], [False]
        for number, step in enumerate(steps):
            chunks.append((self.between if number else "") + step + self.tag)
            read.append(True)
        written = joined(tokenizer, chunks, read, specials=True)
        return check_count(written, self._id(tokenizer), self.tag)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A chat: every step is a user's turn (the question joins the first), answered by `answer`.

    The score is read where the answer is predicted: at the token before it.
    """

    answer: str = "+"

    def check(self, tokenizer: Any) -> None:
        check_offsets(tokenizer)
        check_template(tokenizer)

    def write(
        self, tokenizer: Any, question: str, steps: Sequence[str], is_complete: bool
    ) -> Written:
        messages: list[dict[str, str]] = []
        chunks, said = list[str](), ""
        for number, step in enumerate(steps):
            content = step if number else f"{question} {step}"
            messages.append({"role": "user", "content": content})
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            if not text.startswith(said):
                raise RewardError(
                    "the chat template rewrites earlier turns, so that steps have no fixed place"
                )
            chunks += [text[len(said) :], self.answer]
            said = text + self.answer
            messages.append({"role": "assistant", "content": self.answer})
        return joined(tokenizer, chunks, [True, False] * len(steps), specials=False)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Question, steps and separators, each spelled by itself, one after the other.

    The score is read at the last token of each separator.

    Attributes:
        separator: follows every step.
        after_question: follows the question and belongs to it.
        starts_with_bos: whether the tokenizer's begin token comes first, if it has one.
        stops: whether the stop token takes the place of the last separator where the text has
            ended by itself.
    """

    separator: str = "\n"
    after_question: str = ""
    starts_with_bos: bool = True
    stops: bool = False

    def check(self, tokenizer: Any) -> None:
        if not ids_of(tokenizer, self.separator):
            raise ModelError(f"the tokenizer spells the separator {self.separator!r} with nothing")
        if self.stops and tokenizer.eos_token_id is None:
            raise ModelError("this format needs a tokenizer with a stop token")

    def write(
        self, tokenizer: Any, question: str, steps: Sequence[str], is_complete: bool
    ) -> Written:
        bos = tokenizer.bos_token_id if self.starts_with_bos else None
        texts = [question + self.after_question, self.separator, *steps]
        asked, separator, *pieces = spelled(tokenizer, texts)
        tokens, reads = [*([] if bos is None else [bos]), *asked], list[int]()
        for number, step in enumerate(pieces):
            is_end = self.stops and is_complete and number + 1 == len(steps)
            tokens += [*step, *([tokenizer.eos_token_id] if is_end else separator)]
            reads.append(len(tokens) - 1)
        return Written(tuple(tokens), tuple(reads))
