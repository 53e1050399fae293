"""What nearly every JSON grammar needs of a large vocabulary, made before the first text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guided.grammars.ir import Alt, CountedString, GrammarSpec
from guided.grammars.memo import Parser
from guided.grammars.tables import build_rules, compile_tables
from guided.kernels.alike_states import are_alike

if TYPE_CHECKING:
    from guided.grammars.token_engine import TokenEngine
    from guided.grammars.vocabulary import Vocabulary

#: Tokens from which on it is worth the time; in a small vocabulary nothing takes long.
_LARGE = 1 << 14


def keep_common(
    vocabulary: Vocabulary, engine_type: type[TokenEngine], least: int | None = None
) -> None:
    """Has `vocabulary.kept_masks` know the insides of JSON strings; once for each vocabulary.

    Nothing is made for vocabularies of fewer than `least` tokens (None: where it is soon done).
    """
    kept = vocabulary.kept_masks
    if kept.has_common or vocabulary.size < (_LARGE if least is None else least):
        return
    kept.has_common = True
    builder = build_rules(
        GrammarSpec({"text": Alt((CountedString(0, None), CountedString(1, 9)))}, "text")
    )
    parser = Parser(compile_tables(builder), builder.marks)
    if parser.used_bytes <= vocabulary.single_bytes:
        parser.widen()
        engine = engine_type(parser, vocabulary)
        inside = parser.walk(parser.start, b'"')[0]
        engine.mask(inside)
        # Once more, for the kernel that knows equal masks.
        engine.forget_masks()
        engine.mask(inside)
        # What large automata need, too.
        parser.call(are_alike, vocabulary.handle, vocabulary.subtrees.deepest, 1, 0, 0, 0, -1)
