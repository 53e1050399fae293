"""The only part that calls a model: it opens, grows, forks and closes branches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

import torch

from guided.controls.pipeline import Pipeline, States
from guided.controls.protocol import Context, Control
from guided.controls.second_model import check_vocabulary
from guided.decoding.branch import Branch, Segment
from guided.decoding.given import Seen, look_up
from guided.decoding.loop import Loop
from guided.decoding.network import Network
from guided.decoding.rig import Rig
from guided.decoding.sampling import Plain, Sampler
from guided.decoding.speculation import Speculation
from guided.decoding.trunks import Ledger
from guided.decoding.usage import Usage
from guided.errors import ControlError, InputError, ModelError
from guided.grammars.vocabulary import Vocabulary

Until = Callable[[Branch], bool]
Limits = int | None | Sequence[int | None]
T = TypeVar("T")
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class Decoder:
    """Batched decoding, with guesses ahead where they pay.

    Args:
        network: the model.
        vocabulary: of the model's tokenizer, as wide as its logits.
        sampler: how a token is chosen from the controlled law.
        speculation: where guesses come from; None: one token a pass.
        kv_limit: most bytes of keys and values. Branches at rest give theirs up first, those
            unused for longest, and are read again when they go on.
    """

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        sampler: Sampler | None = None,
        *,
        speculation: Speculation | None = None,
        kv_limit: int | None = None,
    ) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.sampler = sampler if sampler is not None else Plain()
        self.speculation = speculation
        self.usage = Usage()
        self.ledger = Ledger(kv_limit)
        self._rows = count(1 << 64)
        self._rigs: dict[tuple[tuple[str, int], ...], Rig] = {}

    def open(
        self,
        prompts: Sequence[Sequence[int]],
        controls: Sequence[Iterable[Control] | Pipeline] | None = None,
        seed: int = 0,
        *,
        max_new_tokens: Limits = None,
        rows: Sequence[int] | None = None,
    ) -> list[Branch]:
        """One branch for every prompt, after a pass over the prompts; equal ones are read once.

        Args:
            controls: the controls of every branch, or their pipeline; none if not given.
            max_new_tokens: for all, or one for each; the stop token counts.
            rows: names of the branches' random streams; their positions if not given.

        Raises:
            InputError: empty prompts, counts that differ, controls that refuse, a prompt whose
                keys and values exceed `kv_limit`.
        """
        branches = [
            self._branch(tuple(prompt), pipeline, seed, row, limit)
            for prompt, pipeline, row, limit in zip(
                prompts,
                _pipelines(controls, len(prompts)),
                _each(rows if rows is not None else range(len(prompts)), len(prompts), "rows"),
                _limits(max_new_tokens, len(prompts)),
                strict=True,
            )
        ]
        began = time.perf_counter()
        growing = [branch for branch in branches if branch.finish_reason is None]
        for rig, some in self._by_rig(growing):
            if any(branch.pipeline.reads_prompt for branch in some):
                for branch, log_p in zip(some, rig.open_scored(some), strict=True):
                    branch.states = branch.first = branch.pipeline.read(branch.states, log_p)
            else:
                rig.open(some)
        self.usage.seconds += time.perf_counter() - began
        return branches

    def extend(self, branches: Sequence[Branch], until: Until | None = None) -> list[Segment]:
        """Grows every branch until it finishes or `until(branch)` holds; what was added to each.

        `until` is asked after every token; where the last one was appended, also before the first
        draw.

        A keyboard interrupt ends the unfinished branches with the reason "interrupt", a lack of
        memory with "memory".

        Raises:
            DeadEndError: the controls leave no token; carries the position.
            LogitsError: NaN in the model's logits.
            ControlError: greedy growth under a control whose law tokens must be drawn from.
        """
        for branch in branches:
            self._check_random(branch.pipeline)
        lengths = [len(branch.tokens) for branch in branches]
        growing = [branch for branch in branches if branch.finish_reason is None]
        for rig, some in self._by_rig(growing):
            loop = self._loop(rig, until)
            self.run(loop, some)
        return [_segment(branch, at) for branch, at in zip(branches, lengths, strict=True)]

    def loop(self, until: Until | None = None, models: Mapping[str, Any] | None = None) -> Loop:
        """An empty loop, to which branches are added as there is room.

        Args:
            models: the auxiliary models of the branches' pipelines.
        """
        return self._loop(self._rig(models or {}), until)

    def run(self, loop: Loop, branches: Sequence[Branch] = (), steps: int | None = None) -> str:
        """Adds branches to a loop and grows all until they end or pause; see `extend`.

        Args:
            steps: most rounds; None: as many as it takes.

        Returns:
            why it stopped early, "interrupt" or "memory"; else "".
        """
        began = time.perf_counter()
        # Once for all passes: switching takes long after each of them.
        had_gradients = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        try:
            if branches:
                loop.add(branches)
            while not loop.is_done and steps != 0:
                loop.step()
                steps = None if steps is None else steps - 1
        except KeyboardInterrupt:
            loop.abandon("interrupt", branches)
            return "interrupt"
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
            loop.abandon("memory", branches)
            return "memory"
        finally:
            torch.set_grad_enabled(had_gradients)
            self.usage.seconds += time.perf_counter() - began
        return ""

    def _loop(self, rig: Rig, until: Until | None) -> Loop:
        return Loop(
            rig, self.sampler, self.vocabulary.stop_ids, self.speculation, self.usage, until
        )

    def fork(
        self, branch: Branch, copies: int = 1, *, rows: Sequence[int] | None = None
    ) -> list[Branch]:
        """Branches that go on from `branch` with random streams of their own; nothing is copied.

        Args:
            rows: names of these streams, `copies` of them; numbers of this decoder if not given,
                which depend on what it has forked before.
        """
        named = [next(self._rows) for _ in range(copies)] if rows is None else rows
        if branch.places:
            self._rig(branch.pipeline.models).share(branch, copies)
        children = [branch.fork(row) for row in _each(named, copies, "rows")]
        if self.speculation is not None:
            for child in children:
                self.speculation.fork(branch, child)
        return children

    def cut(self, base: Branch, branch: Branch, length: int, states: States, row: int) -> Branch:
        """A branch that goes on by a new stream after the first `length` tokens of another.

        Args:
            base: a beginning of it that is not finished. Its keys and values are shared; what
                comes after it is read with the next growth.
            states: those of the controls after these tokens.
        """
        rig = self._rig(base.pipeline.models)
        if rig.drafts != "tree" or not base.places:
            # Rows that grow in step cannot read different numbers of tokens.
            return branch.cut(length, states, row)
        rig.share(base, 1)
        return branch.cut(length, states, row, base)

    def append(
        self,
        branches: Sequence[Branch],
        tokens: Sequence[int],
        log_q: Sequence[float] | None = None,
        seen: Sequence[Seen] | None = None,
    ) -> None:
        """Adds a given token to every branch; the next growth of the branch reads it.

        Until then the branch has no logits, but can be forked. `extend` with an `until` that
        always holds reads it and draws nothing.

        Args:
            log_q: the log-probabilities with which the tokens were chosen; 0 if not given.
            seen: what `look_up` would find; of whoever has looked at the law already, and has
                chosen tokens that it allows.

        Raises:
            InputError: a branch that is finished or has an unread token, a token that its
                controls forbid. No branch is changed then.
            ControlError: a control whose law tokens must be drawn from.
        """
        for branch in branches:
            _check_draws(branch.pipeline, "the tokens that this search chooses are not")
        chances = [0.0] * len(branches) if log_q is None else log_q
        _each(tokens, len(branches), "tokens")
        _each(chances, len(branches), "log_q")
        for branch, token, chance, (log_p, states) in zip(
            branches, tokens, chances, seen or look_up(branches, tokens), strict=True
        ):
            branch.states = states
            self.usage.tokens += 1
            branch.push(token, log_p, chance, self.vocabulary.stop_ids)
            branch.unjudged = branch.finish_reason is None

    def close(self, branches: Iterable[Branch]) -> None:
        """Gives up branches; the tokens of unfinished ones count as discarded."""
        for branch in branches:
            if branch.finish_reason is None:
                self.usage.discarded += len(branch.tokens)
                self.usage.tokens -= len(branch.tokens)
                branch.finish("closed")

    def _branch(
        self, prompt: tuple[int, ...], pipeline: Pipeline, seed: int, row: int, limit: int | None
    ) -> Branch:
        if not prompt:
            raise InputError("the prompt has no tokens; a model needs at least one to go on from")
        self._check_random(pipeline)
        context = Context(prompt, self.vocabulary, limit, row, seed)
        states = pipeline.begin(context)
        branch = Branch(prompt, pipeline, states, row, seed, limit, first=states)
        branch.settle()
        return branch

    def _check_random(self, pipeline: Pipeline) -> None:
        if not self.sampler.is_random:
            _check_draws(pipeline, "greedy decoding is no draw; give a temperature above 0")

    def _by_rig(self, branches: Sequence[Branch]) -> list[tuple[Rig, list[Branch]]]:
        groups: dict[int, tuple[Rig, list[Branch]]] = {}
        for branch in branches:
            rig = self._rig(branch.pipeline.models)
            groups.setdefault(id(rig), (rig, []))[1].append(branch)
        return list(groups.values())

    def _rig(self, models: Mapping[str, Any]) -> Rig:
        key = tuple((name, id(model)) for name, model in models.items())
        rig = self._rigs.get(key)
        if rig is None:
            networks = {name: self._auxiliary(name, model) for name, model in models.items()}
            rig = self._rigs[key] = Rig(self.network, networks, self.usage, self.ledger)
        return rig

    def _auxiliary(self, name: str, model: Any) -> Network:
        network = getattr(model, "network", None)
        if not isinstance(network, Network):
            raise ModelError(
                f"auxiliary model {name!r} is a {type(model).__name__}, no guided.Model"
            )
        check_vocabulary(model.vocabulary, self.vocabulary, name)
        return network


def _check_draws(pipeline: Pipeline, what: str) -> None:
    """Refuses what does not draw from the law of a control that needs it."""
    for control in pipeline.controls:
        if control.needs_draws:
            name = type(control).__name__
            raise ControlError(
                f"{name} needs tokens drawn from its law: {what}. {control.needs_draws}"
            )


def _is_lack_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in _NO_MEMORY
    )


def _segment(branch: Branch, at: int) -> Segment:
    return Segment(tuple(branch.tokens[at:]), tuple(branch.log_p[at:]), tuple(branch.log_q[at:]))


def _pipelines(
    controls: Sequence[Iterable[Control] | Pipeline] | None, wanted: int
) -> list[Pipeline]:
    if controls is None:
        return [Pipeline(())] * wanted
    return [
        given if isinstance(given, Pipeline) else Pipeline(given)
        for given in _each(list(controls), wanted, "controls")
    ]


def _limits(limits: Limits, wanted: int) -> list[int | None]:
    each: list[int | None]
    if limits is None or isinstance(limits, int):
        each = [limits] * wanted
    else:
        each = list(_each(limits, wanted, "max_new_tokens"))
    for limit in each:
        if limit is not None and limit < 1:
            raise InputError(f"max_new_tokens must be at least 1, not {limit}")
    return each


def _each(values: Sequence[T], wanted: int, name: str) -> Sequence[T]:
    if len(values) != wanted:
        raise InputError(f"{len(values)} {name} for {wanted} sequences; give one for each")
    return values
