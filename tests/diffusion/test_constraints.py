"""Proposals are checked one by one; what comes out is valid, or says that it is not."""

import random
import re
from dataclasses import dataclass
from itertools import product

import pytest

from guided.diffusion import (
    Confident,
    Dream,
    EntropyBound,
    FastDLLM,
    FreeDave,
    GrammarConstraint,
    Hole,
    LLaDA,
    MaskedDiffusionDecoder,
    Policy,
    Prophet,
    Template,
)
from guided.diffusion.constraint import Checked, Checker, Tally
from guided.diffusion.protocols import Candidate
from guided.errors import BudgetError, InputError
from guided.grammars.canvas import Completion, Verdict
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary
from tests.diffusion.plain_loops import laws

#: Tokens of the table models: the end, a, b, (, ), the mask.
VOCABULARY = Vocabulary.from_tokens([None, b"a", b"b", b"(", b")", None], stop_ids=[0])
PROMPTS = [[1, 2], [3, 1, 2, 1], [2]]
DECODINGS = [
    LLaDA(),
    LLaDA(steps=6, block_length=2),
    LLaDA(temperature=1.0),
    LLaDA(remasking="margin", block_length=2),
    LLaDA(cfg_scale=0.5, temperature=0.3),
    Dream(alg="origin", temperature=1.0, steps=3),
    Dream(schedule="dream"),
    FastDLLM(threshold=0.5),
    FastDLLM(factor=1.0, temperature=1.0),
    EntropyBound(gamma=1.0),
    Confident(threshold=0.5),
    Prophet(LLaDA(), gaps=(0.0, 0.0, 0.0)),
    FreeDave(3, FastDLLM(threshold=0.5)),
]


@dataclass(frozen=True)
class Words:
    """A constraint that knows all its canvases; some of its answers may be withheld."""

    canvases: frozenset
    silent: frozenset = frozenset()

    def begin(self, slots):
        kept = (c for c in self.canvases if len(c) == len(slots))
        fits = (c for c in kept if all(s in (None, t) for s, t in zip(slots, c, strict=True)))
        return Words(frozenset(fits), self.silent)

    def check(self, slot, token):
        if (slot, token) in self.silent:
            return Verdict.UNKNOWN
        return Verdict.YES if any(c[slot] == token for c in self.canvases) else Verdict.NO

    def fix(self, tokens):
        left = (c for c in self.canvases if all(c[s] == t for s, t in tokens.items()))
        after = Words(frozenset(left), self.silent)
        return after if after.canvases else None

    def completion(self):
        return Completion(list(min(self.canvases)), b"", True) if self.canvases else None


ANYTHING = Words(frozenset(product(range(1, 5), repeat=4)))


def decoded(adapter, decoding, constraint, length=4, prompts=PROMPTS, **options):
    decoder = MaskedDiffusionDecoder(adapter, decoding, **options)
    return decoder.generate(prompts, length, constraint=constraint, seed=2)


def texts(results):
    return [(r.canvas, r.steps, r.finish_reason) for r in results]


@pytest.mark.parametrize("decoding", DECODINGS, ids=lambda d: type(d).__name__)
def test_a_constraint_that_allows_everything_changes_nothing(table, decoding):
    adapter = table(seed=1)
    everything = Words(frozenset(product(range(5), repeat=4)))
    free, allowed = decoded(adapter, decoding, None), decoded(adapter, decoding, everything)
    assert texts(free) == texts(allowed)
    assert [r.usage for r in free] == [r.usage for r in allowed]
    assert all(r.checks.rejections == 0 and r.checks.checks >= 4 for r in allowed)


@pytest.mark.parametrize("decoding", DECODINGS, ids=lambda d: type(d).__name__)
def test_what_comes_out_is_valid(table, decoding):
    canvases = frozenset(c for c in ANYTHING.canvases if sum(c) % 3 == 0 and c[0] != c[3])
    for seed in range(3):
        results = decoded(table(seed=seed), decoding, Words(canvases))
        for result in results:
            assert result.canvas in canvases
            assert result.finish_reason in ("length", "early_commit")


