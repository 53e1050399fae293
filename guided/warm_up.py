"""Compiles the kernels ahead of their first use, for images and installers.

    python -m guided.warm_up [--canvases]

Needs numba, but neither torch nor a model: what decodes JSON Schemas on a CPU is compiled, and with
--canvases what fills in texts in any order (masked-diffusion models, infilling), a minute more.
"""

from __future__ import annotations

import argparse

import numpy as np

from guided.grammars.canvas import MASKED
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import sampling_cpu

_SCHEMA = """{
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "hobbies": {"type": "array", "items": {"type": "string"}}
    },
    "required": ["name", "age", "hobbies"]
}"""


def compile_grammar_kernels() -> None:
    """Walks through a small grammar once, so that all that masks need is compiled and kept."""
    tokens: list[bytes | None] = [bytes([byte]) for byte in range(256)]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [256])
    state = json_schema(_SCHEMA).start(vocabulary)
    state.forced()
    state.mask()
    for token in b'{"name"':
        state = state.advance(token) or state
        state.mask()
    state.mask_within(state.bound)


def compile_canvas_kernels() -> None:
    """Asks about one text with masks in it, as masked-diffusion models and infilling do."""
    tokens: list[bytes | None] = [bytes([byte]) for byte in range(256)]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [256])
    canvas = json_schema(_SCHEMA).canvas(vocabulary, [*b'{"name"', *[MASKED] * 40])
    canvas.check(8, ord(":"))
    canvas.mask(8)


def compile_sampling_kernels() -> None:
    """Draws one token as `guided.kernels.masked_sampling` does on a CPU."""
    logits = np.zeros(64, np.float32)
    masks = np.full((1, 2), -1, np.int32)
    tokens, status = np.empty(1, np.int64), np.empty(1, np.int8)
    log_p, log_q = np.empty(1), np.empty(1)
    sampling_cpu.draw_rows(
        logits, 64, 64, masks, np.float32(1), np.zeros(1), False, tokens, log_p, log_q, status
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m guided.warm_up", description=__doc__)
    parser.add_argument("--canvases", action="store_true", help="what fills in texts, too")
    options = parser.parse_args()
    compile_grammar_kernels()
    if options.canvases:
        compile_canvas_kernels()
    compile_sampling_kernels()
