"""Programs of the C-like grammar, and a network that leans towards them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import guided
from guided.diffusion import DiffusionAdapter
from guided.grammars.lark import sample
from guided.grammars.vocabulary import Vocabulary

from .tasks import Question

SLOTS = 256
#: Share of the slots at which the network prefers a token from elsewhere in the program.
MISTAKES = 0.03
#: Slots that a program leaves to the end of text, at least.
_SPARE = 8
#: Prompts are one token, from this id on.
_FIRST = 300
_NAMES = ("n", "i", "sum", "item", "list", "total", "next", "size")
_TYPES = ("int", "char", "unsigned long", "float")


@dataclass(frozen=True)
class Writer:
    """What decodes like a model of the SDK: a network over the embedded model's vocabulary."""

    adapter: DiffusionAdapter
    vocabulary: Vocabulary
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]


class LeaningNetwork:
    """Logits that lean towards one text for every prompt of one token; masks see nothing else.

    How surely it leans is drawn for every slot, so that slots are filled in random order. At some
    slots it prefers another token, and the text's own comes next.
    """

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, texts: Sequence[Sequence[int]], config: Any, width: int, seed: int) -> None:
        self.config = config
        draws = random.Random(seed)
        self._laws = torch.stack([_leaning(list(text), width, draws) for text in texts])

    def forward(self, input_ids: Tensor) -> Any:
        """Logits `[n, 1 + slots, width]` as `.logits`."""
        laws = self._laws[input_ids[:, 0] - _FIRST]
        return SimpleNamespace(logits=torch.cat([laws[:, :1], laws], 1))

    def __call__(self, **inputs: Any) -> Any:
        return self.forward(**inputs)


def writer(model: guided.DiffusionModel, count: int) -> tuple[Writer, list[Question]]:
    """A network that leans towards `count` programs, and what to ask it for them."""
    draws = random.Random("programs")
    grammar = sample("c_subset").grammar()
    stop = min(model.vocabulary.stop_ids)
    texts: list[list[int]] = []
    asked: list[Question] = []
    for number in range(count):
        program, tokens = _program(model, draws)
        texts.append(tokens + [stop] * (SLOTS - len(tokens)))
        asked.append(
            Question(
                str(number),
                SLOTS,
                {},
                lambda text: grammar.accepts(text.encode()),
                lambda text, program=program: text == program,
                grammar,
            )
        )
    width = model.adapter.width or model.vocabulary.size
    network = LeaningNetwork(texts, model.adapter.model.config, width, seed=1)
    adapter = DiffusionAdapter(
        network,
        family=model.adapter.family,
        mask_id=model.adapter.mask_id,
        stop_ids=model.adapter.stop_ids,
        pad_id=model.adapter.pad_id,
    )
    encode: Callable[[str], list[int]] = lambda prompt: [_FIRST + int(prompt)]  # noqa: E731
    return Writer(adapter, model.vocabulary, encode, model.decode), asked


def _program(model: guided.DiffusionModel, draws: random.Random) -> tuple[str, list[int]]:
    """A random program that fills most of the slots, with its tokens."""
    tokens: list[int] = []
    program = text = ""
    while True:
        text += ("\n" if text else "") + _function(draws)
        longer = _bare(model, model.encode(text), text)
        if len(longer) > SLOTS - _SPARE:
            return program, tokens
        program, tokens = text, longer


def _bare(model: guided.DiffusionModel, tokens: list[int], text: str) -> list[int]:
    """The tokens without what the tokenizer puts in front of prompts."""
    while tokens and model.decode(tokens[1:]) == text:
        tokens = tokens[1:]
    return tokens


def _leaning(text: list[int], width: int, draws: random.Random) -> Tensor:
    """Logits `[slots, width]`."""
    logits = torch.zeros(len(text), width)
    for slot, token in enumerate(text):
        sure = draws.uniform(8, 16)
        logits[slot, token] = sure
        if draws.random() < MISTAKES:
            logits[slot, draws.choice(text)] = sure + 1
    return logits


def _function(draws: random.Random) -> str:
    name, given = draws.sample(_NAMES, 2)
    body = " ".join(_statement(draws, 1) for _ in range(draws.randint(1, 3)))
    kind, of = draws.choice(_TYPES), draws.choice(_TYPES)
    return f"{kind} {name}({of} {given}) {{ {body} return {_value(draws)}; }}"


def _statement(draws: random.Random, depth: int) -> str:
    """A statement that holds others up to a depth."""
    name = draws.choice(_NAMES)
    kind = draws.randrange(7 if depth else 4)
    if kind == 0:
        return f"{draws.choice(_TYPES)} {name} = {_value(draws)};"
    if kind == 1:
        return f"{name} {draws.choice(('=', '+=', '-='))} {_value(draws)};"
    if kind == 2:
        return f'print("{draws.choice(_NAMES)}", {_value(draws)});'
    if kind == 3:
        return f"{name}[{_value(draws)}]++;"
    inner = _statement(draws, depth - 1)
    if kind == 4:
        return f"if ({_value(draws)} > {draws.randint(0, 99)}) {{ {inner} }} else break;"
    if kind == 5:
        return f"while ({name} < {_value(draws)}) {{ {inner} }}"
    return f"for (i = 0; i < {name}; i++) {{ {inner} }}"


def _value(draws: random.Random) -> str:
    """An expression."""
    name, other = draws.choice(_NAMES), draws.choice(_NAMES)
    forms = (name, str(draws.randint(0, 99)), f"{name} * {other}", f"f({name}, {other} + 1)")
    return draws.choice(forms)
