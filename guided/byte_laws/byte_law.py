"""Laws of the next byte under a token model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from guided.byte_laws.canon import NOTHING, Canon
from guided.byte_laws.fronts import advanced, begun, certain
from guided.byte_laws.scoring import Scorer
from guided.byte_laws.streams import ByteStreams, Stream
from guided.byte_laws.weighing import Normalize
from guided.decoding.decoder import Decoder
from guided.decoding.rig import make_stage
from guided.decoding.stage import Stage
from guided.decoding.trunks import Ledger
from guided.decoding.usage import Usage
from guided.errors import InputError
from guided.model import Model, Prompt


class Opening(NamedTuple):
    """Where a text begins for a model.

    Attributes:
        tokens: what stands before the text: special tokens; or else the text's own first token,
            since a model has to be given one.
        data: the bytes of the text after them.
        state, token: the canon's beginning there.
    """

    tokens: tuple[int, ...]
    data: bytes
    state: int
    token: int


class ByteLaw:
    """The law of the next byte, or the text's end, given the bytes so far.

    A model says how likely the next *token* is. Several token sequences cover the same bytes:
    those that spell them, or spell more, where the last token runs over their end. The law of the
    next byte is the mass of all of these that go on with it, each weighed by the model; as in
    "Sampling from Your Language Model One Byte at a Time" (arXiv 2506.14123). Only *canonical*
    sequences count, those that the tokenizer makes of some text, since others are never seen in
    training: which these are is told from the merges and the pre-tokenizer's pattern, see `Canon`.
    A text ends where the model draws a stop token after a sequence that is canonical as it stands.

    What is computed, with P the model's law of the next token:

    - `normalize="tokens"`: the marginal over bytes of the token process that draws by P restricted
      to what keeps the sequence canonical and renormalised at every token, like a mask does. The
      probability of a text, the product of its bytes' and its end's, is that of its tokens.
    - `normalize="bytes"`: token sequences are weighed by P as it is, and the law of the next byte
      is normalised over the bytes: the law under P, given the bytes so far and that the sequence
      is canonical as far as it covers them and the next byte.

    Both agree for a model that only says canonical sequences, as far as they are trained. Both are
    exact but for beginnings that no text has and that `Canon` does not refute at once: their mass
    counts until they are dropped, and is shared out then.

    Args:
        model: with a byte-pair encoder as tokenizer (byte-level, or SentencePiece with byte
            fallback); without a tokenizer, one whose tokens are single bytes.
        normalize: see above.

    Raises:
        InputError: another word for `normalize`.
        VocabularyError: a tokenizer that is not supported, saying what of it is not.

    Example:
        >>> import guided
        >>> model = guided.load("examples/models/tiny-lm")
        >>> prompt = 'Anna is 30.\\nFields: name (string)\\nJSON: {"na'
        >>> chr(int(guided.ByteLaw(model).open([prompt]).law()[0].argmax()))
        'm'
    """

    def __init__(self, model: Model, *, normalize: Normalize = "tokens") -> None:
        if normalize not in ("tokens", "bytes"):
            raise InputError(f'normalize is "tokens" or "bytes", not {normalize!r}')
        self.model = model
        self.normalize: Normalize = normalize
        self.canon = Canon.of(model.tokenizer, model.vocabulary)
        self.decoder = Decoder(model.network, model.vocabulary)
        vocabulary = model.vocabulary
        self.stop_ids = sorted(vocabulary.stop_ids)
        self._breaks = {*vocabulary.specials.values(), *vocabulary.stop_ids, *self.canon.excluded}

    def opening(self, prompt: Prompt | Sequence[int]) -> Opening:
        """Where the text of a prompt begins: after its last special token.

        Args:
            prompt: text, chat messages, or tokens. Their text counts, not how it is cut.

        Raises:
            InputError: no tokens at all.
        """
        is_tokens = not isinstance(prompt, str) and all(isinstance(one, int) for one in prompt)
        tokens: list[int] = list(prompt) if is_tokens else self.model.encode(prompt)  # type: ignore[arg-type]
        if not tokens:
            raise InputError("the prompt has no tokens; a model needs at least one to go on from")
        texts = self.model.vocabulary.tokens
        special = [at for at, token in enumerate(tokens) if self._is_special(token)]
        begin = special[-1] + 1 if special else 1
        state, last = self.canon.boundaries.start, NOTHING
        if not special:
            last = tokens[0]
            state = self.canon.follow(state, NOTHING, last)
            if state < 0:
                raise InputError(f"no text of this tokenizer begins with token {last}")
        data = b"".join(texts[token] or b"" for token in tokens[begin:])
        return Opening(tuple(tokens[:begin]), data, state, last)

    def _is_special(self, token: int) -> bool:
        texts = self.model.vocabulary.tokens
        return token in self._breaks or not 0 <= token < len(texts) or texts[token] is None

    def open(self, prompts: Sequence[Prompt | Sequence[int]]) -> ByteStreams:
        """One stream for every prompt, after its last byte.

        Raises:
            InputError: a prompt without tokens, or whose bytes no text begins with.
        """
        return self.start([self.advanced(self.opening(prompt)) for prompt in prompts], read=True)

    def start(self, openings: Sequence[Opening], *, read: bool = False) -> ByteStreams:
        """One stream for every opening, before the first byte of its text.

        Args:
            read: goes on to the end of the openings' texts.
        """
        branches = self.decoder.open([opening.tokens for opening in openings])
        streams = [
            Stream(self.canon, begun(self.canon, opening.state, opening.token), branch)
            for opening, branch in zip(openings, branches, strict=True)
        ]
        found = ByteStreams(self, streams)
        if read:
            found.read([opening.data for opening in openings])
        return found

    def score(self, openings: Sequence[Opening], usage: Usage | None = None) -> list[list[float]]:
        """The log-probability of every byte of the openings' texts, given those before.

        Some passes for each text, not one for each byte.

        Args:
            usage: what counts the passes; that of `decoder` if not given.

        Raises:
            InputError: bytes that no text begins with.
        """
        counted = self.decoder.usage if usage is None else usage
        stage = make_stage(self.decoder.network, counted, Ledger())
        if not isinstance(stage, Stage):
            streams = self.start(openings, read=True)
            found = [list(log_p) for log_p in streams.log_p]
            streams.close()
            return found
        return [self._score(opening, counted) for opening in openings]

    def _score(self, opening: Opening, usage: Usage) -> list[float]:
        stage = make_stage(self.decoder.network, usage, Ledger())
        if not isinstance(stage, Stage):
            raise ValueError("this network reads no trees")
        front = begun(self.canon, opening.state, opening.token)
        scorer = Scorer(self.canon, stage, opening.tokens, front, self.stop_ids, self.normalize)
        return list(scorer.score(opening.data))

    def advanced(self, opening: Opening) -> Opening:
        """The same text, opened behind all tokens that are certain.

        Raises:
            InputError: bytes that no text begins with.
        """
        front = begun(self.canon, opening.state, opening.token)
        ((first, _),) = front
        for at, byte in enumerate(opening.data):
            front, _ = advanced(self.canon, front, byte)
            if not front:
                raise InputError(
                    f"no text of this tokenizer begins with {opening.data[: at + 1]!r}"
                )
        steps = certain(first, front)
        tokens = [head.token for head in steps]
        length = sum(len(self.canon.spelling.bytes[token]) for token in tokens)
        last = [first, *steps][-1]
        return Opening((*opening.tokens, *tokens), opening.data[length:], last.state, last.token)
