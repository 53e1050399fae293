"""Packed masks of many configurations, of one grammar or several, by several threads at once.

What is asked is written down in jobs, one row of numbers each, and posted. One thread has the say:
it does jobs itself, and returns to Python as some are done, to take the masks, to make what a job
with a status below zero has asked for (see kernels.memo_arrays), and to post more. Its helpers do
jobs meanwhile, until they are told to stop; nobody waits for one who has not come.
"""

from __future__ import annotations

import numpy as np

from guided.kernels.atomics import exchange, pause, peek, release, swap
from guided.kernels.compiling import folded, lean, lean_entry
from guided.kernels.handles import (
    byte_block,
    int_block,
    long_block,
    opened,
    opened_tokens,
    with_rooms,
)
from guided.kernels.known_blocks import (
    ENTRY,
    LONGEST_RECORD,
    MASK_ENTRY,
    MOST_FOUND,
    Finder,
    find_block,
    find_mask,
)
from guided.kernels.lexemes import lexeme_fact
from guided.kernels.mask_ends import PUT_OFF, is_wide
from guided.kernels.masking import add_thread, place_of
from guided.kernels.memo_arrays import ACCEPTING, BEGIN, END, LEXEME, OK, WIDE

#: Numbers of a job: its state, its status, the addresses of the grammar's handle and of its kept
#: blocks, how many of these there may be, the configuration,
STATE, STATUS, HANDLE, KEPT, N_KEPT, CONFIG = range(6)
#: an upper bound of the byte distance after the mask, the mask's hash, the entry of an equal one in
#: the index of masks (-1: none) and its address, where the mask is copied to if there is none,
FAR, CONTENT, SAME, KNOWN, OUT = range(6, 11)
#: what is missing (three numbers), and what `Finder.found` holds.
ASKED, FOUND = 11, 14
JOB = 24
#: States of a job.
IDLE, POSTED, TAKEN, DONE = range(4)
#: Numbers of the control of jobs, on cache lines of their own: whether helpers have to stop,
#: whether each helper is at work, which jobs are done.
LINE = 8
STOP, TOLD = 0, 64
MOST_HELPERS = 7
#: Addresses and lengths of what the jobs of a vocabulary share: the handle of its tries, the node
#: of the first byte that most tokens begin with, bytes of its longest token, words of a mask, and
#: the indices of masks and of blocks (kernels.known_blocks), each with its entries.
TRIES, WIDE_NODE, LONGEST, N_WORDS, MASKS, N_MASKS, BLOCKS, N_BLOCKS = range(8)
N_SHARED = 8
#: Addresses of the rooms of one thread.
SCRATCH, PATH, RECORD, WORDS = range(4)
N_ROOMS = 4


@folded
def _hash(words):  # type: ignore[no-untyped-def]
    """A hash of the words, 63 bits."""
    # A sum of products waits for no product before (Carter and Wegman, 1979).
    total = np.uint64(len(words))
    for i in range(len(words)):
        key = np.uint64(np.uint32(i) * np.uint32(0x9E3779B1) + np.uint32(0x7F4A7C15))
        total += np.uint64(np.uint32(words[i])) * key
    return np.int64((total ^ (total >> np.uint64(29))) >> np.uint64(1))


@lean
def _is_kept(rules, memo, finder, kept, thread, root):  # type: ignore[no-untyped-def]
    """OK, or WIDE where the tokens of a thread should be kept and are not."""
    lex = memo.group[thread >> 32, LEXEME]
    state = thread & 0xFFFFFFFF
    place = place_of(rules, lexeme_fact(rules, lex, state), root)
    if kept[place] != 0 or not is_wide(rules, lex, state):
        return np.int64(OK)
    if find_block(rules, memo, finder, place, lex, state, root) != 0:
        return np.int64(OK)
    memo.scratch[0], memo.scratch[1], memo.scratch[2] = state, lex, root
    return np.int64(WIDE)


@lean
def _fill(  # type: ignore[no-untyped-def]
    rules, memo, tokens, finder, kept, wide, config, longest, out
):
    """Writes the packed mask of `config`; (status, an upper bound of the distance after it)."""
    for word in range(len(out)):
        out[word] = 0
    far = np.int64(0)
    begin, end = np.int64(memo.config[config, BEGIN]), np.int64(memo.config[config, END])
    # What is missing is told before the rest is done.
    for place in range(begin, end):
        status = _is_kept(rules, memo, finder, kept, memo.thread[place], np.int64(-1))
        if status < 0:
            return status, far
    put_off = memo.path[PUT_OFF]
    put_off[0] = 0
    i = begin
    while i < end + put_off[0]:
        below = i >= end
        thread = put_off[1 + i - end] if below else memo.thread[i]
        root = wide if below else np.int64(-1)
        status, bound = add_thread(
            rules, memo, tokens, finder, wide, kept, longest, thread, root, out
        )
        if status < 0:
            return status, far
        far = max(far, bound)
        i += 1
    if memo.config[config, ACCEPTING]:
        for stop in range(len(tokens.stop_ids)):
            token = tokens.stop_ids[stop]
            out[token >> 5] |= np.int32(1) << (token & 31)
    return np.int64(OK), far