class JudgedWords(Words):
    def begin(self, slots):
        return JudgedWords(super().begin(slots).canvases)

    def fix(self, tokens):
        after = super().fix(tokens)
        return None if after is None else JudgedWords(after.canvases)

    @property
    def verdict(self):
        return Verdict.YES if self.canvases else Verdict.NO


@pytest.mark.parametrize("decoding", DECODINGS, ids=lambda d: type(d).__name__)
def test_a_filling_that_knows_its_verdict_changes_nothing(table, decoding):
    canvases = frozenset(c for c in ANYTHING.canvases if sum(c) % 3 == 0 and c[0] != c[3])
    for seed in range(2):
        plain = decoded(table(seed=seed), decoding, Words(canvases))
        judged = decoded(table(seed=seed), decoding, JudgedWords(canvases))
        assert texts(plain) == texts(judged)
        assert [r.checks for r in plain] == [r.checks for r in judged]


def test_one_allowed_text_comes_out(table):
    only = (4, 2, 2, 1)
    for decoding in DECODINGS:
        for result in decoded(table(seed=5), decoding, Words(frozenset([only]))):
            assert result.canvas == only


def test_a_refused_token_is_replaced_by_the_next_of_its_slot(table):
    adapter = table(seed=3)
    law = laws(adapter.model, [1, 2, adapter.mask_id])[2]
    best, second = law.topk(2).indices.tolist()
    words = Words(frozenset((token,) for token in range(5) if token != best))
    (result,) = decoded(adapter, LLaDA(), words, 1, [[1, 2]])
    assert result.canvas == (second,)
    assert (result.checks.checks, result.checks.rejections) == (2, 1)
    assert result.log_p[0] == pytest.approx(float(law[second]))
    # The same logits serve: a refusal costs no pass.
    assert result.usage.passes == 1


def test_a_refused_token_comes_back_into_the_queue_by_its_own_score(table):
    adapter = table(seed=3)
    law = laws(adapter.model, [1, 2] + [adapter.mask_id] * 2)[2:]
    first = int(law.max(-1).values.argmax())
    banned = int(law[first].argmax())
    words = Words(frozenset(c for c in product(range(5), repeat=2) if c[first] != banned))
    scores = law.clone()
    scores[first, banned] = -100
    (result,) = decoded(adapter, LLaDA(), words, 2, [[1, 2]])
    assert result.steps.index(0) == int(scores.max(-1).values.argmax())


def test_drawing_again_has_the_law_without_the_refused_tokens(table):
    adapter = table(seed=4, spread=2.0)
    allowed = [1, 3, 4]
    words = Words(frozenset((token,) for token in allowed))
    draws = 300
    results = decoded(adapter, LLaDA(temperature=1.0), words, 1, [[1]] * draws)
    law = laws(adapter.model, [1, adapter.mask_id])[1].exp()
    exact = {token: float(law[token] / law[allowed].sum()) for token in allowed}
    counts = {token: sum(r.canvas == (token,) for r in results) for token in allowed}
    chi = sum((counts[t] - draws * p) ** 2 / (draws * p) for t, p in exact.items())
    assert chi < 13.8


def test_refusals_are_remembered(table):
    asked = []

    class Counting(Words):
        def begin(self, slots):
            return Counting(super().begin(slots).canvases)

        def check(self, slot, token):
            asked.append((slot, token))
            return super().check(slot, token)

        def fix(self, tokens):
            after = super().fix(tokens)
            return after and Counting(after.canvases)

    canvases = frozenset(c for c in ANYTHING.canvases if c.count(4) == 0 and c.count(3) == 1)
    (result,) = decoded(table(seed=2), LLaDA(), Counting(canvases), prompts=[[1]])
    assert len(asked) == len(set(asked)) == result.checks.checks
    assert result.checks.rejections > 0


