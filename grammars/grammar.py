"""A compiled grammar: immutable, independent of any tokenizer."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from guided.errors import EmptyGrammarError, GrammarError, VocabularyError
from guided.grammars.automata import literal
from guided.grammars.fork_safe import GRAMMAR, fork_safe
from guided.grammars.ir import (
    Alt,
    CountedString,
    Expr,
    GrammarSpec,
    Lex,
    Members,
    Net,
    Ref,
    Repeat,
    Seq,
    special_bytes,
    special_texts,
)
from guided.grammars.marks import Marks
from guided.grammars.memo import Parser
from guided.grammars.once import once
from guided.grammars.rule_builder import RuleBuilder
from guided.grammars.states import GrammarState
from guided.grammars.tables import build_rules, compile_tables
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.memo_arrays import Rules

# Canvases are imported where they are first asked for: their kernels take a while to load.
if TYPE_CHECKING:
    from guided.grammars.canvas import ByteNfa, Canvas, CanvasLimits, Slot, Verdict
    from guided.grammars.canvas.plain import PlainRules
    from guided.grammars.canvas.sources import CanvasSource
    from guided.grammars.distinct.states import DistinctEngine

#: Vocabularies whose masks one grammar keeps at a time.
_ENGINES = 4


class Grammar:
    """A language over bytes, given by rules; safe to share between threads.

    Args:
        spec: the rules.
        source: the text it was made of, for messages.

    Raises:
        EmptyGrammarError: no text belongs to the grammar.
        GrammarError: a rule is used but not defined.
        GrammarTooLargeError: a size limit is exceeded.
    """

    def __init__(self, spec: GrammarSpec, *, source: str = "") -> None:
        builder = build_rules(spec)
        self._spec: GrammarSpec | None = spec
        self._made: RuleBuilder | None = builder
        self._make_spec: Callable[[], GrammarSpec] = lambda: spec
        self._is_read = False
        self._open(compile_tables(builder), builder.marks, source)

    @classmethod
    def from_tables(
        cls, rules: Rules, marks: Marks, spec: Callable[[], GrammarSpec], *, source: str = ""
    ) -> Grammar:
        """A grammar that was compiled before; `spec` makes its rules where they are asked for."""
        grammar = cls.__new__(cls)
        grammar._spec = grammar._made = None
        grammar._make_spec, grammar._is_read = spec, True
        grammar._open(rules, marks, source)
        return grammar

    def _open(self, rules: Rules, marks: Marks, source: str) -> None:
        self.source = source
        self.rules = rules
        self.marks = marks
        self._lock = fork_safe(threading.Lock(), GRAMMAR)
        self._parser: Parser | None = None
        self._engines: OrderedDict[Vocabulary, TokenEngine] = OrderedDict()
        self._canvases: OrderedDict[Vocabulary, CanvasSource] = OrderedDict()
        self._distinct: dict[TokenEngine, DistinctEngine] = {}

    @property
    def spec(self) -> GrammarSpec:
        """The rules that the grammar was compiled from."""
        if self._spec is None:
            self._spec = self._make_spec()
        return self._spec

    @property
    def _builder(self) -> RuleBuilder:
        if self._made is None:
            self._made = build_rules(self.spec)
        return self._made

    def start(self, vocabulary: Vocabulary) -> GrammarState:
        """The state before the first token.

        Raises:
            VocabularyError: no sequence of the tokens spells any text of the grammar, or a special
                token of the grammar does not exist.
        """
        engine = self.engine(vocabulary)
        if self.has_distinct_items:
            return self._distinct_start(engine)
        return GrammarState(self, engine, engine.parser.start)

    @property
    def has_distinct_items(self) -> bool:
        """Whether some array's items must differ."""
        return bool(self.marks.distinct or self.marks.scarce)

    def _distinct_start(self, engine: TokenEngine) -> GrammarState:
        from guided.grammars.distinct.items import Items
        from guided.grammars.distinct.states import DistinctEngine, DistinctState

        with self._lock:
            shared = self._distinct.get(engine)
            if shared is None:
                shared = DistinctEngine(engine, self.marks.scarce.values())
                self._distinct = {engine: shared, **dict(list(self._distinct.items())[:_ENGINES])}
        return DistinctState(self, shared, engine.parser.start, Items())

    def engine(self, vocabulary: Vocabulary) -> TokenEngine:
        """The engine of this grammar over `vocabulary`, kept for a few vocabularies.

        Where texts drop the space of their first token, it parses the texts with that space.
        """
        return self._over(vocabulary)._own_engine(vocabulary)

    def _own_engine(self, vocabulary: Vocabulary) -> TokenEngine:
        with self._lock:
            engine = self._engines.get(vocabulary)
            if engine is None or engine.parser.full:
                self._check_specials(vocabulary)
                engine = TokenEngine(self._parser_over(vocabulary), vocabulary)
                self._engines[vocabulary] = engine
                while len(self._engines) > _ENGINES:
                    self._engines.popitem(last=False)
            return engine

    def _parser_over(self, vocabulary: Vocabulary) -> Parser:
        """The parser of the texts that the tokens can spell, where single bytes tell which."""
        parser = self._open_parser()
        alphabet = vocabulary.alphabet
        if self.specials:
            # The names of special tokens are no text: each is spelled by its own token.
            alphabet = alphabet.union("".join(self.specials).encode())
        if parser.used_bytes <= alphabet or not vocabulary.is_closed:
            return parser
        try:
            return Parser(compile_tables(self._builder, alphabet), self._builder.marks)
        except EmptyGrammarError as error:
            raise VocabularyError(
                "no sequence of tokens of this vocabulary spells a text of the grammar"
            ) from error

    def _open_parser(self) -> Parser:
        if self._parser is None or self._parser.full:
            self._parser = Parser(self.rules, self.marks)
        return self._parser

    def accepts(self, data: bytes) -> bool:
        """Whether `data` is a text of the grammar."""
        with self._lock:
            parser = self._open_parser()
        config, taken = parser.walk(parser.start, data)
        accepted = taken == len(data) and parser.is_accepting(config)
        return accepted and self._distinct_reach(parser, data) == len(data)

    def reach(self, data: bytes) -> int:
        """How many bytes of `data` a text of the grammar can begin with."""
        with self._lock:
            parser = self._open_parser()
        return self._distinct_reach(parser, data[: parser.walk(parser.start, data)[1]])

    def _distinct_reach(self, parser: Parser, data: bytes) -> int:
        """How many bytes of `data`, which the rules allow, come before one that repeats an item."""
        if not self.has_distinct_items:
            return len(data)
        from guided.grammars.distinct.items import first_repetition

        at, config = 0, parser.start

        def opens(index: int) -> bool:
            # Asked in order, at most twice from the begin: the way there is gone once.
            nonlocal at, config
            if index < at:
                at, config = 0, parser.start
            config, at = parser.walk(config, data[at:index])[0], index
            return parser.opens_distinct(config)

        return first_repetition(data, opens)

    def __and__(self, other: Grammar) -> Grammar:
        """The grammar of the texts that both have; one of them has to be regular.

        Regular are regular expressions, choices, and grammars without recursion.

        Raises:
            GrammarError: neither side is regular, or the other has JSON members in any order.
            EmptyGrammarError: no text belongs to both.
            GrammarTooLargeError: a size limit is exceeded.
        """
        from guided.grammars.intersection import intersection

        if not isinstance(other, Grammar):
            return NotImplemented
        for side in (self, other):
            side._refuse_distinct("&")
        spec = intersection(self._builder, other._builder)
        return Grammar(spec, source=" & ".join(filter(None, (self.source, other.source))))

    def with_prefix(self, data: bytes) -> Grammar:
        """The grammar of `data` followed by a text of this one."""
        if not data:
            return self
        return self._started(Seq((Lex(literal(data)), Ref(self.spec.start))))

    def _started(self, expr: Expr) -> Grammar:
        """The same rules with a new one to start from."""
        start = self.spec.start
        while start in self.spec.rules:
            start += "'"
        rules = {**self.spec.rules, start: expr}
        return Grammar(GrammarSpec(rules, start), source=self.source)

    def _over(self, vocabulary: Vocabulary) -> Grammar:
        """The grammar of what the tokens spell, the space before a first word included."""
        return self._spaced if vocabulary.drops_first_space else self

    @once
    def _spaced(self) -> Grammar:
        spaced = Seq((Lex(literal(b" ")), Ref(self.spec.start)))
        return self._started(Alt((spaced, Seq(()))) if self.accepts(b"") else spaced)

    def canvas(
        self,
        vocabulary: Vocabulary,
        slots: Sequence[Slot] | int,
        *,
        limits: CanvasLimits | None = None,
    ) -> Canvas:
        """A canvas of token slots that may be filled in any order.

        Args:
            slots: token ids, `MASKED` or `GAP` (see `guided.grammars.canvas`); a number stands for
                as many masks.
            limits: how much work one answer may take.

        Raises:
            InputError: a slot holds no token of the vocabulary.
            VocabularyError: a special token of the grammar does not exist.
        """
        from guided.grammars.canvas.canvas import open_canvas

        self._refuse_distinct("a canvas")
        return open_canvas(self._over(vocabulary)._canvas_source(vocabulary), slots, limits)

    def _canvas_source(self, vocabulary: Vocabulary) -> CanvasSource:
        from guided.grammars.canvas.sources import CanvasSource

        with self._lock:
            source = self._canvases.get(vocabulary)
            if source is None:
                self._check_specials(vocabulary)
                source = CanvasSource.of(self._plain_rules, vocabulary)
                self._canvases[vocabulary] = source
                while len(self._canvases) > _ENGINES:
                    self._canvases.popitem(last=False)
            return source

    def intersects(self, nfa: ByteNfa, *, most_steps: int | None = None) -> Verdict:
        """Whether some text of the grammar is a word of `nfa`; UNKNOWN after `most_steps`."""
        from guided.grammars.canvas.emptiness import OutOfSteps, shortest_word
        from guided.grammars.canvas.verdict import Verdict

        try:
            word = shortest_word(self._plain_rules.rules, nfa, most_steps)
        except OutOfSteps:
            return Verdict.UNKNOWN
        if word is not None:
            return Verdict.YES
        return Verdict.NO if self._plain_rules.complete else Verdict.UNKNOWN

    def shortest_witness(self, nfa: ByteNfa) -> bytes | None:
        """A shortest text of the grammar that is a word of `nfa`, None where there is none."""
        from guided.grammars.canvas.emptiness import shortest_word

        return shortest_word(self._plain_rules.rules, nfa)

    def _refuse_distinct(self, what: str) -> None:
        if self.has_distinct_items:
            raise GrammarError(
                f"{what} cannot keep items apart (uniqueItems) unless they are from a finite list"
            )

    @once
    def _plain_rules(self) -> PlainRules:
        from guided.grammars.canvas.plain import plain_rules

        self._refuse_distinct("a question about all texts of the grammar")
        if not self._is_read:
            return plain_rules(self.rules, self._builder)
        # Made in another process, which may have numbered its rules in another way.
        return plain_rules(compile_tables(self._builder), self._builder)

    @once
    def key(self) -> bytes:
        """A hash of the rules: equal grammars have equal keys."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.spec.start.encode())
        for name in sorted(self.spec.rules):
            digest.update(repr(name).encode())
            for piece in _pieces(self.spec.rules[name]):
                digest.update(piece)
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Grammar) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        shown = self.source if len(self.source) <= 60 else self.source[:57] + "..."
        return f"Grammar({shown!r})" if shown else f"Grammar({len(self.spec.rules)} rules)"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (GrammarSpec(dict(self.spec.rules), self.spec.start), self.source)

    def _check_specials(self, vocabulary: Vocabulary) -> None:
        for text in self.specials:
            if special_bytes(text) not in vocabulary.spellings:
                raise VocabularyError(
                    f"the grammar uses the special token {text!r}, which the tokenizer lacks "
                    "(or which ends sequences)"
                )

    @once
    def specials(self) -> frozenset[str]:
        """Texts of the special tokens that the grammar uses; all of them begin with byte 0xFF."""
        if not int(self.rules.live[:, 3].max(initial=0)) >> 63:
            return frozenset()
        automata = (dfa for dfa, _, _ in self._builder.lexemes if dfa is not None)
        return frozenset(text for dfa in automata for text in special_texts(dfa))


def _rebuild(spec: GrammarSpec, source: str) -> Grammar:
    return Grammar(spec, source=source)


def _pieces(expr: Expr) -> Iterator[bytes]:
    """A prefix code of an expression, for hashing."""
    yield type(expr).__name__.encode()
    if isinstance(expr, Lex):
        yield expr.dfa.key
        if expr.is_kept_apart:
            yield expr.name.encode()
    elif isinstance(expr, Ref):
        yield repr(expr.name).encode()
    elif isinstance(expr, CountedString):
        yield repr((expr.least, expr.most)).encode()
    elif isinstance(expr, Seq | Alt):
        yield str(len(expr.parts)).encode()
        for part in expr.parts:
            yield from _pieces(part)
    elif isinstance(expr, Repeat):
        yield repr((expr.least, expr.most)).encode()
        yield from _pieces(expr.part)
    elif isinstance(expr, Net):
        yield repr((expr.n_states, [(source, target) for source, _, target in expr.edges])).encode()
        for _, part, _ in expr.edges:
            yield from _pieces(part)
    elif isinstance(expr, Members):
        flags = (expr.in_order, expr.least, expr.most, len(expr.members), expr.extra is None)
        yield repr((flags, [m.required for m in expr.members])).encode()
        for member in expr.members:
            yield from _pieces(member.expr)
        yield from _pieces(expr.separator)
        if expr.extra is not None:
            yield from _pieces(expr.extra)
