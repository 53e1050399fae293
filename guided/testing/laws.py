"""The laws that every grammar and every control must obey, as functions for any test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from guided.controls.protocol import Context, Control
from guided.errors import BudgetError
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.mask_apply import unpack_masks
from guided.testing.holding import hold

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar
    from guided.grammars.states import GrammarState


def allowed_tokens(mask: Any, width: int) -> set[int]:
    """The ids whose bits are set in a packed mask."""
    bits = unpack_masks(torch.from_numpy(mask.copy())[None], width)[0]
    return set(torch.nonzero(bits).flatten().tolist())


def check_grammar_laws(
    grammar: Grammar,
    vocabulary: Vocabulary,
    accepted: Iterable[bytes | str],
    rejected: Iterable[bytes | str] = (),
    budgets: Sequence[int] = (1, 2, 3, 5, 9),
) -> None:
    """Raises AssertionError, naming the law, unless `grammar` obeys all laws along its samples.

    Args:
        vocabulary: a small one; every state tries every token.
        accepted: texts of the language, spelled with vocabulary.encode and byte by byte.
        rejected: texts outside of it.
        budgets: token budgets for which `mask_within` is checked in every state.
    """
    for sample in accepted:
        text = sample.encode() if isinstance(sample, str) else sample
        hold(grammar.accepts(text), "a sample of the language is accepted", text)
        for spelling in _spellings(vocabulary, text):
            state = grammar.start(vocabulary)
            count = state.accept_many(spelling)
            hold(count == len(spelling), "accept_many takes a whole sample", text, count)
            _walk(grammar, vocabulary, spelling, budgets)
    for sample in rejected:
        text = sample.encode() if isinstance(sample, str) else sample
        hold(not grammar.accepts(text), "a text outside of the language is refused", text)
        for spelling in _spellings(vocabulary, text):
            whole = [*spelling, min(vocabulary.stop_ids)]
            count = grammar.start(vocabulary).accept_many(whole)
            hold(count < len(whole), "no spelling of a refused text ends", text)


def _spellings(vocabulary: Vocabulary, text: bytes) -> list[list[int]]:
    spellings = [vocabulary.encode(text)]
    if all(bytes([byte]) in vocabulary.spellings for byte in text):
        spellings.append([vocabulary.spellings[bytes([byte])] for byte in text])
    return spellings


def _walk(
    grammar: Grammar, vocabulary: Vocabulary, spelling: Sequence[int], budgets: Sequence[int]
) -> None:
    state = grammar.start(vocabulary)
    seen = b""
    for position, token in enumerate([*spelling, min(vocabulary.stop_ids)]):
        _check_state(grammar, state, seen, budgets)
        rest = spelling[position:]
        hold(state.accept_many(rest) == len(rest), "accept_many agrees with advance", position)
        after = state.advance(token)
        hold(after is not None, "a token on the way to a sample is allowed", position, token)
        if after is None:
            return
        seen += vocabulary.decode([token])
        state = after
    hold(state.is_finished, "a stop token finishes", seen)
    allowed = allowed_tokens(state.mask(), vocabulary.size)
    hold(allowed == set(vocabulary.stop_ids), "a finished state allows stop tokens only", allowed)


def _check_state(
    grammar: Grammar, state: GrammarState, seen: bytes, budgets: Sequence[int]
) -> None:
    vocabulary = state.vocabulary
    width = vocabulary.size
    key, mask = state.key, state.mask().copy()
    allowed = allowed_tokens(mask, width)
    tried = {token: state.advance(token) for token in range(width)}
    taken = {token for token, after in tried.items() if after is not None}
    hold(allowed == taken, "the mask is what advance allows", seen, allowed ^ taken)
    single = {token for token in range(width) if state.accepts(token)}
    hold(allowed == single, "accepts agrees with the mask", seen, allowed ^ single)
    stops = allowed & vocabulary.stop_ids
    wanted = vocabulary.stop_ids if state.is_accepting else frozenset()
    hold(stops == wanted, "stop ids are allowed exactly where accepting", seen)
    hold(bool(allowed), "no state is a dead end", seen)
    unchanged = state.key == key and (state.mask() == mask).all()
    hold(bool(unchanged), "advancing leaves the old state intact", seen)
    _check_completion(grammar, state, seen)
    for budget in budgets:
        _check_budget(state, tried, allowed, budget, seen)


def _check_completion(grammar: Grammar, state: GrammarState, seen: bytes) -> None:
    tokens = state.completion()
    hold(state.bound == len(tokens) + 1, "bound counts the completion and a stop", seen)
    text = state.vocabulary.decode(tokens)
    end: GrammarState | None = state
    for token in tokens:
        end = end.advance(token) if end is not None else None
    hold(end is not None and end.is_accepting, "a completion is accepted", seen, tokens)
    if not state.vocabulary.specials:
        hold(grammar.accepts(seen + text), "text and completion are in the language", seen, text)
        hold(text.startswith(state.forced()), "a completion begins with the forced bytes", seen)


def _check_budget(
    state: GrammarState,
    tried: dict[int, GrammarState | None],
    allowed: set[int],
    budget: int,
    seen: bytes,
) -> None:
    within = _within(state, budget)
    hold(within <= allowed, "mask_within is part of the mask", seen, budget)
    single = {token for token in tried if state.accepts_within(token, budget)}
    fitting = {t for t, after in tried.items() if after is not None and after.fits(budget - 1)}
    hold(within == fitting, "fits agrees with mask_within", seen, budget, within ^ fitting)
    hold(within == single, "accepts_within agrees with mask_within", seen, budget, within ^ single)
    for token in within:
        after = tried[token]
        is_over = after is None or after.is_finished
        fits = budget >= 1 if is_over or after is None else bool(_within(after, budget - 1))
        hold(fits, "what mask_within allows can be completed in time", seen, token, budget)
    if state.bound <= budget:
        hold(bool(within), "mask_within is not empty where a completion fits", seen, budget)


def _within(state: GrammarState, budget: int) -> set[int]:
    try:
        return allowed_tokens(state.mask_within(budget), state.vocabulary.size)
    except BudgetError as error:
        hold(error.needed == state.bound, "a budget error says what suffices", budget)
        return set()


def check_control_laws(
    control: Control,
    vocabulary: Vocabulary,
    sequences: Sequence[Sequence[int]],
    prompts: Sequence[Sequence[int]] = ((1,), (1, 2)),
    *,
    max_new_tokens: int | None = None,
    seed: int = 0,
) -> None:
    """Raises AssertionError, naming the law, unless `control` is a pure function of the prefix.

    Args:
        sequences: tokens to step through after every prompt; all must be allowed.
        prompts: what the sequences follow.
    """
    generator = torch.Generator().manual_seed(seed)
    nodes: list[tuple[tuple[int, ...], Any, Tensor]] = []
    laws: list[Tensor] = []
    for row, prompt in enumerate(prompts):
        context = Context(tuple(prompt), vocabulary, max_new_tokens, row, seed)
        for sequence in sequences:
            state = control.begin(context)
            for length in range(len(sequence) + 1):
                logits = torch.randn(vocabulary.size, generator=generator, dtype=torch.float64)
                nodes.append(((*prompt, *sequence[:length]), state, logits))
                laws.append(_apply(control, [logits], [state])[0])
                if length < len(sequence):
                    state = control.step(state, sequence[length])
    for (prefix, state, logits), law in zip(nodes, laws, strict=True):
        again = _apply(control, [logits], [state])[0]
        hold(torch.equal(again, law), "stepping leaves older states intact", prefix)
    batch = _apply(control, [node[2] for node in nodes], [node[1] for node in nodes])
    for (prefix, _, _), law, row_law in zip(nodes, laws, batch, strict=True):
        hold(
            torch.allclose(law.exp(), row_law.exp(), rtol=1e-12, atol=0),
            "a batch of nodes gets the laws of single nodes",
            prefix,
        )
    _check_repeated(control, vocabulary, sequences, prompts, max_new_tokens, seed)


def _check_repeated(
    control: Control,
    vocabulary: Vocabulary,
    sequences: Sequence[Sequence[int]],
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int | None,
    seed: int,
) -> None:
    """A prefix that is reached a second time, in another order, gets the same law."""
    logits = torch.linspace(-2, 2, vocabulary.size, dtype=torch.float64)
    for row, prompt in enumerate(prompts):
        context = Context(tuple(prompt), vocabulary, max_new_tokens, row, seed)
        for sequence in sequences:
            first, second = control.begin(context), control.begin(context)
            for token in sequence:
                first = control.step(first, token)
            law = _apply(control, [logits], [first])[0]
            for token in sequence:
                _apply(control, [logits], [second])
                second = control.step(second, token)
            again = _apply(control, [logits], [second])[0]
            hold(torch.equal(law, again), "the law depends on the prefix alone", prompt, sequence)


def _apply(control: Control, logits: Sequence[Tensor], states: Sequence[Any]) -> Tensor:
    edited, _ = control.apply(torch.stack(list(logits)).clone(), list(states))
    return edited.log_softmax(-1)