@pytest.mark.parametrize("decoding", DECODINGS[:-1], ids=lambda d: type(d).__name__)
def test_freedave_keeps_the_tokens_under_a_constraint(table, decoding):
    canvases = frozenset(c for c in ANYTHING.canvases if sum(c) % 3 == 0 and c[1] != c[2])
    for seed in range(2):
        adapter = table(seed=seed, spread=7.0)
        static = decoded(adapter, decoding, Words(canvases))
        fast = decoded(adapter, FreeDave(4, decoding), Words(canvases))
        assert texts(static) == texts(fast)


def test_without_an_answer_a_token_is_refused_and_counted(table):
    adapter = table(seed=3)
    law = laws(adapter.model, [1, 2, adapter.mask_id])[2]
    best, second = law.topk(2).indices.tolist()
    words = Words(frozenset((token,) for token in range(5)), frozenset([(0, best)]))
    (result,) = decoded(adapter, LLaDA(), words, 1, [[1, 2]])
    assert result.canvas == (second,)
    assert (result.checks.unknown, result.checks.rejections) == (1, 0)
    (result,) = decoded(adapter, LLaDA(), words, 1, [[1, 2]], policy=Policy(unknown="accept"))
    assert result.canvas == (best,)
    assert (result.checks.unknown, result.checks.checks) == (1, 1)


def test_where_nothing_is_answered_the_completion_rescues(table):
    silent = frozenset(product(range(1, 4), range(5)))
    words = Words(frozenset([(1, 2, 3, 4), (2, 2, 3, 4)]), silent)
    (rescued,) = decoded(table(seed=1), LLaDA(), words, prompts=[[1]])
    assert rescued.finish_reason == "rescued"
    assert rescued.canvas in words.canvases
    assert rescued.checks.rescued == 3
    assert rescued.usage.committed == 1
    (left,) = decoded(table(seed=1), LLaDA(), words, prompts=[[1]], policy=Policy(rescue=False))
    assert left.finish_reason == "unknown"
    assert not left.is_complete
    assert left.canvas[0] == rescued.canvas[0]
    assert left.canvas[1:] == (5, 5, 5)


def test_a_step_gives_up_after_so_many_refusals(table):
    words = Words(frozenset([(4, 4, 4, 4)]))
    adapter = table(seed=6)
    results = decoded(adapter, LLaDA(), words, policy=Policy(resamples=1))
    assert {r.canvas for r in results} == {(4, 4, 4, 4)}
    assert any(r.finish_reason == "rescued" for r in results)
    results = decoded(adapter, LLaDA(), words, policy=Policy(resamples=1, rescue=False))
    failed = [r for r in results if not r.is_complete]
    assert failed
    for result in failed:
        assert result.finish_reason == "dead_end"
        assert adapter.mask_id in result.canvas


def test_every_row_may_have_a_constraint_of_its_own(table):
    one, other = (1, 1, 1, 1), (2, 2, 2, 2)
    constraints = [Words(frozenset([one])), None, Words(frozenset([other]))]
    adapter = table(seed=1)
    results = decoded(adapter, LLaDA(), constraints)
    free = decoded(adapter, LLaDA(), None)
    assert [r.canvas for r in results] == [one, free[1].canvas, other]
    with pytest.raises(InputError, match="2 values of constraint= for 3 prompts"):
        decoded(adapter, LLaDA(), constraints[:2])


PATTERN = r"(\(a+\))+b?"
GRAMMAR = regex(PATTERN)


def valid(result):
    return re.fullmatch(PATTERN, VOCABULARY.decode(result.tokens).decode()) is not None


@pytest.mark.parametrize("decoding", DECODINGS, ids=lambda d: type(d).__name__)
def test_texts_under_a_grammar_always_parse(table, decoding):
    constraint = GrammarConstraint(GRAMMAR, VOCABULARY)
    for seed in range(2):
        adapter = table(seed=seed, eos=0)
        for result in decoded(adapter, decoding, constraint, 6):
            assert valid(result)
            assert adapter.mask_id not in result.canvas
            assert result.finish_reason in ("stop", "length", "early_commit")


