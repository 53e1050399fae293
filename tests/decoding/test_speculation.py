"""Guesses change the number of passes and nothing else."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from guided.controls import BanTokens, GrammarMask, StopStrings, Temperature, TopK
from guided.decoding import Decoder, Fixed, Greedy, Network, Plain, Speculation, picking
from guided.decoding.abilities import abilities
from guided.decoding.drafts import Draft
from guided.decoding.merging import Merging
from guided.decoding.merging_known import KnownMerging, merging
from guided.errors import InputError
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
from guided.testing import WordGrammar, enumerate_sequences, table_model
from tests.decoding.drafting import LETTERS, WIDTH, Guesser, OwnLaw, grown, texts

SIZES: dict[str, Any] = {
    "vocab_size": WIDTH, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 0, "pad_token_id": 0,
    "bos_token_id": 1,
}  # fmt: skip
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES, head_dim=8, sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=WIDTH, n_embd=32, n_layer=2, n_head=4, eos_token_id=0, bos_token_id=1
        )
    ),
    "bloom": lambda: BloomForCausalLM(
        BloomConfig(
            vocab_size=WIDTH, hidden_size=32, n_layer=2, n_head=4, eos_token_id=0, pad_token_id=0
        )
    ),
    "mamba": lambda: MambaForCausalLM(
        MambaConfig(
            vocab_size=WIDTH, hidden_size=32, num_hidden_layers=2, eos_token_id=0, pad_token_id=0
        )
    ),
}  # fmt: skip
PROMPTS = [[5], [7, 8, 9, 10, 11, 12], [3, 4, 5], [7, 8, 9], [2, 2, 2, 2, 2, 2, 2, 2, 2]]


def hf_model(kind: str, attention: str | None = None) -> torch.nn.Module:
    torch.manual_seed(3)
    model = MODELS[kind]()
    for parameter in model.parameters() if kind != "bloom" else ():
        # Far from uniform, so that a wrong mask shows.
        parameter.data *= 4
    if attention is not None:
        model.set_attn_implementation(attention)
    # Bloom gives NaN for padded rows in double precision.
    return model.eval() if kind == "bloom" else model.double().eval()


def guessing(truths: list[tuple[int, ...]], nodes: int = 9, seed: int = 0) -> Speculation:
    return Speculation([Guesser(WIDTH, truths, nodes, seed=seed)], policy=Fixed(nodes))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "gemma3", "gpt2"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_greedy_tokens_are_those_of_hugging_face(kind: str, attention: str) -> None:
    network = Network(hf_model(kind, attention), WIDTH)
    assert abilities(network).trees, abilities(network).reason
    plain = grown(Decoder(network, LETTERS, Greedy()), PROMPTS, max_new_tokens=14)
    decoder = Decoder(network, LETTERS, Greedy(), speculation=guessing(texts(plain)))
    branches = grown(decoder, PROMPTS, max_new_tokens=14)
    assert decoder.usage.accepted > 10
    for branch in branches:
        prompt = torch.tensor([branch.prompt])
        expected = network.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=14, do_sample=False
        )
        assert branch.tokens == expected[0, len(branch.prompt) :].tolist()


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_models_without_tree_masks_decode_plainly(kind: str) -> None:
    network = Network(hf_model(kind), WIDTH)
    can = abilities(network)
    assert not can.trees
    assert can.reason
    for prompts in (PROMPTS[:1], PROMPTS[1:4]):
        plain = grown(Decoder(network, LETTERS, Greedy()), prompts, max_new_tokens=8)
        decoder = Decoder(network, LETTERS, Greedy(), speculation=guessing(texts(plain), 4))
        branches = grown(decoder, prompts, max_new_tokens=8)
        assert texts(branches) == texts(plain)
        for branch in branches:
            prompt = torch.tensor([branch.prompt])
            expected = network.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False
            )
            if len(prompts) == 1:
                assert branch.tokens == expected[0, len(branch.prompt) :].tolist()


def test_a_single_row_with_a_cache_to_crop_still_gets_chains() -> None:
    network = Network(hf_model("bloom"), WIDTH)
    plain = grown(Decoder(network, LETTERS, Greedy()), PROMPTS[:1], max_new_tokens=10)
    decoder = Decoder(network, LETTERS, Greedy(), speculation=guessing(texts(plain), 6))
    assert texts(grown(decoder, PROMPTS[:1], max_new_tokens=10)) == texts(plain)
    assert decoder.usage.accepted > 0
    assert decoder.usage.passes < 10


@pytest.fixture(scope="module")
def llama() -> Network:
    return Network(hf_model("llama"), WIDTH)


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
@pytest.mark.parametrize("sampler", [Greedy(), Plain()], ids=["greedy", "plain"])
def test_tokens_and_their_log_probabilities_do_not_depend_on_guesses(
    llama: Network, batch: int, sampler: Any
) -> None:
    rng = random.Random(batch)
    prompts = [[rng.randrange(1, WIDTH) for _ in range(rng.randint(1, 9))] for _ in range(batch)]
    controls = [[Temperature(0.3), TopK(7), BanTokens([4])] for _ in prompts]
    options = {"controls": controls, "max_new_tokens": 12, "seed": 9}
    plain = grown(Decoder(llama, LETTERS, sampler), prompts, **options)
    for nodes in (1, 4, 13):
        decoder = Decoder(llama, LETTERS, sampler, speculation=guessing(texts(plain), nodes))
        branches = grown(decoder, prompts, **options)
        assert texts(branches) == texts(plain)
        for branch, other in zip(branches, plain, strict=True):
            assert branch.log_p == pytest.approx(other.log_p, abs=1e-9)
            assert branch.log_q == pytest.approx(other.log_q, abs=1e-9)
            assert branch.finish_reason == other.finish_reason
        assert decoder.usage.accepted > 0
        assert decoder.usage.passes < 13


def test_drawing_for_all_nodes_at_once_gives_the_same_tokens(
    llama: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls = [[Temperature(0.3)] for _ in PROMPTS]
    options = {"controls": controls, "max_new_tokens": 12, "seed": 9}
    plain = grown(Decoder(llama, LETTERS), PROMPTS, **options)
    decoder = Decoder(llama, LETTERS, speculation=guessing(texts(plain), 9))
    calls = []
    original = picking._ahead
    monkeypatch.setattr(picking, "_ahead", lambda *args: calls.append(original(*args)) or calls[-1])
    branches = decoder.open(PROMPTS, **options)
    loop = decoder.loop()
    loop.draws_ahead = True
    decoder.run(loop, branches)
    assert texts(branches) == texts(plain)
    assert sum(found is not None for found in calls) >= decoder.usage.passes - 2


def test_adaptive_guessing_never_changes_a_token_either(llama: Network) -> None:
    plain = grown(Decoder(llama, LETTERS), PROMPTS, max_new_tokens=30, seed=2)
    drafter = Guesser(WIDTH, texts(plain), 12, right=0.9)
    decoder = Decoder(llama, LETTERS, speculation=Speculation([drafter]))
    assert texts(grown(decoder, PROMPTS, max_new_tokens=30, seed=2)) == texts(plain)


def test_a_row_draws_the_same_alone_and_in_a_batch_with_other_guesses(llama: Network) -> None:
    plain = grown(Decoder(llama, LETTERS), PROMPTS, max_new_tokens=12, seed=5)
    for row, prompt in enumerate(PROMPTS):
        decoder = Decoder(llama, LETTERS, speculation=guessing(texts(plain), 7, seed=row))
        (alone,) = grown(decoder, [prompt], max_new_tokens=12, seed=5, rows=[row])
        assert alone.tokens == plain[row].tokens


def test_stops_limits_and_stop_strings_inside_of_a_guess_end_there() -> None:
    model = table_model(4, horizon=40)
    cases = [
        ([StopStrings(["ab"]), GrammarMask(WordGrammar([b"abcccc", b"cccabc"]))], 9),
        ([BanTokens([0])], 5),
        ([Temperature(2.0)], 20),
        ([GrammarMask(WordGrammar([b"abcabcab", b"abcbbbca", b"a"]))], 9),
    ]
    for controls, limit in cases:
        prompts = [[1], [2, 3], [1, 1, 2]]
        options = {"controls": [controls] * 3, "max_new_tokens": limit, "seed": 3}
        plain = grown(Decoder(model.network, model.vocabulary), prompts, **options)
        for nodes in (2, 6, 11):
            guesser = Guesser(4, texts(plain), nodes, right=0.95)
            decoder = Decoder(
                model.network,
                model.vocabulary,
                speculation=Speculation([guesser], policy=Fixed(nodes)),
            )
            branches = grown(decoder, prompts, **options)
            assert texts(branches) == texts(plain)
            reasons = [branch.finish_reason for branch in plain]
            assert [branch.finish_reason for branch in branches] == reasons


def test_pausing_inside_of_a_guess_keeps_the_law_at_hand(llama: Network) -> None:
    plain = grown(Decoder(llama, LETTERS), PROMPTS, max_new_tokens=12, seed=5)
    decoder = Decoder(llama, LETTERS, speculation=guessing(texts(plain), 8))
    branches = decoder.open(PROMPTS, max_new_tokens=12, seed=5)
    single = Decoder(llama, LETTERS)
    others = single.open(PROMPTS, max_new_tokens=12, seed=5)
    for stop in (1, 2, 5, 6, 11):
        at = {"until": lambda branch, stop=stop: len(branch.tokens) >= stop + branch.row % 2}
        decoder.extend(branches, **at)
        single.extend(others, **at)
        assert texts(branches) == texts(others)
        for branch, other in zip(branches, others, strict=True):
            if branch.finish_reason is None:
                assert torch.allclose(branch.law(), other.law(), atol=1e-9)
    decoder.extend(branches)
    assert texts(branches) == texts(plain)


def test_the_cache_after_rejected_guesses_is_that_of_plain_decoding(llama: Network) -> None:
    kept = []
    for speculation in (None, guessing([], 11)):
        decoder = Decoder(llama, LETTERS, Greedy(), speculation=speculation)
        branches = decoder.open(PROMPTS, max_new_tokens=20)
        decoder.extend(branches, until=lambda branch: len(branch.tokens) >= 7)
        (rig,) = decoder._rigs.values()
        for branch in branches:
            rig.freeze(branch.places)
        kept.append([branch.places[0].trunk.layers for branch in branches])
    for plain, drafted in zip(*kept, strict=True):
        for (keys, values), (other_keys, other_values) in zip(plain, drafted, strict=True):
            assert torch.allclose(keys, other_keys, atol=1e-10)
            assert torch.allclose(values, other_values, atol=1e-10)


def test_merged_drafts_hold_no_illegal_node() -> None:
    tokens = [None, *(bytes([i]) for i in range(32, 127)), b'": ', b'", "', b'{"', b"12", b"true"]
    vocabulary = Vocabulary.from_tokens(tokens, [0])
    grammar = json_schema(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 9},
                "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3},
                "on": {"type": "boolean"},
            },
            "required": ["name", "on"],
        }
    )
    rng = random.Random(0)
    model = table_model(tokens=tokens[1:])
    decoder = Decoder(model.network, vocabulary)
    nodes = 0
    while nodes < 100_000:
        (branch,) = decoder.open(
            [[1]], [[GrammarMask(grammar)]], max_new_tokens=rng.randint(30, 60)
        )
        while branch.finish_reason is None:
            mask = branch.states[0].mask
            legal = [t for t in range(vocabulary.size) if mask[t >> 5] >> (t & 31) & 1]
            nodes += check_merge(branch, vocabulary, legal, rng)
            branch.push(rng.choice(legal), 0.0, 0.0, vocabulary.stop_ids)
    assert nodes >= 100_000


def check_merge(branch: Any, vocabulary: Vocabulary, legal: list[int], rng: random.Random) -> int:
    """Nodes of a random merged draft, each of which is checked against the full mask."""
    drafts = []
    for _ in range(3):
        draft = Draft()
        for _ in range(60):
            parent = rng.randrange(-1, len(draft)) if len(draft) else -1
            token = rng.choice(legal) if rng.random() < 0.5 else rng.randrange(vocabulary.size)
            draft.add(token, parent, rng.choice((0.1, 0.5, 0.9)), rng.choice("abc"))
        drafts.append(draft)
    found = merging(branch, vocabulary.stop_ids)
    plain = Merging(branch, vocabulary.stop_ids)
    assert isinstance(found, KnownMerging)
    for draft in drafts:
        found.add(draft)
        plain.add(draft)
    tree = found.draft
    assert tree == plain.draft
    states = {-1: branch.states}
    for node, (token, parent) in enumerate(zip(tree.tokens, tree.parents, strict=True)):
        mask = states[parent][0].mask
        assert mask[token >> 5] >> (token & 31) & 1
        assert token not in vocabulary.stop_ids
        states[node] = branch.pipeline.step(states[parent], token)
        assert branch.pipeline.finish(states[node]) is None
    return len(tree)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("verifier", ["chain", "block"])
def test_chain_verifiers_draw_from_the_enumerated_law(verifier: str, masked: bool) -> None:
    from guided.decoding.verifiers import Block, Chain

    model = table_model(4)
    controls = [Temperature(0.8), GrammarMask(WordGrammar([b"ab", b"ac", b"bca", b"cc", b"cab"]))]
    law = enumerate_sequences(model, [1], controls, max_new_tokens=4)
    drafter = OwnLaw(4, 3, masked)
    speculation = Speculation(
        [drafter], verifier={"chain": Chain(), "block": Block()}[verifier], policy=Fixed(3)
    )
    decoder = Decoder(model.network, model.vocabulary, speculation=speculation)
    draws = 3000
    branches = grown(decoder, [[1]] * draws, controls=[controls] * draws, seed=1, max_new_tokens=4)
    assert decoder.usage.accepted > draws / 5
    counts = Counter(tuple(branch.tokens) for branch in branches)
    assert set(counts) <= set(law)
    common = {tokens: draws * p for tokens, p in law.items() if draws * p >= 5}
    distance = sum((counts[tokens] - mean) ** 2 / mean for tokens, mean in common.items())
    assert distance <= len(common) + 4 * math.sqrt(2 * len(common))
    for branch in branches[:50]:
        assert math.isclose(math.exp(sum(branch.log_q)), law[tuple(branch.tokens)], rel_tol=1e-9)


def test_a_verifier_for_chains_takes_one_drafter() -> None:
    from guided.decoding.verifiers import Chain

    with pytest.raises(InputError, match="one drafter"):
        Speculation([OwnLaw(4, 2, True), OwnLaw(4, 2, True)], verifier=Chain())
    with pytest.raises(InputError, match="Guesser draws from no law"):
        Speculation([Guesser(4)], verifier=Chain())
    with pytest.raises(InputError, match="no drafter"):
        Speculation([Greedy()])  # type: ignore[list-item]
