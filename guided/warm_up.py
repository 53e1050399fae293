"""Compiles the kernels ahead of their first use, for images and installers.

    python -m guided.warm_up [--canvases]

Needs numba, but neither torch nor a model: what decodes JSON Schemas on a CPU is compiled, and with
--canvases what fills in texts in any order (masked-diffusion models, infilling), a minute more.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata.build import literal
from guided.grammars.canvas import MASKED
from guided.grammars.common_masks import keep_common
from guided.grammars.json_schema import json_schema
from guided.grammars.kept_grammars import compiled_anew
from guided.grammars.token_engine import TokenEngine
from guided.grammars.vocabulary import Vocabulary
from guided.kernels import (
    copy_lookup,
    draft_choice,
    draft_closing,
    draft_joint,
    draft_judging,
    draft_merge,
    mask_apply_cpu,
    pass_layout,
    sampling_cpu,
    slot_moves,
    suffix_pool,
)

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
    # From disk it would need no kernel that compiles grammars.
    with compiled_anew():
        state = json_schema(_SCHEMA).start(vocabulary)
    state.forced()
    state.mask()
    for token in b'{"name"':
        state = state.advance(token) or state
        state.mask()
    state.mask_within(state.bound)
    vocabulary.encode(b"a")
    _ = literal(b"ab") & literal(b"b")
    keep_common(vocabulary, TokenEngine, least=0)


def compile_canvas_kernels() -> None:
    """Asks about one text with masks in it, as masked-diffusion models and infilling do."""
    tokens: list[bytes | None] = [bytes([byte]) for byte in range(256)]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [256])
    canvas = json_schema(_SCHEMA).canvas(vocabulary, [*b'{"name"', *[MASKED] * 40])
    canvas.check(8, ord(":"))
    canvas.mask(8)


def compile_sampling_kernels() -> None:
    """Draws one token as `masked_sampling` does on a CPU, and one at a node of a draft."""
    logits = np.zeros(64, np.float32)
    masks = np.full((1, 2), -1, np.int32)
    mask_apply_cpu.fill(logits[None], masks)
    mask_apply_cpu.first_two(masks[0])
    tokens, status = np.empty(1, np.int64), np.empty(1, np.int8)
    log_p, log_q = np.empty(1), np.empty(1)
    sampling_cpu.draw_rows(
        logits, 64, 64, masks, np.float32(1), np.zeros(1), False, tokens, log_p, log_q, status
    )
    block = sampling_cpu.BLOCK
    room = np.empty(block), np.empty(block, np.float32), np.empty(1)
    sampling_cpu.draw_one(logits.ctypes.data, 64, masks[0], np.float32(1), 0.0, False, *room)


def compile_drafting_kernels() -> None:
    """Guesses at two tokens, merges and chooses them as `draft="auto"` does on a CPU."""
    line, numbers = np.array([[0, -1]]), np.empty((1, 2), np.int64)
    seen = np.empty((1, 1, 2, 3), np.bool_)
    pass_layout.lay_out(0, line, 1, 1, 0, numbers, numbers.copy(), seen)
    slot_moves.move(np.empty((0, 4), np.int64), 0, np.zeros(1, np.int64), 0)
    said, pool = np.zeros(4, np.int32), suffix_pool.ring(8)
    suffix_pool.append(pool, 0, -1, said, True)
    nodes, chances = np.empty((2, 3), np.int64), np.empty(2)
    copy_lookup.look_up(said, said, 2, 4, np.zeros(3, np.int64), 0, 8, 0, nodes, chances)
    count = suffix_pool.guess(pool, 4, said, 2.0, 1, 0.1, False, 0, nodes, chances)
    draft, chances = nodes[:count], chances[:count]
    steps, text = np.ones((2, 256), np.int32), np.frombuffer(b"a", np.uint8)
    offsets, configs = np.array([0, 1]), np.ones(count + 1, np.int64)
    draft_closing.find_ends(
        draft, chances, configs, 0, steps, 0, draft_closing.INSIDE, text, offsets,
        np.zeros(1, np.uint8), np.empty(3, np.int64), np.empty(3),
    )  # fmt: skip
    into, sure = np.empty((2, 3), np.int64), np.empty(2)
    none, shares = np.empty(0, np.int64), np.empty(0)
    draft_closing.join(draft, chances, draft, chances, configs, none, shares, 0, 2, into, sure)
    draft_merge.merge(
        np.empty((2, draft_merge.N_COLUMNS), np.int64), np.empty(2), 0, draft, chances,
        np.full(count + 1, -1), np.ones(count + 1), 0, (draft_merge.FREE, 2, -1, False),
        np.zeros((0, 256), np.int32), np.zeros((0, 4), np.int32), np.frombuffer(b"", np.uint8),
        np.zeros(1, np.int64), np.zeros(1, np.bool_), np.zeros(1, np.int64),
    )  # fmt: skip
    compile_joint_drafts(pool, said, steps, text, offsets)
    path, recent = np.full((2, 1), -1), np.zeros(2)
    tallies = np.zeros((2, 1, draft_choice.BINS))
    draft_judging.judge(draft, chances, path, 1, tallies, recent, recent.copy())
    draft_choice.choose(
        np.array([0, count]), draft, chances, np.ones(1), np.zeros((2, 1, draft_choice.BINS)),
        np.ones(len(draft_choice.WIDTHS)), 0.0, 0.0, 1.0, 1.0, 1.0, into, sure,
    )  # fmt: skip


def compile_joint_drafts(
    pool: suffix_pool.Ring,
    said: NDArray[np.int32],
    steps: NDArray[np.int32],
    text: NDArray[np.uint8],
    offsets: NDArray[np.int64],
) -> None:
    """Drafts trees by the kernels that do it for branches under a grammar, and under none."""
    nodes, chances, configs = np.empty((2, 3), np.int64), np.empty(2), np.ones(3, np.int64)
    edges, ends, shares = np.zeros(1, np.uint8), np.empty(3, np.int64), np.empty(3)
    count, _, _ = draft_joint.copy(
        said, said, 2, 4, np.zeros(3, np.int64), 0, 8, 0, -1, nodes, chances, configs, steps,
        draft_closing.INSIDE, text, offsets, edges, ends, np.empty(3, np.bool_), shares,
    )  # fmt: skip
    forced, copied = np.empty((0, 3), np.int64), nodes[:count]
    draft_joint.grow(
        forced, np.empty(0), copied, chances[:count], configs, np.empty(0, np.int64), np.empty(0),
        0, pool, 4, 3, said[:1], said, 2.0, 1, 0.1, 0, (1, 2, -1, False), steps,
        np.zeros((2, 4), np.int32), text, offsets, np.zeros(1, np.bool_), np.zeros(1, np.int64),
        np.empty((2, 2, 3), np.int64), np.empty((2, 2)),
        np.empty((4, draft_merge.N_COLUMNS), np.int64), np.empty((4, 3), np.int64), np.empty(4),
    )  # fmt: skip
    none = np.frombuffer(b"", np.uint8)
    draft_joint.free(
        said, said, 2, 4, np.zeros(3, np.int64), 0, 8, 0, pool, 4, 3, said[:1], said, 2.0, 1, 0.1,
        0, (draft_merge.FREE, 2, -1, False), np.zeros((0, 256), np.int32),
        np.zeros((0, 4), np.int32), none, np.zeros(1, np.int64), np.zeros(1, np.bool_),
        np.zeros(1, np.int64), np.empty((2, 2, 3), np.int64), np.empty((2, 2)),
        np.empty((4, draft_merge.N_COLUMNS), np.int64), np.empty((4, 3), np.int64), np.empty(4),
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m guided.warm_up", description=__doc__)
    parser.add_argument("--canvases", action="store_true", help="what fills in texts, too")
    options = parser.parse_args()
    compile_grammar_kernels()
    if options.canvases:
        compile_canvas_kernels()
    compile_sampling_kernels()
    compile_drafting_kernels()
