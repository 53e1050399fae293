"""The plain decoder draws from the controlled law, records it, and keeps rows independent."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from guided.controls import BanTokens, GrammarMask, StopStrings, Temperature, TopK
from guided.controls.protocol import Control
from guided.decoding import Decoder, Fixed, Greedy, Network, Plain, Speculation
from guided.decoding.drafters.grammar import GrammarText
from guided.errors import DeadEndError, InputError, LogitsError
from guided.testing import WordGrammar, enumerate_sequences, table_model
from tests.decoding.drafting import LETTERS, WIDTH

SMALL = {
    "vocab_size": WIDTH, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


def hf_model(kind: str) -> torch.nn.Module:
    torch.manual_seed(3)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SMALL))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**SMALL, use_sliding_window=False))
    return model.double().eval()


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def network(request: pytest.FixtureRequest) -> Network:
    return Network(hf_model(request.param), WIDTH)


PROMPTS = [[5], [7, 8, 9, 10, 11, 12], [3, 4, 5], [7, 8, 9]]


def grown(network: Network, prompts: list[list[int]], rows: list[int], **options: object) -> list:
    decoder = Decoder(network, LETTERS, **options)
    branches = decoder.open(prompts, seed=5, max_new_tokens=12, rows=rows)
    decoder.extend(branches)
    return branches


def test_a_row_draws_the_same_tokens_alone_and_in_a_batch(network: Network) -> None:
    together = grown(network, PROMPTS, [0, 1, 2, 3])
    for row, prompt in enumerate(PROMPTS):
        (alone,) = grown(network, [prompt], [row])
        assert alone.tokens == together[row].tokens
        assert torch.allclose(torch.tensor(alone.log_p), torch.tensor(together[row].log_p))


def test_greedy_tokens_are_those_of_hugging_face(network: Network) -> None:
    branches = grown(network, PROMPTS, [0, 1, 2, 3], sampler=Greedy())
    for branch in branches:
        prompt = torch.tensor([branch.prompt])
        expected = network.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False
        )
        assert branch.tokens == expected[0, len(branch.prompt) :].tolist()
        assert set(branch.log_q) == {0.0}


def test_log_p_is_the_raw_law_and_log_q_the_law_drawn_from(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([[5, 6]], [[Temperature(0.5), BanTokens([9])]], max_new_tokens=6)
    decoder.extend([branch])
    ids = torch.tensor([[*branch.prompt, *branch.tokens]])
    raw = network.model(ids).logits[0].detach()
    for step, token in enumerate(branch.tokens):
        logits = raw[1 + step]
        assert math.isclose(branch.log_p[step], logits.log_softmax(-1)[token], rel_tol=1e-9)
        edited = logits / 0.5
        edited[9] = -torch.inf
        assert math.isclose(branch.log_q[step], edited.log_softmax(-1)[token], rel_tol=1e-9)


def test_a_model_without_cache_gives_the_same_tokens(network: Network) -> None:
    with_cache = grown(network, PROMPTS, [0, 1, 2, 3])
    uncached = Network(network.model, WIDTH)
    uncached.has_cache = False
    for branch, other in zip(with_cache, grown(uncached, PROMPTS, [0, 1, 2, 3]), strict=True):
        assert branch.tokens == other.tokens


def test_pausing_and_regrouping_branches_changes_nothing(network: Network) -> None:
    whole = grown(network, PROMPTS, [0, 1, 2, 3])
    decoder = Decoder(network, LETTERS)
    first = decoder.open(PROMPTS[:2], seed=5, max_new_tokens=12, rows=[0, 1])
    decoder.extend(first, until=lambda branch: len(branch.tokens) >= 2 + branch.row)
    second = decoder.open(PROMPTS[2:], seed=5, max_new_tokens=12, rows=[2, 3])
    segments = decoder.extend([second[1], first[0], second[0]], until=lambda b: len(b.tokens) >= 4)
    assert [len(s.tokens) for s in segments] == [len(second[1].tokens), 2, len(second[0].tokens)]
    decoder.extend([first[1], second[0], first[0], second[1]])
    assert [b.tokens for b in [*first, *second]] == [b.tokens for b in whole]


def test_a_fork_goes_on_from_where_its_parent_was(network: Network) -> None:
    decoder = Decoder(network, LETTERS, Greedy())
    (branch,) = decoder.open([[5, 6]], max_new_tokens=8)
    decoder.extend([branch], until=lambda b: len(b.tokens) == 3)
    (child,) = decoder.fork(branch)
    decoder.extend([branch])
    assert len(child.tokens) == 3
    decoder.extend([child])
    assert child.tokens == branch.tokens
    assert child.log_p == pytest.approx(branch.log_p)


def test_a_paused_branch_shows_its_law_without_a_pass(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([[5, 6]], [[Temperature(0.5)]], max_new_tokens=8)
    passes = decoder.usage.passes
    law = branch.law()
    assert decoder.usage.passes == passes
    assert math.isclose(float(law.exp().sum()), 1, rel_tol=1e-12)
    assert math.isclose(branch.entropy(), float(-(law.exp() * law).sum()), rel_tol=1e-9)


def test_equal_prompts_are_read_once(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = decoder.open([[5, 6, 7]] * 4, max_new_tokens=5)
    assert decoder.usage.positions == 3
    decoder.extend(branches)
    assert len({tuple(branch.tokens) for branch in branches}) > 1


@pytest.mark.parametrize("size", [2, 3, 5])
def test_frequencies_follow_the_enumerated_law(size: int) -> None:
    model = table_model(size)
    controls = [Temperature(0.8)]
    law = enumerate_sequences(model, [1], controls, max_new_tokens=3)
    decoder = Decoder(model.network, model.vocabulary)
    draws = 2000
    branches = decoder.open([[1]] * draws, [controls] * draws, seed=1, max_new_tokens=3)
    decoder.extend(branches)
    counts = Counter(tuple(branch.tokens) for branch in branches)
    assert set(counts) <= set(law)
    # Pearson's statistic over sequences that are expected at least five times.
    common = {tokens: draws * p for tokens, p in law.items() if draws * p >= 5}
    distance = sum((counts[tokens] - mean) ** 2 / mean for tokens, mean in common.items())
    assert distance <= len(common) + 4 * math.sqrt(2 * len(common))
    for branch in branches[:50]:
        assert math.isclose(math.exp(sum(branch.log_q)), law[tuple(branch.tokens)], rel_tol=1e-9)


def test_usage_counts_tokens_passes_and_positions() -> None:
    model = table_model(4, horizon=5)
    decoder = Decoder(model.network, model.vocabulary)
    branches = decoder.open([[1, 2], [1]], seed=3)
    decoder.extend(branches)
    drawn = [len(branch.tokens) for branch in branches]
    assert decoder.usage.tokens == sum(drawn)
    assert decoder.usage.passes == max(drawn)
    assert decoder.usage.positions == 3 + sum(count - 1 for count in drawn)
    decoder.close(branches)
    assert decoder.usage.discarded == 0


def test_closing_an_unfinished_branch_discards_its_tokens() -> None:
    model = table_model(4, seed=2)
    decoder = Decoder(model.network, model.vocabulary)
    (branch,) = decoder.open([[1]], [[BanTokens([0])]], max_new_tokens=9)
    decoder.extend([branch], until=lambda b: len(b.tokens) == 2)
    decoder.close([branch])
    assert (decoder.usage.tokens, decoder.usage.discarded) == (0, 2)


def test_forced_tokens_are_counted() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    (branch,) = decoder.open([[1]], [[GrammarMask(WordGrammar([b"abc"]))]], max_new_tokens=9)
    decoder.extend([branch])
    assert (branch.forced, branch.finish_reason, model.decode(branch.tokens)) == (
        3,
        "complete",
        "abc",
    )
    assert sum(branch.log_q) == pytest.approx(0)


def test_what_is_forced_comes_in_one_pass_and_has_its_raw_log_p() -> None:
    model = table_model(4)
    words = WordGrammar([b"abcabcab", b"abcbbbca"])
    single = Decoder(model.network, model.vocabulary)
    (step,) = single.open([[1]], [[GrammarMask(words), Temperature(0.7)]], max_new_tokens=9)
    single.extend([step])
    forced = Speculation([GrammarText(model.vocabulary)], policy=Fixed(8))
    ahead = Decoder(model.network, model.vocabulary, speculation=forced)
    (run,) = ahead.open([[1]], [[GrammarMask(words), Temperature(0.7)]], max_new_tokens=9)
    ahead.extend([run])
    assert (run.tokens, run.finish_reason) == (step.tokens, step.finish_reason)
    assert run.log_p == pytest.approx(step.log_p, abs=1e-12)
    assert run.log_q == pytest.approx(step.log_q, abs=1e-12)
    assert (run.forced, ahead.usage.forced) == (step.forced, 7)
    assert single.usage.passes == 8
    assert ahead.usage.passes <= 3


def test_what_another_control_forbids_is_a_dead_end_at_its_position() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    controls = [GrammarMask(WordGrammar([b"abcabc"])), BanTokens([3])]
    (branch,) = decoder.open([[1]], [controls], max_new_tokens=9)
    with pytest.raises(DeadEndError, match="position 2"):
        decoder.extend([branch])


def test_finish_reasons() -> None:
    model = table_model(4)
    decoder = Decoder(model.network, model.vocabulary)
    reasons = {}
    for name, controls, limit in (
        ("length", [BanTokens([0])], 3),
        ("stop", [BanTokens([1, 2, 3])], 3),
        ("budget", [GrammarMask(WordGrammar([b"a" * n for n in range(1, 9)])), BanTokens([])], 2),
        ("stop_string", [StopStrings(["ab"]), GrammarMask(WordGrammar([b"abcccc"]))], 9),
    ):
        (branch,) = decoder.open([[1]], [controls], max_new_tokens=limit)
        decoder.extend([branch])
        reasons[name] = branch.finish_reason
    assert reasons == {name: name for name in reasons}


def test_ctrl_c_marks_what_is_unfinished() -> None:
    model = table_model(4, horizon=40)
    decoder = Decoder(model.network, model.vocabulary)
    branches = decoder.open([[1], [2]], [[BanTokens([0])]] * 2, max_new_tokens=9)

    def interrupt(branch: object) -> bool:
        if len(branches[0].tokens) == 3:
            raise KeyboardInterrupt
        return False

    decoder.extend(branches, until=interrupt)
    assert {branch.finish_reason for branch in branches} == {"interrupt"}
    assert [len(branch.tokens) for branch in branches] == [3, 3]


def test_a_row_without_any_allowed_token_is_a_dead_end_with_its_position() -> None:
    model = table_model(3)
    decoder = Decoder(model.network, model.vocabulary)
    controls = [GrammarMask(WordGrammar([b"ab"])), BanTokens([2])]
    (branch,) = decoder.open([[1]], [controls], max_new_tokens=9)
    with pytest.raises(DeadEndError, match="position 1") as caught:
        decoder.extend([branch])
    assert caught.value.position == 1


@pytest.mark.parametrize("greedy", [True, False])
def test_nan_logits_are_an_error(greedy: bool) -> None:
    model = table_model(3)
    model.hf_model.law = lambda prefix: torch.full((3,), torch.nan, dtype=torch.float64)
    decoder = Decoder(model.network, model.vocabulary, Greedy() if greedy else None)
    (branch,) = decoder.open([[1]], max_new_tokens=2)
    with pytest.raises(LogitsError, match="position 0"):
        decoder.extend([branch])


def test_bad_arguments_are_refused_before_any_pass() -> None:
    model = table_model(3)
    decoder = Decoder(model.network, model.vocabulary)
    with pytest.raises(InputError, match="no tokens"):
        decoder.open([[1], []])
    with pytest.raises(InputError, match="controls for 2 sequences"):
        decoder.open([[1], [1]], [[]])
    with pytest.raises(InputError, match="at least 1"):
        decoder.open([[1]], max_new_tokens=0)
    assert decoder.usage.passes == 0


def test_one_loop_draws_for_branches_with_other_controls_in_turn() -> None:
    model = table_model(6, seed=3)
    decoder = Decoder(model.network, model.vocabulary, Plain())
    loop = decoder.loop()
    kinds: list[list[Control]] = [[], [Temperature(0.3)], [TopK(2)], [Temperature(0.3)], []]
    for controls in kinds:
        for rows in (1, 2, 1):
            branches = decoder.open([[1, 2]] * rows, [controls] * rows, 5, max_new_tokens=9)
            decoder.run(loop, branches)
            alone = Decoder(model.network, model.vocabulary, Plain())
            wanted = alone.open([[1, 2]] * rows, [controls] * rows, 5, max_new_tokens=9)
            for branch in wanted:
                alone.extend([branch])
            assert [branch.tokens for branch in branches] == [branch.tokens for branch in wanted]
            assert [branch.log_q for branch in branches] == [branch.log_q for branch in wanted]