@lean
def _do(shared, rooms, tokens, job):  # type: ignore[no-untyped-def]
    """Does one job."""
    rules, memo = opened(long_block(job[HANDLE], 56))
    memo = with_rooms(memo, rooms[SCRATCH], rooms[PATH])
    finder = Finder(
        long_block(shared[BLOCKS], shared[N_BLOCKS] * ENTRY),
        byte_block(rooms[RECORD], LONGEST_RECORD),
        job[FOUND : FOUND + 1 + 2 * MOST_FOUND],
    )
    finder.found[0] = 0
    kept = long_block(job[KEPT], job[N_KEPT])
    out = int_block(rooms[WORDS], shared[N_WORDS])
    status, far = _fill(
        rules, memo, tokens, finder, kept, shared[WIDE_NODE], job[CONFIG], shared[LONGEST], out
    )
    job[STATUS] = status
    if status < 0:
        for i in range(3):
            job[ASKED + i] = memo.scratch[i]
        return
    content = _hash(out)
    masks = long_block(shared[MASKS], shared[N_MASKS] * MASK_ENTRY)
    same, known = find_mask(masks, content, out)
    if same < 0:
        mask = int_block(job[OUT], len(out))
        for word in range(len(out)):
            mask[word] = out[word]
    job[FAR], job[CONTENT], job[SAME], job[KNOWN] = far, content, same, known


@lean
def _do_one(shared, rooms, tokens, jobs, count, begin):  # type: ignore[no-untyped-def]
    """Does one of the jobs that are posted, from number `begin` on; whether there was one."""
    for i in range(count):
        at = ((begin + i) % count) * JOB
        if peek(jobs, at) == POSTED and swap(jobs, at, POSTED, TAKEN):
            _do(shared, rooms, tokens, jobs[at : at + JOB])
            release(jobs, at, DONE)
            return True
    return False


@lean_entry
def compute_masks(shared, rooms, jobs, control, count, helper, most):  # type: ignore[no-untyped-def]
    """Does jobs. Without a `helper` number: until `most` are done that were not told before.

    Returns how many those are, fewer only where none is left to be done by this thread; 0 where all
    are told. A helper returns when it is told to stop.

    Args:
        shared: int64[N_SHARED], what the jobs have in common; `rooms`: int64[N_ROOMS], of this
            thread alone.
        jobs: int64[count * JOB].
        control: int64[N_CONTROL]; from TOLD on the numbers of the jobs that were done.
    """
    tokens = opened_tokens(long_block(shared[TRIES], 14), shared[N_WORDS])
    if helper > 0:
        while peek(control, STOP) == 0:
            posted = False
            for job in range(count):
                posted |= peek(jobs, job * JOB) == POSTED
            if not posted:
                pause()
                continue
            # Who stops it waits for a helper at work only: this one may lose the core at any time.
            exchange(control, helper * LINE, 1)
            if peek(control, STOP) == 0:
                _do_one(shared, rooms, tokens, jobs, count, count // 2)
            exchange(control, helper * LINE, 0)
        return np.int64(0)
    while True:
        done, some_posted, some_taken = np.int64(0), False, False
        for job in range(count):
            state = peek(jobs, job * JOB)
            if state == DONE:
                control[TOLD + done] = job
                done += 1
            some_posted |= state == POSTED
            some_taken |= state == TAKEN
        if done >= most or (done > 0 and not some_posted) or not (some_posted or some_taken):
            for i in range(done):
                jobs[control[TOLD + i] * JOB] = IDLE
            return done
        if not _do_one(shared, rooms, tokens, jobs, count, np.int64(0)):
            pause()


@lean_entry
def post_all(jobs, count):  # type: ignore[no-untyped-def]
    """Posts the first `count` jobs."""
    for job in range(count):
        release(jobs, job * JOB, POSTED)


@lean_entry
def post(numbers, at, value):  # type: ignore[no-untyped-def]
    """Writes a number that others wait for; they see what was written before, too."""
    release(numbers, at, value)


@lean_entry
def halt(control):  # type: ignore[no-untyped-def]
    """Stops all helpers; returns when none is at work."""
    exchange(control, STOP, 1)
    for helper in range(1, MOST_HELPERS + 1):
        while peek(control, helper * LINE) != 0:
            pause()


@lean_entry
def same_words(one, other):  # type: ignore[no-untyped-def]
    """Whether two masks are equal."""
    same = True
    for word in range(len(one)):
        same &= one[word] == other[word]
    return same