def test_a_grammar_that_gives_up_at_once_is_rescued(table):
    constraint = GrammarConstraint(GRAMMAR, VOCABULARY)
    for result in decoded(table(eos=0), LLaDA(), constraint, 7, policy=Policy(resamples=1)):
        assert valid(result)


def test_a_canvas_too_short_says_how_long_it_must_be(table):
    adapter = table(eos=0)
    constraint = GrammarConstraint(GRAMMAR, VOCABULARY)
    with pytest.raises(BudgetError, match="a canvas of 3 slots suffices") as caught:
        decoded(adapter, LLaDA(), constraint, 2)
    assert caught.value.needed == 3
    assert adapter.model.calls == []


def test_fixed_text_that_contradicts_the_grammar_is_refused(table):
    adapter = table(eos=0)
    constraint = GrammarConstraint(GRAMMAR, VOCABULARY)
    decoder = MaskedDiffusionDecoder(adapter)
    with pytest.raises(BudgetError, match="contradicts the grammar"):
        decoder.generate([[1]], template=Template([[2], Hole(3)]), constraint=constraint)
    with pytest.raises(BudgetError, match="a canvas of 4 slots suffices"):
        decoder.generate([[1]], template=Template([Hole(1), [4, 2]]), constraint=constraint)
    with pytest.raises(InputError, match="the filler is no text"):
        decoder.generate([[1]], template=Template([Hole(4, 1)], filler=2), constraint=constraint)
    assert adapter.model.calls == []


def test_fixed_text_and_grammar_go_together(table):
    adapter = table(seed=3, eos=0)
    constraint = GrammarConstraint(GRAMMAR, VOCABULARY)
    template = Template([Hole(4), [3, 1], Hole(3)])
    (result,) = MaskedDiffusionDecoder(adapter).generate(
        [[1]], template=template, constraint=constraint
    )
    assert valid(result)
    assert result.canvas[4:6] == (3, 1)


def test_what_is_never_answered_is_reported(table):
    class Silent(Words):
        def begin(self, slots):
            return Silent(super().begin(slots).canvases, self.silent)

        def completion(self):
            return None

    adapter = table()
    words = Silent(ANYTHING.canvases, frozenset(product(range(4), range(6))))
    (result,) = decoded(adapter, LLaDA(), words, prompts=[[1]])
    assert result.finish_reason == "unknown"
    assert result.checks.unknown == result.checks.checks > 0
    assert result.tokens == (adapter.mask_id,) * 4


@pytest.mark.parametrize("values", [{"resamples": 0}, {"unknown": "maybe"}])
def test_a_policy_that_means_nothing_is_refused(values):
    with pytest.raises(InputError):
        Policy(**values)


@pytest.mark.parametrize("seed", range(20))
def test_tokens_asked_about_together_are_accepted_as_one_by_one(seed):
    rng = random.Random(seed)
    canvases = frozenset(rng.sample(sorted(ANYTHING.canvases), rng.choice([1, 20, 200])))
    likely = rng.choice(sorted(canvases))
    for _ in range(20):
        slots = rng.sample(range(4), rng.randint(1, 4))
        tokens = [likely[s] if rng.random() < 0.8 else rng.randrange(1, 5) for s in slots]
        run = [Candidate(s, t, 0.0) for s, t in zip(slots, tokens, strict=True)]
        together, single = (Checker(Checked(Words(canvases)), Policy(), Tally()) for _ in range(2))
        expected = next((i for i, each in enumerate(run) if not single.allows(each)), len(run))
        assert together.accepted(run) == expected
        assert (together.now, together.tally) == (single.now, single.tally)


def test_tokens_without_an_answer_are_accepted_where_all_together_have_one():
    words = Words(frozenset([(1, 2, 3, 4)]), frozenset([(1, 2)]))
    asked = [Candidate(slot, slot + 1, 0.0) for slot in range(4)]
    assert Checker(Checked(words), Policy(), Tally()).accepted(asked) == 4
    checker = Checker(Checked(words), Policy(), Tally())
    assert checker.accepted([asked[0], asked[2], asked[1]]) == 2
    assert checker.was_unknown
