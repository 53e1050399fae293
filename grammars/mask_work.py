"""Masks made by kernels: one, or those of many rows at once, by several threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guided.grammars.fork_safe import BATCH, fork_safe
from guided.grammars.known_index import MOST_BLOCKS, MOST_MASKS, BlockIndex
from guided.grammars.mask_helpers import helpers
from guided.kernels.mask_batches import (
    ASKED,
    BLOCKS,
    CONFIG,
    CONTENT,
    FAR,
    FOUND,
    HANDLE,
    JOB,
    KEPT,
    KNOWN,
    LONGEST,
    MASKS,
    N_BLOCKS,
    N_KEPT,
    N_MASKS,
    N_SHARED,
    N_WORDS,
    OUT,
    POSTED,
    SAME,
    STATE,
    STATUS,
    STOP,
    TOLD,
    TRIES,
    WIDE_NODE,
    compute_masks,
    halt,
    post,
    post_all,
)
from guided.kernels.memo_arrays import BUSY, COUNTED, WIDE

if TYPE_CHECKING:
    from guided.grammars.token_engine import TokenEngine
    from guided.grammars.vocabulary import Vocabulary

Mask = NDArray[np.int32]
#: A mask, and an upper bound of the byte distance after it.
Made = tuple[Mask, int]
Wanted = Sequence[tuple["TokenEngine", int]]

#: Masks that are made in one go.
MOST_JOBS = 64
# Jobs that are looked after together while a helper does others.
_FEW = 4
_batch = fork_safe(threading.Lock(), BATCH)


class Work:
    """Jobs of kernels over one vocabulary, of one thread at a time."""

    def __init__(self, vocabulary: Vocabulary, room: int) -> None:
        self._kept = kept = vocabulary.kept_masks
        self._room = room
        self._jobs = np.zeros(room * JOB, np.int64)
        self._view = self._jobs.data
        self._control = np.zeros(TOLD + room, np.int64)
        self._rooms = kept.kernel_rooms().addresses
        # Masks that nobody has yet, one for each job.
        self._spare = [self._new_mask(job) for job in range(room)]
        self._shared = np.zeros(N_SHARED, np.int64)
        self._shared[TRIES] = vocabulary.handle.ctypes.data
        self._shared[WIDE_NODE] = vocabulary.widest_node
        self._shared[LONGEST] = vocabulary.longest
        self._shared[N_WORDS] = vocabulary.n_words
        self._shared[MASKS], self._shared[N_MASKS] = kept.masks.address, MOST_MASKS
        self._shared[N_BLOCKS] = MOST_BLOCKS

    def _new_mask(self, job: int) -> Mask:
        mask = np.empty(self._kept.n_words, np.int32)
        self._view[job * JOB + OUT] = mask.ctypes.data
        return mask

    def one(self, engine: TokenEngine, config: int) -> Made:
        """The mask of a configuration."""
        view, wanted = self._view, ((engine, config),)
        while True:
            index, epoch = self._kept.enter()
            try:
                with engine.parser.lock:
                    self._place(0, engine, config)
                    view[STATE] = POSTED
                    self._compute(index, 0, 1)
                found = self._outcome(0, engine, index)
            finally:
                self._kept.leave(epoch)
            if found is not None:
                return found
            self._settle(0, wanted, late=True)

    def many(self, wanted: Wanted, threads: int) -> list[Made]:
        """Those of at most `MOST_JOBS` configurations, by so many threads at most."""
        index, epoch = self._kept.enter()
        try:
            with _batch, ExitStack() as locks:
                for parser in {engine.parser: None for engine, _ in wanted}:
                    locks.enter_context(parser.lock)
                try:
                    self._start(index, threads - 1)
                    return self._made(wanted, index, _FEW if threads > 1 else len(wanted))
                finally:
                    halt(self._control)
        finally:
            self._kept.leave(epoch)

    def _start(self, index: BlockIndex, count: int) -> None:
        """Has so many helpers come."""
        self._shared[BLOCKS] = index.address
        self._jobs[STATE::JOB] = 0
        if count:
            self._control[STOP] = 0
            for number, helper in enumerate(helpers(count), 1):
                helper.start(partial(self._help, number))

    def _help(self, number: int) -> None:
        rooms = self._kept.kernel_rooms().addresses
        compute_masks(self._shared, rooms, self._jobs, self._control, self._room, number, 0)

    def _compute(self, index: BlockIndex, count: int, most: int) -> int:
        self._shared[BLOCKS] = index.address
        found: int = compute_masks(
            self._shared, self._rooms, self._jobs, self._control, self._room, 0, most
        )
        return found

    def _made(self, wanted: Wanted, index: BlockIndex, most: int) -> list[Made]:
        results: list[Made | None] = [None] * len(wanted)
        jobs = self._jobs
        for job, (engine, config) in enumerate(wanted):
            self._place(job, engine, config)
        post_all(jobs, len(wanted))
        late: list[int] = []
        while True:
            done = self._compute(index, len(wanted), most)
            for job in self._control[TOLD : TOLD + done].tolist():
                engine = wanted[job][0]
                results[job] = found = self._outcome(job, engine, index)
                if found is not None:
                    continue
                if self._settle(job, wanted, late=False):
                    post(jobs, job * JOB + STATE, POSTED)
                else:
                    late.append(job)
            if done:
                continue
            # Nobody is at work: now memos may grow.
            for job in late:
                self._settle(job, wanted, late=True)
            for job in late:
                self._place(job, *wanted[job])
                post(jobs, job * JOB + STATE, POSTED)
            if not late:
                return [found for found in results if found is not None]
            late = []

    def _place(self, job: int, engine: TokenEngine, config: int) -> None:
        view, at = self._view, job * JOB
        view[at + HANDLE] = engine.parser.address
        view[at + KEPT], view[at + N_KEPT] = engine.kept_address
        view[at + CONFIG] = config

    def _outcome(self, job: int, engine: TokenEngine, index: BlockIndex) -> Made | None:
        """What came of a job, None where it has to be done again."""
        view, at = self._view, job * JOB
        for i in range(at + FOUND + 1, at + FOUND + 1 + 2 * view[at + FOUND], 2):
            engine.keep(view[i], *index.blocks[view[i + 1]])
        if view[at + STATUS] < 0:
            return None
        same = view[at + SAME]
        if same >= 0:
            known = self._kept.masks.at(same, view[at + KNOWN])
            return None if known is None else (known, view[at + FAR])
        words = self._spare[job]
        mask = self._kept.mask(words, view[at + CONTENT])
        if mask is words:
            self._spare[job] = self._new_mask(job)
        return mask, view[at + FAR]

    def _settle(self, job: int, wanted: Wanted, *, late: bool) -> bool:
        """Makes what a job has found missing; what no kernel may see only if it is `late`."""
        view, at = self._view, job * JOB
        status, engine = view[at + STATUS], wanted[job][0]
        state, lex, root = view[at + ASKED : at + ASKED + 3].tolist()
        if status == WIDE:
            engine.make_block(state, lex, root)
        elif status == COUNTED:
            engine.make_block(-1, lex, -1)
        elif status < 0 and status != BUSY:
            if late:
                engine.parser.settle(status, state, view[at + HANDLE])
            return late
        return True


def work(vocabulary: Vocabulary, room: int) -> Work:
    """This thread's room for jobs over a vocabulary."""
    found = vocabulary.kept_masks.works()
    got = found.get(room)
    if got is None:
        got = found[room] = Work(vocabulary, room)
    return got
