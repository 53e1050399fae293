"""The speculative benchmark: what its copying network adds depends on nothing but the prefix."""

import json
from typing import Any

import pytest
import torch
from harness import models
from harness.figures import Report
from harness.speculating import extraction, texts, ways
from harness.speculating.branches import token_bytes
from harness.speculating.copying_model import CopyingLlama, Shape, copying_llama
from harness.speculating.timing import Plan, Times, agreement, race, ratio, watched
from harness.speculating.workloads import Workload

import guided
from guided.drafting import speculation

SHAPE = Shape(hidden=64, layers=2, heads=2, key_heads=1, intermediate=96)
COPIES = [texts.Copy("copy this: one two\n", "one two"), texts.Copy("and that: 3 4 5\n", "3 4 5!")]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return models.small_tokenizer()


@pytest.fixture(scope="module")
def network(tokenizer: Any) -> CopyingLlama:
    found = copying_llama(tokenizer, SHAPE)
    found.teach(told(tokenizer), [300, 301])
    return found


def told(tokenizer: Any) -> list[list[int]]:
    """Two sequences, each after the token that names it."""
    plain = texts.sequences(COPIES, tokenizer)
    return [[mark, *sequence] for mark, sequence in zip((300, 301), plain, strict=True)]


def prompts(tokenizer: Any) -> list[list[int]]:
    return [
        [mark, *tokenizer(c.prompt, add_special_tokens=False)["input_ids"]]
        for mark, c in zip((300, 301), COPIES, strict=True)
    ]


@pytest.mark.parametrize("draft", [None, "auto"])
def test_the_network_writes_its_texts_in_batches_with_and_without_drafts(
    network: CopyingLlama, tokenizer: Any, draft: Any
) -> None:
    model = guided.Model(network, tokenizer)
    decoder = guided.decoding.Decoder(
        model.network,
        model.vocabulary,
        guided.decoding.Greedy(),
        speculation=None if draft is None else speculation(model, draft),
    )
    branches = decoder.open(prompts(tokenizer), max_new_tokens=20)
    decoder.extend(branches)
    for branch, whole in zip(branches, told(tokenizer), strict=True):
        assert [*branch.prompt, *branch.tokens] == whole


def test_logits_of_a_prefix_are_the_same_with_a_cache_in_a_tree_and_after_padding(
    network: CopyingLlama, tokenizer: Any
) -> None:
    whole = told(tokenizer)[1]
    alone = network(input_ids=torch.tensor([whole])).logits[0]
    # After three columns of padding.
    padded = torch.tensor([[0, 0, 0, *whole]])
    mask = torch.tensor([[0] * 3 + [1] * len(whole)])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    after = network(input_ids=padded, attention_mask=mask, position_ids=positions).logits[0, 3:]
    torch.testing.assert_close(after, alone, atol=1e-4, rtol=0)
    # The last token as one of two children of the one before it.
    tree = torch.ones(len(whole) + 1, len(whole) + 1).tril().bool()
    tree[-1, -2] = False
    ids = torch.tensor([[*whole[:-1], 77, whole[-1]]])
    depths = torch.tensor([[*range(len(whole)), len(whole) - 1]])
    out = network(input_ids=ids, attention_mask=tree[None, None], position_ids=depths).logits[0]
    torch.testing.assert_close(out[-1], alone[-1], atol=1e-4, rtol=0)


def test_off_its_text_the_network_gets_no_bonus(network: CopyingLlama, tokenizer: Any) -> None:
    whole = told(tokenizer)[0]
    wrong = [*whole[:-2], 77]
    assert network(input_ids=torch.tensor([whole[:-1]])).logits[0, -1].max() > 10
    assert network(input_ids=torch.tensor([wrong])).logits[0, -1].max() < 10


def test_letters_and_their_json_follow_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for copy in texts.complaints(16):
        value = json.loads(copy.answer)
        jsonschema.validate(value, json.loads(texts.COMPLAINT))
        assert value["email"] in copy.prompt


def test_renamed_code_is_code_with_another_name() -> None:
    for copy in texts.renamings(8):
        compile(copy.answer, "snippet", "exec")
        assert copy.answer not in copy.prompt


def test_a_race_takes_turns_and_compares_round_by_round() -> None:
    order: list[str] = []
    ways = {name: lambda given, name=name: (order.append(name), list(given))[1] for name in "ab"}
    ticks = iter(range(1000))
    times = race(ways, lambda: ["x"], Plan(2, clock=lambda: float(next(ticks))))
    # Every other round goes backwards: what comes first is slow or fast for other reasons, too.
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert ratio(times, "a", "b") == 1
    assert ratio(times, "a", "none") is None
    times["b"] = Times([1.0, 1.0], ["y"])
    assert agreement(times, "a", "b") == 0


def test_assisted_generation_is_compared_with_what_has_the_same_assistant() -> None:
    workload = Workload("some JSON", None, [], "{}", 8)  # type: ignore[arg-type]
    seconds = {"guided": 2.0, "guided + assistant": 1.0, "assisted + guided": 3.0}
    times = {name: Times([each], ["{}"]) for name, each in seconds.items()}
    report = Report("speculative", "Drafts")
    found = {f.name: f for f in extraction._figures(workload, 1, times, report)}
    like = found["some_JSON_batch_1_to_assisted"]
    without = found["some_JSON_batch_1_to_assisted_without_assistant"]
    assert (like.value, like.target, without.value, without.target) == (3.0, ">= 1", 1.5, "")
    assert any("same small draft model" in note for note in report.notes)
    times["guided + assistant"].texts = ["else"]
    found = {f.name: f for f in extraction._figures(workload, 1, times, report)}
    assert found["some_JSON_batch_1_to_assisted"].value is None


def test_without_an_assistant_there_is_no_such_way() -> None:
    workload = Workload("some JSON", None, [], "{}", 8)  # type: ignore[arg-type]
    for make in (ways.guided_assistant, ways.assisted):
        with pytest.raises(FileNotFoundError, match="no smaller model"):
            make(workload)


def test_time_in_forward_is_counted_while_it_is_watched(network: CopyingLlama) -> None:
    with watched(network, Plan(1)) as found:
        network(input_ids=torch.tensor([[300, 5]]))
    network(input_ids=torch.tensor([[300, 5]]))
    assert found.calls == 1
    assert found.seconds > 0


def test_bytes_of_a_token_count_keys_and_values_of_all_layers(network: CopyingLlama) -> None:
    assert token_bytes(network.config, torch.float32) == 2 * 2 * 32 * 4
