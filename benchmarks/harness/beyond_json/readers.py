"""How each engine compiles a regular expression or GBNF, and what it starts."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from ..engines import Compiled, Matcher, RefusedError
from ..tekken import TokenTable
from . import TextReader


class GuidedReader:
    """guided; no compiled grammar is read from disk."""

    def __init__(self, table: TokenTable) -> None:
        from ..engines.guided_engine import GuidedEngine

        self._vocabulary = GuidedEngine(table)._vocabulary

    def regex(self, pattern: str) -> Compiled:
        from guided.grammars.kept_grammars import compiled_anew
        from guided.grammars.regex import regex

        from ..engines.guided_engine import GuidedCompiled

        with compiled_anew():
            return GuidedCompiled(regex(pattern), self._vocabulary)

    def grammar(self, text: str) -> Compiled:
        from guided.grammars.gbnf import gbnf
        from guided.grammars.kept_grammars import compiled_anew

        from ..engines.guided_engine import GuidedCompiled

        with compiled_anew():
            return GuidedCompiled(gbnf(text), self._vocabulary)


class LlguidanceReader:
    """llguidance."""

    def __init__(self, table: TokenTable) -> None:
        from ..engines.llguidance_engine import LlguidanceEngine

        self._engine = LlguidanceEngine(table)

    def regex(self, pattern: str) -> Compiled:
        import llguidance

        return self._compiled(llguidance.LLMatcher.grammar_from_regex(pattern))

    def grammar(self, text: str) -> Compiled:
        import llguidance
        from llguidance.gbnf_to_lark import any_to_lark

        return self._compiled(llguidance.LLMatcher.grammar_from_lark(any_to_lark(text)))

    def _compiled(self, grammar: Any) -> Compiled:
        import llguidance

        from ..engines.llguidance_engine import LlguidanceCompiled

        matcher = llguidance.LLMatcher(self._engine._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            message = matcher.get_error().strip()
            raise RefusedError(message.splitlines()[0][:60], message)
        return LlguidanceCompiled(matcher, self._engine._words)


class XgrammarReader:
    """xgrammar."""

    def __init__(self, table: TokenTable) -> None:
        from ..engines.xgrammar_engine import XgrammarEngine

        self._engine = XgrammarEngine(table, strict=True)

    def regex(self, pattern: str) -> Compiled:
        return self._compiled(self._engine._compiler.compile_regex, pattern)

    def grammar(self, text: str) -> Compiled:
        return self._compiled(self._engine._compiler.compile_grammar, text)

    def _compiled(self, compile_text: Callable[[str], Any], text: str) -> Compiled:
        from ..engines.xgrammar_engine import XgrammarCompiled

        return XgrammarCompiled(compile_text(text), self._engine._size)


_PIECE = re.compile(
    r"""(?P<literal>"(?:[^"\\]|\\.)*")
      | (?P<set>\[(?:[^\]\\]|\\.)*\](?:\{[0-9,]+\})?)
      | (?P<rule>^[A-Za-z0-9-]+(?=[ \t]*::=))
      | (?P<name>[A-Za-z][A-Za-z0-9-]*)
      | (?P<comment>\#[^\n]*)
      | (?P<other>.|\n)
    """,
    re.VERBOSE | re.MULTILINE,
)


#: Ends every text: kbnf itself stops as soon as a grammar could be complete.
_END = "\U0010ffff"


def kbnf_text(text: str) -> str:
    """GBNF as KBNF: character classes are regular expressions there, and rules end in `;`."""
    parts: list[str] = []
    for found in _PIECE.finditer(text):
        kind, piece = found.lastgroup, found[0]
        if kind == "set":
            piece = kbnf_regex(piece)
        elif kind in ("rule", "name"):
            piece = (";\n" if parts and kind == "rule" else "") + "r_" + piece.replace("-", "_")
        elif kind == "comment" or not piece.strip():
            piece = " " * (kind != "comment" and bool(parts))
        parts.append(piece)
    return "".join(parts).lstrip(" ;\n") + ";\n"


def kbnf_regex(pattern: str) -> str:
    """A regular expression in KBNF; what is not in a class is never the mark of the end."""
    marked = pattern.replace("[^", r"[^\x{10FFFF}")
    return '#"' + marked.replace("\\", "\\\\").replace('"', '\\"') + '"'


class KbnfMatcher:
    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def mask(self) -> None:
        if not self._engine.is_finished():
            self._engine.compute_allowed_token_ids()

    def accept(self, token: int) -> bool:
        self._engine.try_accept_new_token(token)
        return True

    def allows(self, token: int) -> bool:
        return token in self._engine.get_allowed_token_ids_from_last_computation()


class KbnfCompiled:
    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def start(self) -> Matcher:
        return KbnfMatcher(copy.deepcopy(self._engine))


class KbnfReader:
    """kbnf; the stop token spells the mark that ends every text."""

    def __init__(self, table: TokenTable) -> None:
        import kbnf

        spelled = {i: token for i, token in enumerate(table.tokens) if token}
        spelled[table.stop_id] = _END.encode()
        self._vocabulary = kbnf.Vocabulary(
            {i: kbnf.Token(token) for i, token in spelled.items()},
            {i: token.decode(errors="replace") for i, token in spelled.items()},
        )

    def regex(self, pattern: str) -> Compiled:
        return self._compiled(f"r_root ::= {kbnf_regex(pattern)};\n")

    def grammar(self, text: str) -> Compiled:
        return self._compiled(kbnf_text(text))

    def _compiled(self, text: str) -> Compiled:
        import kbnf

        whole = f'{text}start ::= r_root "{_END}";\n'
        return KbnfCompiled(kbnf.Engine(whole, self._vocabulary))


def transformers_cfg(table: TokenTable) -> TextReader:
    """Always raises ImportError: it cannot take part."""
    import transformers_cfg  # noqa: F401  # where it is missing, that is the reason

    raise ImportError(
        "transformers-cfg takes tokenizers of a fixed list of Hugging Face classes; the vocabulary "
        "of this benchmark, given in bytes, is none of them"
    )


READERS: dict[str, Callable[[TokenTable], TextReader]] = {
    "guided": GuidedReader,
    "llguidance": LlguidanceReader,
    "xgrammar": XgrammarReader,
    "kbnf": KbnfReader,
    "transformers-cfg": transformers_cfg,
}
